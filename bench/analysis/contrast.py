"""Two sets of repetitions: their ratio, its interval, and a family of such tests.

Welch's t test (Welch 1947, Biometrika 34) on the logarithms: rates are positive and
their noise is relative. The repetition is the unit. Several tests are adjusted by
Holm's step-down procedure (Holm 1979, Scand. J. Statist. 6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr, stdtrit

from bench.analysis.stats import MIN_REPETITIONS

LEVEL = 0.95
POWER = 0.8
"""How often a plan of repetitions is to succeed."""

Values = Sequence[float] | Float[np.ndarray, " repetitions"]


@dataclass(frozen=True)
class Contrast:
    """How much larger the second set is, on the scale of logarithms."""

    log_ratio: float
    error: float
    freedom: float
    variance: float
    """Of one repetition of both sides together: `error`'s square falls with their n."""

    @property
    def ratio(self) -> float:
        """Second over first, of the geometric means."""
        return math.exp(self.log_ratio)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Interval of `ratio`."""
        half = self._half(level)
        return math.exp(self.log_ratio - half), math.exp(self.log_ratio + half)

    def p_beyond(self, effect: float) -> float:
        """p value against a ratio that is within `effect` of one, either way."""
        distance = abs(self.log_ratio) - math.log1p(effect)
        if distance <= 0:
            return 1.0
        if self.error == 0:
            return 0.0
        return float(min(1.0, 2 * stdtr(self.freedom, -distance / self.error)))

    def repetitions_for(self, effect: float, level: float = LEVEL) -> int:
        """Repetitions a side that would tell on which side of `effect` the ratio is.

        If it is where it is seen now, four times in five. One seen at `effect` itself
        no number could tell: there half of `effect` is to be told. From this noise: a
        plan, not a promise.
        """
        bar = math.log1p(effect)
        beyond = abs(self.log_ratio) - bar
        distance = max(bar / 2, abs(beyond))
        power = POWER if beyond > 0 else (1 + POWER) / 2  # within it both ends must be
        count, freedom = MIN_REPETITIONS, 1e6
        for _ in range(4):  # Student's quantiles need the count that they give
            quantiles = stdtrit(freedom, 0.5 + level / 2) + stdtrit(freedom, power)
            need = math.ceil(self.variance * (quantiles / distance) ** 2)
            count = max(MIN_REPETITIONS, need)
            freedom = count - 1  # one side may carry all the noise
        return count

    def _half(self, level: float) -> float:
        return float(self.error * stdtrit(self.freedom, 0.5 + level / 2))


def contrast(first: Values, second: Values) -> Contrast | None:
    """The contrast of two sets of positive values; None below five on a side."""
    if min(len(first), len(second)) < MIN_REPETITIONS:
        return None
    a, b = np.log(np.asarray(first, float)), np.log(np.asarray(second, float))
    spread = np.array([a.var(ddof=1), b.var(ddof=1)])
    shares = spread / np.array([len(a), len(b)])
    total = float(shares.sum())
    parts = shares**2 / (np.array([len(a), len(b)]) - 1)
    freedom = total**2 / float(parts.sum()) if total else 1.0
    moved = float(b.mean() - a.mean())
    return Contrast(moved, math.sqrt(total), freedom, float(spread.sum()))


def geometric_mean(values: Values) -> float:
    """Of positive values: what `Contrast.ratio` is a ratio of."""
    return math.exp(float(np.log(np.asarray(values, float)).mean()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values: reject those at or under alpha, and some error is at most it.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = highest
    return adjusted
