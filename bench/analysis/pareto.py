"""Pareto frontiers: the rows that no other row beats in both of two columns."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from bench.analysis.join import once
from bench.analysis.key import ACCURACIES, equal, plain, require_one_key
from bench.analysis.rounding import halfwidth
from bench.analysis.stats import MIN_REPETITIONS

Better = Literal["lower", "higher"]

FIGURE_2_EXTRA = (("BiT-R200x3", 224), ("ViT-L/16", 512), ("Mixer-L/16", 448))
"""Models of Table 3 (JFT-300M) that figure 2 shows beside those of Table 2."""
_AT_ONCE = 128
"""Draws whose frontiers are found together: more take memory and no less time."""
SHORT_SETS = {"ImageNet": "I1k", "ImageNet-21k": "I21k", "JFT-300M": "JFT"}
"""Pre-training sets as a label has room for them; others are written out."""


def on_frontier(
    x: Float[np.ndarray, " points"],
    y: Float[np.ndarray, " points"],
    x_better: Better = "lower",
    y_better: Better = "higher",
) -> Bool[np.ndarray, " points"]:
    """Which points are not dominated.

    A point is dominated by one that is at least as good in both and better in one.
    Equal points do not dominate each other: all or none of them are on the frontier.
    A point with a missing coordinate never is.
    """
    cost = np.asarray(x, float) * (1 if x_better == "lower" else -1)
    loss = np.asarray(y, float) * (1 if y_better == "lower" else -1)
    return np.asarray(_undominated(cost[:, None], loss[:, None])[:, 0])


def _undominated(
    cost: Float[np.ndarray, "points draws"], loss: Float[np.ndarray, "points draws"]
) -> Bool[np.ndarray, "points draws"]:
    """The frontier of every draw; of both coordinates less is better."""
    known = ~(np.isnan(cost) | np.isnan(loss))
    cost, loss = np.where(known, cost, np.inf), np.where(known, loss, np.inf)
    order = np.lexsort((loss, cost), axis=0)
    cost, loss = (np.take_along_axis(one, order, axis=0) for one in (cost, loss))
    best = np.minimum.accumulate(loss, axis=0)
    keep = loss < np.concatenate([np.full((1, loss.shape[1]), np.inf), best[:-1]])
    again = (cost[1:] == cost[:-1]) & (loss[1:] == loss[:-1])
    for i, same in enumerate(again):
        keep[i + 1] |= same & keep[i]
    found: Bool[np.ndarray, "points draws"] = np.empty_like(keep)
    np.put_along_axis(found, order, keep, axis=0)
    return np.asarray(found & known)


def _share(
    cost: Float[np.ndarray, "points draws"], loss: Float[np.ndarray, "points draws"]
) -> Float[np.ndarray, " points"]:
    """In what share of the draws each point is on the frontier."""
    found = [
        _undominated(cost[:, at : at + _AT_ONCE], loss[:, at : at + _AT_ONCE])
        for at in range(0, cost.shape[1], _AT_ONCE)
    ]
    return np.asarray(np.concatenate(found, axis=1).mean(axis=1))


def frontier(
    rows: pd.DataFrame,
    x: str,
    y: str,
    *,
    x_better: Better = "lower",
    y_better: Better = "higher",
    across: Sequence[str] = (),
) -> pd.DataFrame:
    """The rows on the frontier, by rising x. Rows of several keys are refused.

    `across` names key columns that may differ: the paper's figure 2 puts models
    of several pre-training sets on one frontier, so it needs `pretrain_dataset`.
    """
    require_one_key(rows, x, y, across=across)
    mask = on_frontier(
        rows[x].to_numpy(float, na_value=np.nan),
        rows[y].to_numpy(float, na_value=np.nan),
        x_better,
        y_better,
    )
    return rows[mask].sort_values([x, y], kind="stable")


def figure_2(rows: pd.DataFrame) -> pd.DataFrame:
    """The models of the paper's figure 2, left: Table 2 and three rows of Table 3.

    The 512 px ViT-L/16 matters: from Table 2 alone no ViT is on the frontier.
    """
    extra = equal(rows, "table", "mixer-table3") & equal(
        rows, "pretrain_dataset", "JFT-300M"
    )
    named = pd.Series(False, index=rows.index)
    for model, size in FIGURE_2_EXTRA:
        named |= equal(rows, "model", model) & equal(rows, "image_size", size)
    return once(rows[equal(rows, "table", "mixer-table2") | (extra & named)])


def told_by_set(names: Sequence[str], sets: Sequence[str | None]) -> list[str]:
    """Names of one panel; one that occurs with several pre-training sets gets its own.

    >>> told_by_set(["A", "B", "A"], ["ImageNet-21k", "JFT-300M", "JFT-300M"])
    ['A (I21k)', 'B', 'A (JFT)']
    """
    pairs = list(zip(names, sets, strict=True))
    seen: dict[str, set[str | None]] = {}
    for name, one in pairs:
        seen.setdefault(name, set()).add(one)
    return [
        f"{name} ({SHORT_SETS.get(one, one)})" if one and len(seen[name]) > 1 else name
        for name, one in pairs
    ]


def standing(
    rows: pd.DataFrame,
    x: str,
    y: str,
    *,
    x_better: Better = "lower",
    y_better: Better = "higher",
    names: str = "model",
    draws: int = 1000,
) -> pd.DataFrame:
    """Add how firmly each row of one panel is on the frontier, and who beats it.

    `p_on_frontier` is the share of draws in which a row is on the frontier: its runs
    drawn with replacement where it was measured (Efron 1979), any figure that rounds to
    the printed one where it was published; a quantity that several rows share, such as
    the rate of one network, is drawn once for all. With 1,000 draws its standard error
    is at most 0.016. It is null for a row with fewer than `MIN_REPETITIONS` runs: one
    run says nothing about itself. Such a row still stands in the others' way, where it
    was measured. `dominated_by` names the best in y of the rows that dominate this one;
    `x_ratio` is its x over this row's, `y_gap` how much better its y is.
    """
    chance = _Draws(draws)
    drawn = [_drawn(row, x, y, chance) for row in rows.to_dict("records")]
    clouds_x = np.array([one[0] for one in drawn]).reshape(len(rows), draws)
    clouds_y = np.array([one[1] for one in drawn]).reshape(len(rows), draws)
    cost = clouds_x if x_better == "lower" else -clouds_x
    loss = clouds_y if y_better == "lower" else -clouds_y
    known = [one[2] for one in drawn]
    beaten = [_beaten(rows, i, x, y, x_better, y_better) for i in range(len(rows))]
    best = [None if at is None else rows[names].iloc[at] for at, _, _ in beaten]
    return rows.assign(
        p_on_frontier=np.where(known, _share(cost, loss), np.nan),
        dominated_by=pd.Series(best, rows.index, dtype=object),
        x_ratio=[ratio for _, ratio, _ in beaten],
        y_gap=[gap for _, _, gap in beaten],
    )


Cloud = Float[np.ndarray, " draws"]
_RUNS = {
    "core_days": "core_days_runs",
    "top1": "top1_runs",
    "img_per_sec_core": "rates",
}
_EXACT = ("param_count",)
"""Closed forms: they have no runs and need none."""


class _Draws:
    """Random draws; a quantity that stands in several rows is drawn once for all.

    Rows of one network share its rate, and those fine-tuned from one pre-training its
    cost: drawn apart, an equal figure would beat itself.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._rng = np.random.default_rng(0)
        self._seen: dict[Hashable, np.ndarray] = {}

    def picks(
        self, row: Mapping[Hashable, Any], metric: str, runs: Cloud
    ) -> np.ndarray:
        """Which of its runs each draw takes."""
        key = (metric, row["model"], tuple(runs.tolist()))
        if key not in self._seen:
            shape, small = (self.count, len(runs)), np.min_scalar_type(len(runs))
            self._seen[key] = self._rng.integers(0, len(runs), shape, small)
        return self._seen[key]

    def rounded(self, row: Mapping[Hashable, Any], metric: str) -> Cloud:
        """Any value that rounds to the printed one."""
        value = plain(row[metric])
        if value is None:
            return np.full(self.count, np.nan)
        key = (metric, row["model"], value)
        if key not in self._seen or metric in ACCURACIES:  # of each run its own
            half = halfwidth(row, metric)
            self._seen[key] = self._rng.uniform(value - half, value + half, self.count)
        return self._seen[key]


