"""What whole curves of a seed say of a fitted curve: whether it misses the means of its
sizes, and how far its parameters can be off.

What is left of the means of log error once the curve's own parameters may move is held
against the scatter of whole curves: a repeated-measures F with Greenhouse's and
Geisser's correction (Box 1954; Greenhouse and Geisser 1959). It assumes curves that are
independent of each other, and log errors near normal. Runs inside a curve may be
related in any way, and sizes may scatter unlike. With few curves it refuses a right
form less often than its level says, never much more often. A wild run widens the
scatter and so hides a miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import fdtrc, stdtrit

from bench.analysis import resample

MIN_CURVES = 3
"""At each size; of two there is hardly a scatter."""
UNTESTED = f"fit not tested: under {MIN_CURVES} curves at a size that differ"
LEVEL = 0.01
_NOTHING = 1e-18
"""Squared scatter of log error that is rounding: curves equal in every digit."""

Labels = Int[np.ndarray, " runs"]
Vector = Float[np.ndarray, " parameters"]


@dataclass(frozen=True)
class Means:
    """Means of log error at each size beside a curve, and their scatter."""

    left: Float[np.ndarray, " sizes"]
    """Mean log error less the curve's."""
    slopes: Float[np.ndarray, "sizes parameters"]
    """Derivatives of the curve's log error by its parameters."""
    counts: Int[np.ndarray, " sizes"]
    """Runs."""
    parts: tuple[tuple[Float[np.ndarray, "sizes sizes"], int], ...]
    """Covariance of the means from each kind of curve, and its degrees of freedom.
    Empty where a size has fewer than three curves of every kind."""

    @property
    def p_missed(self) -> float | None:
        """The chance of means as far off as these, if the form is right.

        None where there are too few curves, or curves that do not differ.
        """
        free = np.linalg.qr(self.slopes, mode="complete")[0][:, len(self.slopes.T) :]
        parts = [(free.T @ part @ free, n) for part, n in self.parts]
        traces = np.array([np.trace(part) for part, _ in parts])
        total = float(traces.sum())
        if total <= _NOTHING:
            return None
        both = sum(part for part, _ in parts)
        dimensions = total**2 / float(np.sum(both**2))
        below = dimensions * _freedom(traces, [n for _, n in parts])
        off = self.left @ free
        return float(fdtrc(dimensions, below, float(off @ off) / total))

    @property
    def half_widths(self) -> Vector:
        """Of the curve's theta at 95 %, to first order; 0 with too few curves."""
        weighted = self.slopes * self.counts[:, None]
        solve = np.linalg.solve(weighted.T @ self.slopes, weighted.T)
        made = [np.diag(solve @ part @ solve.T) for part, _ in self.parts]
        variances = np.array(made).sum(axis=0)
        if not made or not variances.all():
            return np.zeros(len(solve))
        freedom = _freedom(np.array(made), [n for _, n in self.parts])
        far = stdtrit(freedom, 0.5 + resample.LEVEL / 2)
        return np.asarray(far * np.sqrt(variances))


def _freedom(variances: np.ndarray, freedoms: Sequence[int]) -> np.ndarray:
    """Satterthwaite's degrees of freedom where variances add."""
    shares = variances / variances.sum(axis=0)
    return np.asarray(1 / sum(s**2 / n for s, n in zip(shares, freedoms, strict=True)))


def means(
    size: Labels,
    left: Float[np.ndarray, " runs"],
    slopes: Float[np.ndarray, "sizes parameters"],
    factors: Sequence[Labels],
) -> Means:
    """The means of runs beside a curve.

    Args:
        size: which size each run has, from 0.
        left: log error less the curve's.
        slopes: derivatives of the curve's log error by its parameters, at each size.
        factors: which curve of each kind a run belongs to, from 0; with two kinds
            (each seed meets each subset) their scatters add.
    """
    counts = np.bincount(size)
    mean = np.bincount(size, left) / counts
    parts = tuple(_part(size, (left - mean[size]) / counts[size], f) for f in factors)
    enough = max(n for _, n in parts) >= MIN_CURVES - 1 and min(n for _, n in parts) > 0
    return Means(mean, slopes, counts, parts if enough else ())


def _part(
    size: Labels, moves: Float[np.ndarray, " runs"], factor: Labels
) -> tuple[Float[np.ndarray, "sizes sizes"], int]:
    """How each curve moves the means, as a covariance: sizes it lacks it leaves."""
    shape = factor.max() + 1, size.max() + 1
    curves, there = np.zeros(shape), np.zeros(shape, bool)
    np.add.at(curves, (factor, size), moves)
    there[factor, size] = True
    n = there.sum(axis=0)
    curves *= np.sqrt(n / np.maximum(n - 1, 1))
    return curves.T @ curves, int(n.min()) - 1


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
