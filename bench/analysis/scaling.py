"""Curves of error from rows, their fits, where two cross, and paired differences.

A curve holds runs that differ in x and in their seeds, and in nothing else that a cell
declares. Rows of two comparability keys are never one curve.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import fits, resample
from bench.analysis.contrast import holm
from bench.analysis.fits import Data, Fit
from bench.analysis.forms import FORMS, Curve
from bench.analysis.join import SETTINGS, newest
from bench.analysis.key import (
    ACCURACIES,
    equal,
    key_columns,
    need,
    plain,
    require_one_key,
)
from bench.analysis.seeds import Paired, paired
from bench.errors import ResultsError, unknown

X_COLUMNS = (
    "unique_images",
    "images_seen",
    "param_count",
    "macs",
    "core_days_measured",
)
BEHIND = {
    "unique_images": ("data_examples", "data_fraction"),
    "images_seen": ("total_steps", "total_epochs", "warmup_steps"),
    "param_count": ("model",),
    "macs": ("model",),
    "core_days_measured": ("model", "total_steps", "total_epochs", "warmup_steps"),
}
"""Settings that move x; a curve may differ in them."""
_ALWAYS = ("model", "framework")
_OF_THE_FAMILY = (
    *("model", "family", "pool", "tokens_mlp_dim", "optimizer", "learning_rate"),
    *("schedule", "warmup_steps", "weight_decay", "clip_norm"),
)
"""Each family is trained by its own recipe; in these two rivals may differ."""
REACH = 10.0
"""A crossing is sought from the smallest size to this many times the largest."""


@dataclass(frozen=True)
class Line:
    """The runs of one curve, what it is, and how they are called."""

    label: str
    facts: Mapping[str, Any]
    key: tuple[Any, ...]
    """Comparability key: two curves of one key may be compared."""
    data: Data
    family: str
    runs: Mapping[tuple[float, Any, Any], float]
    """(x, subset_seed, seed) -> error."""


def lines(
    rows: pd.DataFrame,
    x: str = "unique_images",
    y: str = "top1",
    group: Sequence[str] = (),
) -> list[Line]:
    """The curves of measured training rows.

    Args:
        rows: record rows.
        x: one of `X_COLUMNS`.
        y: an accuracy column; its error is 1 - y.
        group: columns that tell curves apart; by default all settings but x's own.

    Raises:
        ResultsError: an unknown column, or a group that holds several keys.
    """
    for name, given, allowed in (("--x", x, X_COLUMNS), ("--y", y, ACCURACIES)):
        if given not in allowed:
            raise ResultsError(f"{name}: {unknown('column', given, allowed)}")
    need(rows, (x, y, "status", "source", "mode", "role"), "a fit")
    done = trained(rows, x, y)
    columns = _group_columns(rows, x, y, group)
    if done.empty:
        return []
    varying = _varying(done, columns, x, y, group)
    telling = _telling(done, varying)
    return [
        _line(newest(part), x, y, varying, telling)
        for _, part in done.groupby(columns, dropna=False, sort=False)
    ]


def trained(rows: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Finished, measured training rows that have both."""
    kept = equal(rows, "status", "ok") & equal(rows, "source", "measured")
    kept &= rows["mode"].isin(("pretrain", "finetune")).fillna(False).astype(bool)
    return rows[kept & rows[x].notna() & rows[y].notna()]


def _group_columns(
    rows: pd.DataFrame, x: str, y: str, group: Sequence[str]
) -> list[str]:
    settings = [n for n in SETTINGS if n not in BEHIND[x]]
    known = ["family", *settings, "environment_id", *key_columns(y)]
    for name in group:
        if name not in known:
            raise ResultsError(f"--group: {unknown('column', name, known)}")
    wanted = list(group) or known
    return list(dict.fromkeys(wanted))


def _varying(
    rows: pd.DataFrame, columns: list[str], x: str, y: str, group: Sequence[str]
) -> list[str]:
    """Columns that a label must name: those in which the curves differ."""
    if group:
        for _, part in rows.groupby(columns, dropna=False, sort=False):
            require_one_key(part, y)
        return list(group)
    differ = [name for name in columns if rows[name].nunique(dropna=False) > 1]
    always = [name for name in _ALWAYS if name not in BEHIND[x]] or ["family"]
    return [*always, *(n for n in differ if n not in (*always, "family"))]


def _telling(rows: pd.DataFrame, varying: list[str]) -> list[str]:
    """The first of the columns that tell all curves apart: a label with no echo."""
    kept: list[str] = []
    for name in varying:
        more = [*kept, name]
        if name in _ALWAYS or len(rows[more].drop_duplicates()) > len(
            rows[kept].drop_duplicates()
        ):
            kept = more
    return kept


