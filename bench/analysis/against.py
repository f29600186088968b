"""Ratios of rates between two sides of one run: another framework, another author.

A ratio is given only with a certificate that both sides computed the same. Its
interval is a bootstrap over fresh processes of both sides, and is given only where they
took turns in one sitting: a machine drifts between two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.ablations import PAPERS
from bench.analysis.certificate import SAME, certify
from bench.analysis.key import equal, key_columns, numbered, plain
from bench.analysis.stats import MIN_REPETITIONS

_IDENTITY = ("model", "image_size", "num_classes", "pool", "tokens_mlp_dim", *PAPERS)


@dataclass(frozen=True)
class Ratio:
    """One side's rate over the other's. Null with a reason, never without one."""

    value: float | None
    low: float | None
    high: float | None
    certificate: str
    """`same`, or why there is no ratio; empty between two models."""
    other: str
    """The other side's framework and variant, and of how many it is the fastest; or the
    model that is divided by."""
    apart: bool = False
    """Both sides were timed, in no common sitting."""


def best_variants(models: pd.DataFrame) -> pd.DataFrame:
    """Of the tuned track only the fastest variant of each model; all other rows.

    A variant with enough processes for an interval stands before a luckier one with
    few, and one timed beside another side before one that was timed without.
    Adds `variants_tried`. A fixed batch is part of what was asked; a swept one is not.
    Several trainings of one model share a rate, and all of them stay.
    """
    tuned = equal(models, "track", "tuned") & models["img_per_sec_core"].notna()
    if not tuned.any():
        return models.assign(variants_tried=np.nan)
    fixed = models["batch_size"].where(equal(models, "batch_rule", "fixed"))
    by = [*key_columns("img_per_sec_core"), *_IDENTITY, "framework", "peer"]
    rows = models[tuned].assign(fixed_batch=fixed[tuned])
    timed = rows["speed_attempts"].map(str)
    number = pd.Series(numbered(rows, [*by, "fixed_batch"]), rows.index)
    standing = pd.DataFrame(
        {
            "number": number,
            "timed": timed,
            "enough": rows["n"] >= MIN_REPETITIONS,
            "beside": _beside_another(rows),
            "rate": rows["img_per_sec_core"],
        }
    ).sort_values(["enough", "beside", "rate"], ascending=False, kind="stable")
    first = standing.drop_duplicates("number").set_index("number")["timed"]
    best = models[tuned][timed == number.map(first)]
    tried = number.map(timed.groupby(number).nunique()).astype(float)[best.index]
    kept = [models[~tuned].assign(variants_tried=np.nan)] if not tuned.all() else []
    return pd.concat([*kept, best.assign(variants_tried=tried)]).sort_index()


def _beside_another(models: pd.DataFrame) -> pd.Series[bool]:
    """Whether a row shares a sitting with another framework's or author's row."""
    found = pd.Series(False, models.index)
    for part in _alike(models):
        sides = [*zip(part["framework"], part["peer"].map(plain), strict=True)]
        told = list(zip(part.index, sides, part["sittings"], strict=True))
        for name, mine, sittings in told:
            found[name] = any(
                mine != other and not set(sittings).isdisjoint(others)
                for _, other, others in told
            )
    return found


def ours(models: pd.DataFrame) -> pd.DataFrame:
    """Our own code alone, of the tuned track the best variant: one row for a model."""
    return best_variants(models[models["peer"].isna()])


def other_sides(models: pd.DataFrame) -> list[Ratio | None]:
    """Each row of `best_variants` over its counterpart; None where there is none.

    A peer's counterpart, and that of our row beside a peer, is the other author in the
    same framework; otherwise it is the other framework.
    """
    timed = models["img_per_sec_core"].notna() & models["batch_rule"].notna()
    timed &= models["framework"].notna()
    found: dict[Any, Ratio | None] = {}
    for part in _alike(models[timed]):
        for name, row in part.iterrows() if _has_two_sides(part) else ():
            found[name] = _other_side(row, part)
    return [found.get(name) for name in models.index]


def _alike(models: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows of one network, timed alike: they differ in framework, author, training."""
    fixed = models["batch_size"].where(equal(models, "batch_rule", "fixed"))
    by = (*key_columns("img_per_sec_core"), *_IDENTITY, "batch_rule", "fixed_batch")
    number = numbered(models.assign(fixed_batch=fixed), by)
    return [part for _, part in models.groupby(number, sort=False)]


