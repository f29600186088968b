"""Scaling fits: robust, from many starts, with honest intervals, or a reason for none.

The loss is Huber's on the difference of log errors, so that one failed run bends
nothing. A fit is refused when the data do not identify its parameters: too few sizes, a
fall that the noise could explain, a parameter at the edge of its range, or two
solutions that fit alike and predict differently; and when the data reject the form: its
curve misses the means of the sizes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from bench.analysis import forms, huber, lack, scatter
from bench.analysis.forms import Curve
from bench.analysis.resample import factors, of_parameters, student_positive, weights
from bench.analysis.stats import MIN_REPETITIONS

DRAWS = 400
RIVAL_LOSS = 1.5
"""A solution whose loss is within this factor of the best fits as well as it."""
RIVAL_GAP = 0.2
"""... and predicts otherwise if its error at 10 x the largest size is 20 % off."""
_AT_ONCE = 500_000
"""Runs times resamples that are fitted together: some ten arrays of 4 MB."""
HUBER = 1.345
"""In standard deviations: 95 % efficient where the noise is normal (Huber 1981)."""
_FLOORS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.97, 0.995)
_ALPHAS = (0.1, 0.5, 1.0, 2.0)

Runs = Float[np.ndarray, " runs"]


@dataclass(frozen=True)
class Data:
    """Runs of one model: x, error in (0, 1), and the two seeds of each."""

    x: Runs
    error: Runs
    subset_seed: np.ndarray
    seed: np.ndarray
    error_0: float = 1.0
    """Error of guessing."""

    def __len__(self) -> int:
        return len(self.x)

    @property
    def sizes(self) -> Runs:
        """Distinct x, rising."""
        return np.unique(self.x)

    def where(self, keep: np.ndarray) -> Data:
        """Some of the runs."""
        seeds = self.subset_seed[keep], self.seed[keep]
        return Data(self.x[keep], self.error[keep], *seeds, self.error_0)


@dataclass(frozen=True)
class HeldOut:
    """Prediction of the largest size from the others."""

    x: float
    form: float | None
    """|log(predicted / observed)| of the form; None where the rest refuses a fit."""
    regression: float
    """The same of a straight line through log error against log x."""


@dataclass(frozen=True)
class Draw:
    """One resample: how likely it was, and its curve; None if too few sizes remain."""

    chance: float
    curve: Curve | None


@dataclass(frozen=True)
class Fit:
    """What came of fitting one form: a curve, or why there is none."""

    form: str
    runs: int
    subsets: int
    seeds: int
    refused: str = ""
    curve: Curve | None = None
    spread: float | None = None
    """Robust standard deviation of log error around the curve."""
    p_missed: float | None = None
    """Of means as far off the curve, if the form is right; None if not tested."""
    held_out: HeldOut | None = None
    draws: tuple[Draw, ...] = ()
    """One for each resample; empty with fewer than five curves to resample."""
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    scatter: np.ndarray | None = field(default=None, compare=False)
    """Squared 95 % half-widths of the curve's theta from the scatter of single runs: no
    interval is narrower. Null for a form that needs no such floor."""

    @property
    def n(self) -> str:
        """What was resampled, in words."""
        return f"{self.subsets} subset x {self.seeds} seed"

    @property
    def resampled(self) -> int:
        """Curves drawn from: of two factors the one with more."""
        return max(self.subsets, self.seeds)

    def band(self, x: Runs) -> tuple[Runs, Runs] | None:
        """The interval of the curve at each `x`."""
        if not self.draws:
            return None
        found = [
            (draw.chance, draw.curve.error(x)) for draw in self.draws if draw.curve
        ]
        chances = [chance for chance, _ in found]
        drawn = np.array([error for _, error in found]).T
        assert self.curve is not None  # only an identified fit has draws
        least = scatter.of_log_error(self.curve, x, self.scatter)
        each = zip(self.curve.error(x).tolist(), drawn, least, strict=True)
        n = self.resampled
        ends = [student_positive(e, one, chances, n, at) for e, one, at in each]
        low, high = np.array(ends).T
        return low, high


def fit(data: Data, form: str, draws: int = DRAWS) -> Fit:
    """Fit `form` to the runs; refuses in words what the data do not identify.

    Without `draws` there is no interval.
    """
    made = with_held_out(data, alone(data, form))
    return with_draws(data, made, draws) if made.curve and draws else made


def alone(data: Data, form: str) -> Fit:
    """A fit without what takes longest: its error on held-out runs, its intervals."""
    made = Fit(
        form, len(data), len(set(data.subset_seed)), len(set(data.seed)), refused=""
    )
    reason = too_little(data, form)
    if reason:
        return replace(made, refused=reason)
    solutions = _solutions(data, form, _starts(data, form))
    reason = _unidentified(data, form, solutions)
    if reason:
        return replace(made, refused=reason)
    best = solutions[0]
    p = _means(data, best.curve).p_missed
    if lack.reason(p):
        return replace(made, refused=lack.reason(p), p_missed=p)
    return replace(made, curve=best.curve, spread=best.scale, p_missed=p)


def with_held_out(data: Data, made: Fit) -> Fit:
    """A fit with what its form predicts of the largest size, where that can be."""
    if too_little(data, made.form):
        return made
    return replace(made, held_out=held_out(data, made.form))


def with_draws(data: Data, made: Fit, draws: int = DRAWS) -> Fit:
    """An identified fit with its intervals, where there are five curves or more."""
    assert made.curve is not None
    if made.resampled < MIN_REPETITIONS:
        return made
    resampled = tuple(_resampled(data, made, draws))
    found = None
    if made.form in scatter.SELECTED:
        found = scatter.of_theta(data.x, made.curve, made.spread or 0.0)
    intervals = _intervals(made.curve, resampled, made.resampled, found)
    return replace(made, draws=resampled, intervals=intervals, scatter=found)


# Fitting ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Solution:
    """A local optimum."""

    curve: Curve
    loss: float
    scale: float
    """Huber's corner is 1.345 of this: a robust deviation of log error."""