def _line(
    part: pd.DataFrame, x: str, y: str, varying: list[str], telling: list[str]
) -> Line:
    first = part.iloc[0]
    facts = {name: plain(first[name]) for name in varying}
    error = 1 - part[y].to_numpy(float)
    chance = part["chance"].dropna().astype(float)
    seeds = [
        part[name].fillna(0).to_numpy(np.int64) for name in ("subset_seed", "seed")
    ]
    data = Data(
        part[x].to_numpy(float),
        error,
        seeds[0],
        seeds[1],
        error_0=1 - float(chance.max()) if len(chance) else 1.0,
    )
    return Line(
        label=", ".join(
            _word(name, facts[name])
            for name in telling
            if facts[name] is not None or name in _ALWAYS
        ),
        facts=facts,
        key=tuple(plain(first[name]) for name in key_columns(y)),
        data=data,
        family=str(first["family"]),
        runs=_by_run(data),
    )


def _by_run(data: Data) -> dict[tuple[float, Any, Any], float]:
    """(x, subset_seed, seed) -> mean error of the runs that share them."""
    found: dict[tuple[float, Any, Any], list[float]] = {}
    columns = (data.x, data.subset_seed, data.seed, data.error)
    for *key, error in zip(*(column.tolist() for column in columns), strict=True):
        found.setdefault((key[0], key[1], key[2]), []).append(error)
    return {key: sum(errors) / len(errors) for key, errors in found.items()}


def _word(name: str, value: Any) -> str:
    return str(value) if name in (*_ALWAYS, "family") else f"{name}={value}"


# Fits ------------------------------------------------------------------------


def fit_line(
    line: Line, forms: Sequence[str] = FORMS, draws: int = fits.DRAWS
) -> list[Fit]:
    """Every form fitted to one curve, in the order given."""
    for form in forms:
        if form not in FORMS:
            raise ResultsError(f"--form: {unknown('form', form, FORMS)}")
    return [fits.fit(line.data, form, draws) for form in forms]


def chosen(found: Sequence[Fit]) -> Fit | None:
    """The identified form that predicted the held-out size best; None if none is.

    A form that was too large to be tried on the held-out task stands behind the others.
    """
    identified = [one for one in found if one.curve is not None]
    return min(identified, key=_held_out_error, default=None)


def _held_out_error(one: Fit) -> float:
    if one.held_out is None or one.held_out.form is None:
        return math.inf
    return one.held_out.form


def seed_means(data: Data, x: float) -> fits.Runs:
    """Mean error at one x of each independent unit: what an interval counts.

    Runs of one subset share their images, so a subset counts once where there are
    several; with one subset a seed counts once.
    """
    at = data.where(data.x == x)
    several = len(set(data.subset_seed.tolist())) > 1
    unit = at.subset_seed if several else at.seed
    return np.array([at.error[unit == one].mean() for one in np.unique(unit)])


# Crossings -------------------------------------------------------------------


@dataclass(frozen=True)
class Crossing:
    """Where the error of `second` falls under that of `first`, and stays there."""

    first: str
    second: str
    x: float | None
    """Null if it does not, up to `REACH` times the largest size."""
    low: float | None
    high: float | None
    """Interval over resamples; an end is null where resamples have no crossing."""
    share: float | None
    """Resamples with a crossing; null without resamples."""
    inside: bool
    """The crossing lies inside the sizes that both were trained at."""


def crossing(first: Line, second: Line, fit_1: Fit, fit_2: Fit) -> Crossing:
    """The size at which `second` overtakes `first`, from two identified fits.

    Both are resampled alike: the same subsets and seeds are drawn for both.
    Two sides of different seeds are drawn independently.
    """
    assert fit_1.curve is not None and fit_2.curve is not None
    sizes = np.concatenate([first.data.sizes, second.data.sizes])
    grid = np.geomspace(sizes.min(), REACH * sizes.max(), 400)
    x = _crossed(fit_1.curve, fit_2.curve, grid)
    overlap = min(first.data.sizes[-1], second.data.sizes[-1])
    start = max(first.data.sizes[0], second.data.sizes[0])
    inside = x is not None and bool(start <= x <= overlap)
    pairs = list(_drawn_alike(first.data, second.data, fit_1, fit_2))
    if not pairs:
        return Crossing(first.label, second.label, x, None, None, None, inside)
    # Never overtaken counts as beyond the grid, always ahead as before it.
    chances = [chance for chance, _, _ in pairs]
    drawn = np.array([_placed(a, b, grid) for _, a, b in pairs])
    n = min(fit_1.resampled, fit_2.resampled)
    low, high = resample.interval(drawn, chances, n)
    crossed = (drawn > 0) & np.isfinite(drawn)
    return Crossing(
        first.label,
        second.label,
        x,
        low if 0 < low < math.inf else None,
        high if 0 < high < math.inf else None,
        float(np.average(crossed, weights=chances)),
        inside,
    )


