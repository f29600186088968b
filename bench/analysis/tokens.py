"""Cost against the number of tokens S: how much of it is quadratic.

    cost = a + b S + c S^2

The claim is about c: zero for a Mixer whose D_S stays, 2 L D multiply-accumulates for
a ViT of L blocks and width D. There is no single exponent: the two parts are equal at
S* = b / c, which for a ViT's blocks is 6 D (4,608 tokens for B/16), and well below it
a quadratic cost looks linear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from bench.errors import ResultsError

Parts = Float[np.ndarray, "parts"]
Covariance = Float[np.ndarray, "parts parts"]

LEVEL = 0.95
PARTS = 3
"""a, b and c."""


@dataclass(frozen=True)
class Exact:
    """The polynomial that a closed form follows, in whole numbers and fractions."""

    a: Fraction
    b: Fraction
    c: Fraction

    @property
    def crossover(self) -> float | None:
        """S*, where the quadratic part equals the linear one; None without one."""
        return float(self.b / self.c) if self.c else None

    def at(self, tokens: float) -> float:
        """The cost of `tokens`."""
        return float(self.a) + float(self.b) * tokens + float(self.c) * tokens**2


@dataclass(frozen=True)
class Fit:
    """A fit to measured costs; intervals are of 95 %, null without a spare point."""

    a: float
    b: float
    c: float
    c_low: float | None
    c_high: float | None
    crossover: float | None
    """S* = b / c; null unless b and c are both certainly above zero."""
    crossover_low: float | None
    crossover_high: float | None
    n: int
    worst: float
    """Largest distance of a point from the curve, as a share of the curve."""

    def at(self, tokens: float) -> float:
        """The cost of `tokens`."""
        return self.a + self.b * tokens + self.c * tokens**2


def exact(tokens: Sequence[int], cost: Sequence[int]) -> Exact:
    """The polynomial through a closed form's points; refuses what is not quadratic."""
    points = dict(zip(map(int, tokens), map(int, cost), strict=True))
    if len(points) < PARTS:
        raise ResultsError(
            f"a closed form at {len(points)} token counts; three are needed"
        )
    (s0, y0), (s1, y1), (s2, y2) = sorted(points.items())[:PARTS]
    slope, next_slope = Fraction(y1 - y0, s1 - s0), Fraction(y2 - y1, s2 - s1)
    c = (next_slope - slope) / (s2 - s0)
    b = slope - c * (s0 + s1)
    a = y0 - b * s0 - c * s0**2
    for s, y in points.items():
        if a + b * s + c * s**2 != y:
            raise ResultsError(
                f"the cost at {s} tokens is not on the quadratic of the first three "
                "token counts; give rows of one model whose D_S follows one rule"
            )
    return Exact(a, b, c)


def fit(tokens: Sequence[float], cost: Sequence[float]) -> Fit | None:
    """Least squares of relative errors; None with fewer than three token counts.

    Each point is one fresh process, so the scatter about the curve holds what differs
    between processes, and also what no quadratic describes (caches): both widen the
    intervals. Errors are taken as relative, because noise grows with time.
    """
    s, y = np.asarray(tokens, np.float64), np.asarray(cost, np.float64)
    if len(np.unique(s)) < PARTS:
        return None
    scale = float(s.max())  # so that the columns are of one size
    columns = np.stack([np.ones_like(s), s / scale, (s / scale) ** 2], axis=1)
    design = columns / y[:, None]
    parts, *_ = np.linalg.lstsq(design, np.ones_like(y), rcond=None)
    units = np.array([1.0, scale, scale**2])
    covariance = _covariance(design, parts)
    a, b, c = (float(value) for value in parts / units)
    half = (
        None if covariance is None else _quantile(len(s)) * math.sqrt(covariance[2, 2])
    )
    low, high = _crossover_interval(parts, covariance, len(s), scale)
    sure = low is not None
    return Fit(
        a=a,
        b=b,
        c=c,
        c_low=None if half is None else c - half / scale**2,
        c_high=None if half is None else c + half / scale**2,
        crossover=b / c if sure else None,
        crossover_low=low,
        crossover_high=high,
        n=len(s),
        worst=float(np.max(np.abs(y / (columns @ parts) - 1))),
    )


def _covariance(
    design: Float[np.ndarray, "points parts"], parts: Parts
) -> Covariance | None:
    spare = len(design) - PARTS
    if spare < 1:
        return None
    rest = 1.0 - design @ parts
    inverse: Covariance = np.linalg.inv(design.T @ design)
    return inverse * float(rest @ rest) / spare


def _quantile(n: int) -> float:
    return float(stdtrit(n - PARTS, (1 + LEVEL) / 2))


def _crossover_interval(
    parts: Parts,
    covariance: Covariance | None,
    n: int,
    scale: float,
) -> tuple[float | None, float | None]:
    """Fieller's interval of b / c; none where b or c may be zero or below.

    It is the set of ratios r for which b - r c is not certainly different from zero,
    bounded exactly when c is certainly not zero.
    """
    if covariance is None:
        return None, None
    b, c = parts[1], parts[2]
    t2 = _quantile(n) ** 2
    vb, vc, bc = covariance[1, 1], covariance[2, 2], covariance[1, 2]
    if c <= math.sqrt(t2 * vc) or b <= math.sqrt(t2 * vb):
        return None, None
    square, middle, rest = c * c - t2 * vc, b * c - t2 * bc, b * b - t2 * vb
    root = math.sqrt(max(middle**2 - square * rest, 0.0))
    return (middle - root) / square * scale, (middle + root) / square * scale
