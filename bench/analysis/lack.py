"""Whether a curve misses the means of its sizes by more than its runs scatter.

What is left of the means of log error once the curve's own parameters may move is held
against the scatter of whole curves of a seed: a repeated-measures F with Greenhouse's
and Geisser's correction (Box 1954; Greenhouse and Geisser 1959). It assumes curves that
are independent of each other, and log errors near normal. Runs inside a curve may be
related in any way, and sizes may scatter unlike. With few curves it refuses a right
form less often than its level says, never much more often. A wild run widens the
scatter and so hides a miss.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import fdtrc

MIN_CURVES = 3
"""At each size; of two there is hardly a scatter."""
LEVEL = 0.01
_NOTHING = 1e-18
"""Squared scatter of log error that is rounding: curves equal in every digit."""

Labels = Int[np.ndarray, " runs"]


def p_value(
    point: Labels,
    left: Float[np.ndarray, " runs"],
    slopes: Float[np.ndarray, "points parameters"],
    factors: Sequence[Labels],
) -> float | None:
    """The chance of means as far off as these, if the form is right.

    None where a point has fewer than three curves of every kind, or curves do not
    differ.

    Args:
        point: which size each run has, from 0.
        left: log error less the curve's.
        slopes: derivatives of the curve's log error by its parameters, at each point.
        factors: which curve of each kind a run belongs to, from 0; with two kinds
            (each seed meets each subset) their scatters add.
    """
    counts = np.bincount(point)
    means = np.bincount(point, left) / counts
    free = np.linalg.qr(slopes, mode="complete")[0][:, slopes.shape[1] :]
    parts: list[tuple[np.ndarray, int]] = []
    for factor in factors:
        curves = np.zeros((factor.max() + 1, len(counts)))
        np.add.at(curves, (factor, point), (left - means[point]) / counts[point])
        there = np.zeros(curves.shape, bool)
        there[factor, point] = True
        n = there.sum(axis=0)
        if n.min() < 2:
            return None
        moved = curves * np.sqrt(n / (n - 1)) @ free
        parts.append((moved.T @ moved, int(n.min()) - 1))
    if max(freedom for _, freedom in parts) < MIN_CURVES - 1:
        return None
    return _tail(means @ free, parts)


def _tail(
    off: Float[np.ndarray, " free"],
    parts: Sequence[tuple[Float[np.ndarray, "free free"], int]],
) -> float | None:
    """Upper tail of F; Satterthwaite's degrees of freedom where scatters add."""
    traces = [float(np.trace(part)) for part, _ in parts]
    total = sum(traces)
    if total <= _NOTHING:
        return None
    both = sum(part for part, _ in parts)
    dimensions = total**2 / float(np.sum(both**2))
    freedom = [one**2 / n for one, (_, n) in zip(traces, parts, strict=True)]
    below = dimensions * total**2 / sum(freedom)
    return float(fdtrc(dimensions, below, float(off @ off) / total))


def reason(p: float | None) -> str:
    """In words, why a form that misses is refused; empty if it does not, or untested.

    >>> reason(0.00071)
    'misses the means of the sizes: p = 0.0007'
    >>> reason(1e-9)
    'misses the means of the sizes: p < 0.0001'
    """
    if p is None or p >= LEVEL:
        return ""
    shown = "< 0.0001" if p < 1e-4 else f"= {p:.1g}"
    return f"misses the means of the sizes: p {shown}"