def _solutions(data: Data, form: str, starts: np.ndarray) -> list[_Solution]:
    """Local optima from several starts, best first.

    The scale of the noise comes from a first round.
    """
    counts = np.ones((1, len(data)))
    first = _optima(data, form, counts, starts, 0.01)
    best = min(first, key=lambda one: one.loss)
    scale = _robust_scale(data, best.curve, forms.count(form))
    again = np.array([one.curve.theta for one in first])
    found = _optima(data, form, counts, again, scale)
    return sorted(found, key=lambda one: one.loss)


def _optima(
    data: Data,
    form: str,
    counts: Float[np.ndarray, "#fits runs"],
    starts: Float[np.ndarray, "fits parameters"],
    scale: float,
) -> list[_Solution]:
    """The optimum below each start; a run drawn twice counts twice."""
    centre, order = _centre(data), np.argsort(data.x, kind="stable")
    sizes, of_size = np.unique(data.x[order], return_inverse=True)
    problem = huber.Problem(
        np.log(sizes / centre),
        of_size,
        np.log(data.error[order]),
        data.error_0,
        *_bounds(data, form),
        corner=HUBER * scale,
    )
    thetas, losses = huber.minima(problem, starts, counts[:, order])
    return [
        _Solution(Curve(form, tuple(theta), centre, data.error_0), loss, scale)
        for theta, loss in zip(thetas.tolist(), losses.tolist(), strict=True)
    ]


def _bounds(data: Data, form: str) -> tuple[np.ndarray, np.ndarray]:
    n = forms.count(form)
    low, high = forms.LOWEST[:n].copy(), forms.HIGHEST[:n].copy()
    if n > 2:
        high[2] = min(0.999 * _typical(data).min(), 0.999 * data.error_0)
    return low, high


def _typical(data: Data) -> Runs:
    """Median error at each size."""
    return np.array([np.median(data.error[data.x == x]) for x in data.sizes])


def _centre(data: Data) -> float:
    return float(np.exp(np.mean(np.log(data.sizes))))


def _starts(data: Data, form: str) -> np.ndarray:
    """Given eps_inf and alpha each form is a straight line: regress for a grid."""
    n = forms.count(form)
    least = float(_typical(data).min())
    floors = [share * least for share in _FLOORS] if n > 2 else [0.0]
    alphas = _ALPHAS if n > 3 else (0.0,)
    grid = np.array(list(itertools.product(floors, alphas)))
    return np.column_stack([*_lines(data, *grid.T), grid])[:, :n]


def _lines(data: Data, floors: Runs, alphas: Runs) -> tuple[Runs, Runs]:
    """Level and fall of the straight line for each floor and alpha."""
    below = np.maximum(data.error - floors[:, None], 0.01 * data.error)  # or under it
    left = np.log(np.maximum(data.error_0 - data.error, 1e-6))
    left = np.log(below) - alphas[:, None] * left
    slope, level = np.polyfit(np.log(data.x / _centre(data)), left.T, 1)
    return level, np.clip(-slope, 0.01, 5)


def _robust_scale(data: Data, curve: Curve, used: int) -> float:
    """Median absolute residual as a standard deviation, corrected for the fit."""
    left = np.abs(np.log(curve.error(data.x)) - np.log(data.error))
    freedom = max(len(data) - used, 1)
    return max(float(1.4826 * np.median(left) * math.sqrt(len(data) / freedom)), 1e-6)


# Refusal ---------------------------------------------------------------------


def too_little(data: Data, form: str) -> str:
    """Why no curve is tried at all; empty if one is."""
    need, have = forms.count(form) + 1, len(data.sizes)
    if have < need:
        return f"{have} size{'s' * (have != 1)} of x, {form} needs {need}"
    if (data.error <= 0).any():
        return "a run without any error: its logarithm is not defined"
    if form == "saturating" and (data.error >= data.error_0).any():
        worst = float(data.error.max())
        return f"an error of {worst:.3g} is no better than guessing ({data.error_0:g})"
    return ""


