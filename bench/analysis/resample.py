"""Resamples of whole curves, and the interval that few of them can carry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, stdtrit

LEVEL = 0.95
LISTED = 6
"""Up to this many curves all resamples are listed: 126 of five, 462 of six."""

Values = Float[np.ndarray, " values"]
Seeds = Sequence[int] | np.ndarray


def weights(
    subset_seed: Seeds, seed: Seeds, draws: int
) -> Iterator[tuple[float, Values]]:
    """Resamples of whole curves: the chance of each, and the weights of the runs.

    A subset seed's runs share their images at every size, a seed's their initial
    weights: neither is independent inside, so whole curves are drawn. Where each seed
    meets each subset, subsets and seeds are drawn apart and the weights multiply (Owen
    2007, The pigeonhole bootstrap, Annals of Applied Statistics 1, 386-411: never too
    narrow). Elsewhere subsets are drawn with all that is in them, or seeds where there
    is one subset. Up to six curves every possible resample is listed once: their
    interval ends among the rarest, which few random draws would meet.
    """
    drawn = factors(subset_seed, seed)
    counts = [int(factor.max()) + 1 for factor in drawn]
    if len(drawn) > 1:
        rng = np.random.default_rng(0)
        for _ in range(draws):
            both = [_drawn(rng, n)[of] for n, of in zip(counts, drawn, strict=True)]
            yield 1 / draws, both[0] * both[1]
        return
    for chance, times in _resamples(counts[0], draws):
        yield chance, times[drawn[0]]


def factors(subset_seed: Seeds, seed: Seeds) -> list[Int[np.ndarray, " runs"]]:
    """What is independent: the curve of each run, from 0; crossed, of both kinds."""
    subsets, of_subset = np.unique(subset_seed, return_inverse=True)
    seeds, of_seed = np.unique(seed, return_inverse=True)
    pairs = set(zip(of_subset.tolist(), of_seed.tolist(), strict=True))
    crossed = len(pairs) == len(subsets) * len(seeds)
    if crossed and min(len(subsets), len(seeds)) > 1:
        return [of_subset, of_seed]
    return [of_seed if len(subsets) == 1 else of_subset]


def _resamples(n: int, draws: int) -> Iterator[tuple[float, np.ndarray]]:
    if n > LISTED:
        rng = np.random.default_rng(0)
        for _ in range(draws):
            yield 1 / draws, _drawn(rng, n)
        return
    for picked in itertools.combinations_with_replacement(range(n), n):
        counts = np.bincount(picked, minlength=n)
        ways = math.factorial(n) / math.prod(map(math.factorial, counts.tolist()))
        yield ways / n**n, counts.astype(float)


def _drawn(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.bincount(rng.integers(0, n, n), minlength=n).astype(float)


def expanded_levels(n: int) -> tuple[float, float]:
    """Quantiles of the resamples that give 95 % with n curves.

    Plain percentiles of a few resampled units are too narrow; these make up for the
    missing n / (n - 1) and for the normal quantile in place of Student's (Hesterberg
    2015, What Teachers Should Know about the Bootstrap, The American Statistician 69).

    >>> [round(q, 4) for q in expanded_levels(5)]
    [0.001, 0.999]
    """
    far = float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * math.sqrt(n / (n - 1))
    tail = float(ndtr(-far))
    return tail, 1 - tail


def interval(
    values: Sequence[float] | Values, chances: Sequence[float], n: int
) -> tuple[float, float]:
    """The 95 % interval of resampled values; an end is a value, never between two."""
    order = np.argsort(values)
    ranked = np.asarray(values, float)[order]
    below = np.cumsum(np.asarray(chances)[order]) / np.sum(chances)
    low, high = expanded_levels(n)
    first = int(np.searchsorted(below, low))
    last = min(int(np.searchsorted(below, high)), len(ranked) - 1)
    return float(ranked[first]), float(ranked[last])


def student(
    estimate: float,
    values: Sequence[float] | Values,
    chances: Sequence[float],
    n: int,
    least: float = 0.0,
) -> tuple[float, float]:
    """Student's 95 % interval of an estimate on the spread of its n resampled units.

    Its half-width is at least `least`.

    Resamples of a few curves never leave the range of these curves, so that even their
    extremes end too early: of five normal values they hold 0.92 instead of 0.95. The
    standard deviation, times sqrt(n / (n - 1)), is that of the estimate.
    """
    found = np.asarray(values, float)
    mean = np.average(found, weights=chances)
    spread = math.sqrt(np.average((found - mean) ** 2, weights=chances) * n / (n - 1))
    half = max(float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * spread, least)
    return estimate - half, estimate + half


def student_positive(
    estimate: float,
    values: Sequence[float] | Values,
    chances: Sequence[float],
    n: int,
    least: float = 0.0,
) -> tuple[float, float]:
    """The same on the logarithm; a resample at 0 counts as a millionth."""
    floor = 1e-6 * estimate
    logs = np.log(np.maximum(np.asarray(values, float), floor))
    low, high = student(math.log(estimate), logs, chances, n, least)
    return math.exp(low), math.exp(high)


def of_parameters(
    estimates: Mapping[str, float],
    drawn: Sequence[tuple[float, Mapping[str, float]]],
    n: int,
    offset: str,
    least: Mapping[str, float] | None = None,
) -> dict[str, tuple[float, float]]:
    """Student's interval of each parameter, from (chance, parameters) of resamples.

    All but `offset`, which may be 0 and is never below, keep their sign: theirs is on
    the logarithm of the absolute value. `least` holds the least half-width of each.
    """
    chances = [chance for chance, _ in drawn]
    made = {}
    for name, value in estimates.items():
        found = np.array([values[name] for _, values in drawn])
        narrowest = (least or {}).get(name, 0.0)
        if name == offset:
            low, high = student(value, found, chances, n, narrowest)
            low = max(low, 0.0)
        else:
            sign = math.copysign(1, value)
            ends = student_positive(abs(value), abs(found), chances, n, narrowest)
            low, high = sorted(sign * end for end in ends)
        made[name] = low, high
    return made
