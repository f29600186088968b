"""Intervals: of one run's median, and of a cell over its repetitions. numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

MIN_REPETITIONS = 5
"""Below this a bootstrap over repetitions says nothing, so there is no interval."""

Samples = Float[np.ndarray, "samples"]
Medians = Float[np.ndarray, "draws"]


def median_interval(
    samples: Sequence[float] | Samples, level: float = 0.95
) -> tuple[float, float] | None:
    """Interval of the median from order statistics, or None with too few samples.

    Free of any distribution: the k-th smallest and k-th largest of n samples enclose
    the median with the probability that a fair coin, thrown n times, falls heads at
    least k and at most n - k times. Needs six samples for 95 %.

    >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    (1.0, 6.0)
    >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    True
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    outer = _outer_rank(len(ordered), (1.0 - level) / 2)
    if outer == 0:
        return None
    return float(ordered[outer - 1]), float(ordered[-outer])


def _outer_rank(n: int, tail: float) -> int:
    """Largest k with P(Binomial(n, 1/2) < k) <= tail; 0 when there is none."""
    # Logarithms, because 2**-n underflows beyond a thousand samples.
    below, rank = 0.0, 0
    while rank < n / 2:
        log_ways = (
            math.lgamma(n + 1) - math.lgamma(rank + 1) - math.lgamma(n - rank + 1)
        )
        below += math.exp(log_ways - n * math.log(2))
        if below > tail:
            break
        rank += 1
    return rank


def relative_halfwidth(samples: Sequence[float] | Samples) -> float | None:
    """Half of the median's 95 % interval over the median; None with too few samples."""
    interval = median_interval(samples)
    if interval is None:
        return None
    return (interval[1] - interval[0]) / 2 / float(np.median(samples))


def median_of_medians(repetitions: Sequence[Sequence[float] | Samples]) -> float:
    """The value of a cell: the median over repetitions of each one's median."""
    return float(np.median([np.median(samples) for samples in repetitions]))


def repetition_interval(
    repetitions: Sequence[Sequence[float] | Samples],
    seed: int = 0,
    *,
    level: float = 0.95,
    draws: int = 2000,
) -> tuple[float, float] | None:
    """95 % bootstrap interval of `median_of_medians`; None below five repetitions.

    Two levels: repetitions are drawn with replacement, then the samples inside each
    drawn one. The repetition is the unit of inference: samples of one process share
    its memory layout and its neighbours, so more of them does not narrow the interval.
    """
    if len(repetitions) < MIN_REPETITIONS:
        return None
    rng = np.random.default_rng(seed)
    count = len(repetitions)
    # Column r: medians of resampled repetition r, one per use in a draw. Each draw
    # uses a repetition at most `count` times, so it takes fresh columns for each slot.
    medians = np.stack(
        [_resampled_medians(samples, draws * count, rng) for samples in repetitions]
    ).reshape(count, draws, count)
    chosen = rng.integers(0, count, size=(draws, count))
    rows, slots = np.arange(draws)[:, None], np.arange(count)[None, :]
    centres = np.median(medians[chosen, rows, slots], axis=1)
    low, high = np.quantile(centres, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled_medians(
    samples: Sequence[float] | Samples, draws: int, rng: np.random.Generator
) -> Medians:
    """Medians of `draws` resamples, by drawing the ranks of the median itself.

    The m-th smallest of n uniforms is Beta(m, n + 1 - m): the m-th smallest of a
    resample is the order statistic that this falls on. No n x draws matrix is made.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    n = len(ordered)
    middle = (n + 1) // 2
    lower = rng.beta(middle, n + 1 - middle, size=draws)
    centre = _at(ordered, lower)
    if n % 2:
        return centre
    # Even n: the next larger uniform is the smallest of n - middle on what is left.
    upper = lower + (1 - lower) * rng.beta(1, n - middle, size=draws)
    return np.asarray((centre + _at(ordered, upper)) / 2)


def _at(ordered: Samples, uniform: Medians) -> Medians:
    rank = np.minimum((uniform * len(ordered)).astype(np.int64), len(ordered) - 1)
    picked: Medians = ordered[rank]
    return picked