def _drawn_alike(
    one: Data, two: Data, fit_1: Fit, fit_2: Fit
) -> Iterator[tuple[float, Curve, Curve]]:
    """Curves of both in one resample: of the same seeds where they share them."""
    designs = [
        {*zip(side.subset_seed.tolist(), side.seed.tolist(), strict=True)}
        for side in (one, two)
    ]
    sides = [fit_1.draws, fit_2.draws]
    if designs[0] != designs[1]:
        rng = np.random.default_rng(0)
        sides = [_at_random(side, rng) for side in sides if side]
    if len(sides) == 2:
        for a, b in zip(*sides, strict=True):
            if a.curve and b.curve:
                yield a.chance, a.curve, b.curve


def _at_random(
    draws: tuple[fits.Draw, ...], rng: np.random.Generator
) -> tuple[fits.Draw, ...]:
    """Equally likely draws in random order: two independent sides may be paired."""
    chances = np.array([draw.chance for draw in draws])
    picked = rng.choice(len(draws), 2 * fits.DRAWS, p=chances / chances.sum())
    return tuple(fits.Draw(1.0, draws[at].curve) for at in picked)


def _placed(first: Curve, second: Curve, grid: np.ndarray) -> float:
    found = _crossed(first, second, grid)
    if found is not None:
        return found
    end = grid[-1:]
    return 0.0 if second.error(end)[0] < first.error(end)[0] else math.inf


def _crossed(first: Curve, second: Curve, grid: np.ndarray) -> float | None:
    """The last change of sign, if `second` is ahead after it."""
    ahead = np.log(first.error(grid) / second.error(grid))
    changes = np.flatnonzero((ahead[:-1] <= 0) & (ahead[1:] > 0))
    if not len(changes) or (ahead[changes[-1] + 1 :] <= 0).any():
        return None
    at = changes[-1]
    share = -ahead[at] / (ahead[at + 1] - ahead[at])
    return float(np.exp((1 - share) * np.log(grid[at]) + share * np.log(grid[at + 1])))


def crossings(found: Sequence[tuple[Line, Sequence[Fit]]]) -> Iterator[Crossing]:
    """Every pair of two families under one key, each way round that overtakes."""
    for (one, fits_1), (two, fits_2) in _rivals(found):
        best_1, best_2 = chosen(fits_1), chosen(fits_2)
        if best_1 is None or best_2 is None:
            continue
        forward = crossing(one, two, best_1, best_2)
        backward = crossing(two, one, best_2, best_1)
        yield backward if forward.x is None and backward.x is not None else forward


def _rivals(
    found: Sequence[tuple[Line, Sequence[Fit]]],
) -> Iterator[tuple[tuple[Line, Sequence[Fit]], tuple[Line, Sequence[Fit]]]]:
    for a, b in itertools.combinations(found, 2):
        if a[0].family != b[0].family and alike(a[0], b[0]):
            yield a, b


def alike(one: Line, other: Line) -> bool:
    """Two curves of one key that differ in the model and its recipe alone."""
    rest = [
        {k: v for k, v in line.facts.items() if k not in _OF_THE_FAMILY}
        for line in (one, other)
    ]
    return one.key == other.key and rest[0] == rest[1]


# Paired differences ----------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """Accuracy of `second` less that of `first` at one x, over shared runs."""

    first: str
    second: str
    x: float
    paired: Paired
    p_holm: float | None


def differences(found: Sequence[Line]) -> list[Difference]:
    """Families against each other at every x that both have, seeds paired.

    Holm's adjustment is over all of them.
    """
    drafts: list[tuple[str, str, float, Paired]] = []
    for one, two in itertools.combinations(found, 2):
        if one.family == two.family or not alike(one, two):
            continue
        for x in sorted(set(one.data.x.tolist()) & set(two.data.x.tolist())):
            pair = paired(_at(one, x), _at(two, x))
            if pair is not None:
                drafts.append((one.label, two.label, x, pair))
    tested = [pair.p for *_, pair in drafts if pair.p is not None]
    adjusted = iter(holm(tested))
    return [
        Difference(a, b, x, pair, None if pair.p is None else next(adjusted))
        for a, b, x, pair in drafts
    ]


def _at(line: Line, x: float) -> dict[Hashable, float]:
    """Accuracy at one x by subset and seed."""
    return {key[1:]: 1 - error for key, error in line.runs.items() if key[0] == x}