def _unidentified(data: Data, form: str, solutions: list[_Solution]) -> str:
    """Why these parameters mean nothing; empty if they do."""
    best = solutions[0]
    theta = np.array(best.curve.theta)
    low, high = _bounds(data, form)
    for number, name in enumerate(forms.NAMES[: len(theta)]):
        # eps_inf at 0 is no edge: the form without it.
        edges = (high[number],) if name == "eps_inf" else (low[number], high[number])
        span = high[number] - low[number]
        if name != "log_beta" and min(abs(theta[number] - e) for e in edges) < (
            1e-4 * span
        ):
            shown = "c" if name == "fall" else name
            return f"{shown} runs to the edge of its range: no optimum inside"
    errors = _half_widths(data, best)
    if errors is None:
        return "the parameters trade off exactly: only some combination is determined"
    if theta[1] <= errors[1]:
        return "c cannot be told from 0: the fall is within the noise"
    if len(theta) > 3 and theta[3] <= errors[3]:
        return "alpha cannot be told from 0: use offset"
    by_curves = _means(data, best.curve).half_widths
    if form == "offset" and theta[2] <= max(errors[2], by_curves[2]):
        return "eps_inf cannot be told from 0"
    return _rival(data, solutions)


def _means(data: Data, curve: Curve) -> lack.Means:
    """The means of the sizes beside the curve."""
    sizes, of_size = np.unique(data.x, return_inverse=True)
    left = np.log(data.error) - np.log(curve.error(data.x))
    curves = factors(data.subset_seed, data.seed)
    return lack.means(of_size, left, scatter.slopes(curve, sizes), curves)


def _half_widths(data: Data, best: _Solution) -> np.ndarray | None:
    """At 95 %, from the curvature at the optimum; None where it is flat."""
    found = scatter.of_theta(data.x, best.curve, best.scale)
    return None if found is None else np.asarray(np.sqrt(np.diag(found)))


def _rival(data: Data, solutions: list[_Solution]) -> str:
    """A second optimum that fits as well and predicts something else."""
    far = np.array([10 * data.sizes[-1]])
    best = solutions[0]
    ahead = float(best.curve.error(far)[0])
    for other in solutions[1:]:
        there = float(other.curve.error(far)[0])
        alike = other.loss <= RIVAL_LOSS * best.loss
        if alike and abs(math.log(there / ahead)) > RIVAL_GAP:
            return (
                f"two solutions fit alike and predict errors of {ahead:.3g} and "
                f"{there:.3g} at 10 x the largest size"
            )
    return ""


# Held out --------------------------------------------------------------------


def held_out(data: Data, form: str) -> HeldOut | None:
    """The largest size predicted from the others; None with three sizes or fewer."""
    sizes = data.sizes
    if len(sizes) < 4 or (data.error <= 0).any():
        return None
    last = data.x == sizes[-1]
    rest, target = data.where(~last), np.log(data.error[last]).mean()
    slope, level = np.polyfit(np.log(rest.x), np.log(rest.error), 1)
    line = abs(level + slope * math.log(sizes[-1]) - target)
    own = None
    if not too_little(rest, form):
        best = _solutions(rest, form, _starts(rest, form))[0]
        own = abs(math.log(float(best.curve.error(sizes[-1:])[0])) - target)
    return HeldOut(float(sizes[-1]), own, float(line))


# Resampling ------------------------------------------------------------------


def _resampled(data: Data, made: Fit, draws: int) -> Iterator[Draw]:
    """A curve for each resample, fitted from the one of all the runs."""
    assert made.curve is not None and made.spread is not None
    start, needed = np.array([made.curve.theta]), forms.count(made.form)
    drawn = weights(data.subset_seed, data.seed, draws)
    sizes, of_size = np.unique(data.x, return_inverse=True)
    belongs = (of_size[:, None] == np.arange(len(sizes))).astype(float)
    while some := list(itertools.islice(drawn, 1 + _AT_ONCE // len(data))):
        counts = np.array([one for _, one in some])
        enough = ((counts @ belongs) > 0).sum(axis=1) > needed
        starts = np.repeat(start, enough.sum(), axis=0)
        found = iter(_optima(data, made.form, counts[enough], starts, made.spread))
        for (chance, _), fitted in zip(some, enough, strict=True):
            yield Draw(chance, next(found).curve if fitted else None)


def _intervals(
    curve: Curve, draws: Sequence[Draw], n: int, least: np.ndarray | None
) -> dict[str, tuple[float, float]]:
    found = [(draw.chance, draw.curve.parameters) for draw in draws if draw.curve]
    if not found:
        return {}
    narrowest = scatter.of_parameters(curve, least)
    return of_parameters(curve.parameters, found, n, "eps_inf", narrowest)
