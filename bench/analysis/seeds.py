"""Spread over training runs: Student's interval of a mean, and paired differences.

The run is the unit. Few seeds say little about the shape of their spread, so the
normal one is assumed and said; with fewer than three runs there is no interval at all.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr, stdtrit

MIN_RUNS = 3
"""Two runs have one difference: no evidence about how large differences are."""

Values = Sequence[float] | Float[np.ndarray, " runs"]


def student_interval(values: Values, level: float = 0.95) -> tuple[float, float] | None:
    """Interval of the mean (Student 1908); None with fewer than three values.

    >>> low, high = student_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    found = np.asarray(values, float)
    n = len(found)
    if n < MIN_RUNS:
        return None
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * found.std(ddof=1) / math.sqrt(n)
    return float(found.mean() - half), float(found.mean() + half)


@dataclass(frozen=True)
class Paired:
    """Second less first, over runs that share what the pair's key names."""

    n: int
    difference: float
    low: float | None
    high: float | None
    """Student's interval of the mean difference; null with fewer than three pairs."""
    p: float | None
    """Two-sided p value against no difference."""


Runs = Mapping[Hashable, float]


def paired(first: Runs, second: Runs) -> Paired | None:
    """The paired t test over the keys that both sides have; None without any.

    A pair shares its subset and its seed, so what these did to both cancels.
    """
    found = np.array([*differences(first, second).values()])
    if not len(found):
        return None
    interval = student_interval(found)
    mean = float(found.mean())
    if interval is None:
        return Paired(len(found), mean, None, None, None)
    return Paired(len(found), mean, *interval, _p_value(found))


def differences(first: Runs, second: Runs) -> dict[Hashable, float]:
    """Second less first, of each run that both sides have."""
    return {key: second[key] - first[key] for key in first if key in second}


def relative_drops(whole: Runs, left: Runs) -> dict[Hashable, float]:
    """1 - left / whole in per cent, of each run that both sides have.

    >>> relative_drops({1: 0.8, 2: 0.5, 3: 0.6}, {1: 0.4, 2: 0.5})
    {1: 50.0, 2: 0.0}
    """
    both = {key: value for key, value in whole.items() if key in left and value > 0}
    return {key: 100 * (1 - left[key] / value) for key, value in both.items()}


def middle(values: Values, unit: str) -> str:
    """The median over runs with their range and number, in a few words.

    >>> middle([1.0, 2.06, 4.0], "%")
    '2.1 % (1.0 to 4.0, n=3)'
    """
    found = np.asarray(values, float)
    low, mid, high = (
        f"{round(one, 1) + 0.0:.1f}"  # never -0.0
        for one in (found.min(), float(np.median(found)), found.max())
    )
    return f"{mid} {unit} ({low} to {high}, n={len(found)})"


def _p_value(found: Float[np.ndarray, " pairs"]) -> float:
    n, mean = len(found), float(found.mean())
    error = float(found.std(ddof=1)) / math.sqrt(n)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / error))