def _has_two_sides(part: pd.DataFrame) -> bool:
    return len(part) > 1 and len(part[["framework", "peer"]].drop_duplicates()) > 1


def _other_side(row: pd.Series[Any], alike: pd.DataFrame) -> Ratio | None:
    ours_ = alike[alike["peer"].isna()]
    same = equal(ours_, "framework", row["framework"])
    twins = ours_[~same if plain(row["peer"]) is None else same]
    twins = _trained_alike(row, twins)
    found = twins[~twins["speed_attempts"].map(str).duplicated()]
    if len(found) > 1:
        return Ratio(None, None, None, _several(found), str(found["framework"].iloc[0]))
    return None if found.empty else _ratio(row, found.iloc[0])


def _several(found: pd.DataFrame) -> str:
    """Why none of several rows is taken: the choice would decide the ratio."""
    names = ("environment_id", "batch_size", "variant", "device", "sweep_max")
    differ = [name for name in names if found[name].nunique(dropna=False) > 1]
    words = f", which differ in {', '.join(differ)}" if differ else ""
    return f"{len(found)} rows to divide by{words}; keep one with --where"


def _trained_alike(row: pd.Series[Any], twins: pd.DataFrame) -> pd.DataFrame:
    """Those trained as `row` was, where there are any: many lineages share a rate."""
    for name in ("pretrain_dataset", "eval_dataset", "optimizer"):
        alike = equal(twins, name, row[name]) if name in twins.columns else None
        twins = twins[alike] if alike is not None and alike.any() else twins
    return twins


def _ratio(row: pd.Series[Any], other: pd.Series[Any]) -> Ratio:
    verdict = certify(_named(row), _named(other))
    name = side(other)
    if verdict != SAME:
        return Ratio(None, None, None, verdict, name)
    value = float(row["img_per_sec_core"]) / float(other["img_per_sec_core"])
    low, high, apart = between(row, other)
    return Ratio(value, low, high, verdict, name, apart)


def between(
    row: Mapping[str, Any] | pd.Series[Any], other: Mapping[str, Any] | pd.Series[Any]
) -> tuple[float | None, float | None, bool]:
    """The interval of one rate over another, and whether no sitting holds both."""
    apart = set(row["sittings"]).isdisjoint(other["sittings"])
    interval = None if apart else ratio_interval(row["rates"], other["rates"])
    return (*(interval or (None, None)), apart)


def side(row: Mapping[str, Any] | pd.Series[Any]) -> str:
    """One side of a ratio in words.

    A best of several is flattered by its luck, so how many were tried is part of it.
    """
    tried = plain(row["variants_tried"]) or 1
    of_several = f" (of {tried:.0f})" if tried > 1 else ""
    return f"{row['framework']} {row['variant']}{of_several}"


def _named(row: pd.Series[Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def ratio_interval(
    ours: Sequence[float] | None,
    others: Sequence[float] | None,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Bootstrap interval of the ratio of medians; each side's repetitions are redrawn.

    Takes one rate for each fresh process; None below five on either side.
    """
    sides = [np.asarray(side, float) for side in (ours, others) if side is not None]
    if len(sides) < 2 or min(map(len, sides)) < MIN_REPETITIONS:
        return None
    rng = np.random.default_rng(seed)
    medians = [
        np.median(rng.choice(side, size=(draws, len(side))), axis=1) for side in sides
    ]
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(medians[0] / medians[1], tails)
    return float(low), float(high)