def _drawn(
    row: Mapping[Hashable, Any], x: str, y: str, chance: _Draws
) -> tuple[Cloud, Cloud, bool]:
    """Draws of both coordinates, and whether there is enough to draw from."""
    if row["source"] == "published":
        clouds = [chance.rounded(row, metric) for metric in (x, y)]
        return clouds[0], clouds[1], not np.isnan([clouds[0][0], clouds[1][0]]).any()
    runs = [_runs(row, metric) for metric in (x, y)]
    if min(map(len, runs)) < MIN_REPETITIONS:
        one = [np.full(chance.count, row[metric]) for metric in (x, y)]
        return one[0], one[1], False
    picks = [
        chance.picks(row, metric, one) for metric, one in zip((x, y), runs, strict=True)
    ]
    if x == "core_days" and len(runs[0]) == len(runs[1]):
        picks[1] = picks[0]  # cost and accuracy of one training run stay together
    medians = [_medians(one, p) for one, p in zip(runs, picks, strict=True)]
    return medians[0], medians[1], True


def _medians(runs: Cloud, picks: np.ndarray) -> Cloud:
    """The median of each draw of runs: it lies at the median of their ranks.

    Ranks are small integers, which numpy sorts several times as fast as numbers.
    """
    order = np.argsort(runs, kind="stable")
    ranks = np.argsort(order).astype(picks.dtype)[picks]
    ranks.sort(axis=1)
    middle = ranks[:, [(len(runs) - 1) // 2, len(runs) // 2]]
    return np.asarray(runs[order][middle].mean(axis=1))


def _runs(row: Mapping[Hashable, Any], metric: str) -> Cloud:
    """The values behind a number; of an exact one as many as an interval needs."""
    if metric in _EXACT:
        return np.full(MIN_REPETITIONS, row[metric], float)
    listed = plain(row[_RUNS[metric]]) if metric in _RUNS else None
    return np.array([v for v in listed or () if v is not None and v == v], float)


def _beaten(
    rows: pd.DataFrame, i: int, x: str, y: str, x_better: Better, y_better: Better
) -> tuple[int | None, float, float]:
    """Position of the best dominator, its x over this row's, how much better it is."""
    cost = rows[x].to_numpy(float)
    score = rows[y].to_numpy(float) * (1 if y_better == "higher" else -1)
    cheaper = cost[i] / cost if x_better == "lower" else cost / cost[i]
    better = score - score[i]
    wins = (cheaper >= 1) & (better >= 0) & ((cheaper > 1) | (better > 0))
    if not wins.any():
        return None, np.nan, np.nan
    at = max(np.flatnonzero(wins), key=lambda j: (score[j], cheaper[j]))
    return int(at), float(cost[at] / cost[i]), float(better[at])
