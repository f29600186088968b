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
    shared = [key for key in first if key in second]
    if not shared:
        return None
    differences = np.array([second[key] - first[key] for key in shared])
    interval = student_interval(differences)
    mean = float(differences.mean())
    if interval is None:
        return Paired(len(shared), mean, None, None, None)
    return Paired(len(shared), mean, *interval, _p_value(differences))


def _p_value(differences: Float[np.ndarray, " pairs"]) -> float:
    n, mean = len(differences), float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / error))
