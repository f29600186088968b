"""Where the curve of one family overtakes another's, inside the sizes of both.

Beyond the sizes that both were trained at nothing is said: a fit that describes its
data well may be far off at ten times the largest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis import fits, resample
from bench.analysis.fits import Data, Fit
from bench.analysis.forms import Curve
from bench.analysis.scaling import Line, alike, chosen

_GRID = 400
"""Points between which a crossing is sought."""


@dataclass(frozen=True)
class Crossing:
    """Where the error of `second` falls under that of `first`, and stays there."""

    first: str
    second: str
    x: float | None
    """Null if it does not between `start` and `end`."""
    low: float | None
    high: float | None
    """Interval over resamples; an end is null where they leave the range."""
    share: float | None
    """Resamples with a crossing; null without resamples."""
    start: float
    end: float
    """Both were trained at sizes from `start` to `end`; nothing is said beyond."""
    ahead: str | None
    """Whose error is lower from `start` to `end`; null with a crossing, or no range."""


def crossing(first: Line, second: Line, fit_1: Fit, fit_2: Fit) -> Crossing:
    """The size at which `second` overtakes `first`, from two identified fits.

    Both are resampled alike: the same subsets and seeds are drawn for both.
    Two sides of different seeds are drawn independently.
    """
    assert fit_1.curve is not None and fit_2.curve is not None
    both = [line.data.sizes for line in (first, second)]
    start, end = max(one[0] for one in both), min(one[-1] for one in both)
    made = Crossing(first.label, second.label, None, None, None, None, start, end, None)
    if start >= end:
        return made
    grid = np.geomspace(start, end, _GRID)
    x = _crossed(fit_1.curve, fit_2.curve, grid)
    lower = _placed(fit_1.curve, fit_2.curve, grid) == 0
    made = replace(made, x=x, ahead=(second if lower else first).label)
    if x is not None:
        made = replace(made, ahead=None)
    pairs = list(_drawn_alike(first.data, second.data, fit_1, fit_2))
    if not pairs:
        return made
    # Never overtaken counts as beyond the range, always ahead as before it.
    chances = [chance for chance, _, _ in pairs]
    drawn = np.array([_placed(a, b, grid) for _, a, b in pairs])
    crossed = (drawn > 0) & np.isfinite(drawn)
    n = min(fit_1.resampled, fit_2.resampled)
    if x is not None and crossed.all():
        low, high = resample.student_positive(x, drawn, chances, n)
    else:
        low, high = resample.interval(drawn, chances, n)
    return replace(
        made,
        low=low if start <= low <= end else None,
        high=high if start <= high <= end else None,
        share=float(np.average(crossed, weights=chances)),
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
