"""The joint surface of error over model size and data size, by variable projection.

    L(N, D) = E + A N^-alpha + B D^-beta

(Hoffmann et al. 2022, Training Compute-Optimal Large Language Models, equation 2, there
for a loss.) Given both exponents the surface is linear in E, A and B, which cannot be
negative: they are solved inside, robustly, and only the exponents are searched, from
many starts (Golub and Pereyra 1973). The loss is Huber's on the difference of log
errors, as in `fits`; a fit is refused, in words, where the runs do not identify it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares, nnls
from scipy.special import stdtrit

from bench.analysis.fits import DRAWS, HUBER, RIVAL_GAP, RIVAL_LOSS, Runs
from bench.analysis.resample import LEVEL, of_parameters, weights
from bench.analysis.stats import MIN_REPETITIONS

EQUATION = "L(N, D) = E + A N^-alpha + B D^-beta"
NAMES = ("E", "A", "alpha", "B", "beta")
MIN_SIDE = 3
"""Sizes of the model, and of the data: two fix no exponent beside an offset."""
TIED = 0.95
"""Correlation of their logarithms beyond which two sizes count as one."""
_LOWEST, _HIGHEST = 0.02, 5.0
"""Range of an exponent."""
_STARTS = (0.05, 0.1, 0.2, 0.4, 0.7, 1.2, 2.5)
_REFINED = 5
"""Starts that are searched to the end."""
_INNER_STEPS = 15
_FIRST_SCALE = 0.01

Columns = Float[np.ndarray, "runs 3"]


@dataclass(frozen=True)
class Plane:
    """Runs over model size and data size: their errors, and the two seeds of each."""

    size: Runs
    data: Runs
    error: Runs
    subset_seed: np.ndarray
    seed: np.ndarray

    def __len__(self) -> int:
        return len(self.error)

    def where(self, keep: np.ndarray) -> Plane:
        """Some of the runs."""
        seeds = self.subset_seed[keep], self.seed[keep]
        return Plane(self.size[keep], self.data[keep], self.error[keep], *seeds)


@dataclass(frozen=True)
class Surface:
    """One surface; its linear part stands at the centres of size and data."""

    linear: tuple[float, float, float]
    exponents: tuple[float, float]
    centre: tuple[float, float]

    def error(self, size: Runs, data: Runs) -> Runs:
        """Predicted error."""
        made: Runs = _columns(size, data, self.exponents, self.centre) @ self.linear
        return made

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters as they stand in the equation."""
        floor, *rest = self.linear
        values = [floor]
        for factor, power, centre in zip(
            rest, self.exponents, self.centre, strict=True
        ):
            values += [factor * centre**power, power]
        return dict(zip(NAMES, values, strict=True))


@dataclass(frozen=True)
class HeldOut:
    """Prediction of the largest model, or the largest data, from the others."""

    side: str
    """`size` or `data`."""
    at: float
    surface: float | None
    """Mean |log(predicted / observed)| over the held-out points; None if refused."""
    regression: float
    """The same of a plane through log error against both logarithms."""


@dataclass(frozen=True)
class SurfaceFit:
    """What came of fitting: a surface, or why there is none."""

    runs: int
    subsets: int
    seeds: int
    sizes: int
    datas: int
    refused: str = ""
    surface: Surface | None = None
    spread: float | None = None
    """Robust standard deviation of log error around the surface."""
    held_out: tuple[HeldOut, ...] = ()
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)


def fit(plane: Plane, draws: int = DRAWS) -> SurfaceFit:
    """Fit the surface to the runs; refuses in words what they do not identify."""
    made = SurfaceFit(
        runs=len(plane),
        subsets=len(np.unique(plane.subset_seed)),
        seeds=len(np.unique(plane.seed)),
        sizes=len(np.unique(plane.size)),
        datas=len(np.unique(plane.data)),
    )
    reason = too_little(plane)
    if reason:
        return replace(made, refused=reason)
    solutions = _solutions(plane)
    made = replace(made, held_out=tuple(_held_out(plane, s) for s in ("size", "data")))
    reason = _unidentified(plane, solutions)
    if reason:
        return replace(made, refused=reason)
    best = solutions[0]
    return replace(
        made,
        surface=best.surface,
        spread=best.scale,
        intervals=_intervals(plane, best, draws),
    )


def too_little(plane: Plane) -> str:
    """Why no surface is tried at all; empty if one is."""
    sides = (("model sizes", plane.size), ("data sizes", plane.data))
    for name, side in sides:
        have = len(np.unique(side))
        if have < MIN_SIDE:
            shown = name.removesuffix("s") if have == 1 else name
            return f"{have} {shown}, the surface needs {MIN_SIDE}"
    points = len(set(zip(plane.size.tolist(), plane.data.tolist(), strict=True)))
    if points <= len(NAMES):
        return f"{points} points of size and data, five parameters need 6"
    tied = float(np.corrcoef(np.log(plane.size), np.log(plane.data))[0, 1])
    if abs(tied) > TIED:
        return (
            f"model size and data size move together (correlation {tied:.2f}): their "
            "parts cannot be told apart"
        )
    if (plane.error <= 0).any():
        return "a run without any error: its logarithm is not defined"
    return ""


# The linear part, given the exponents -----------------------------------------


def _columns(
    size: Runs, data: Runs, exponents: Sequence[float], centre: Sequence[float]
) -> Columns:
    made = [
        (np.asarray(side, float) / middle) ** -power
        for side, middle, power in zip((size, data), centre, exponents, strict=True)
    ]
    return np.stack([np.ones_like(made[0]), *made], axis=-1)


def _projected(
    plane: Plane, columns: Columns, counts: Runs, scale: float
) -> tuple[Float[np.ndarray, " 3"], Runs]:
    """E, A and B that fit best, none negative, and the residuals of log error.

    Each step solves the problem with the logarithm straightened at the last
    prediction (Gauss and Newton) and Huber's weights there.
    """
    predicted, weight = plane.error, counts
    found = np.zeros(3)
    for _ in range(_INNER_STEPS):
        root = np.sqrt(weight)
        target = root * (1 + np.log(plane.error / predicted))
        last = found
        found, _ = nnls(columns * (root / predicted)[:, None], target)
        predicted = np.maximum(columns @ found, 1e-12)
        left = np.log(predicted / plane.error)
        weight = counts / np.maximum(np.abs(left) / (HUBER * scale), 1)
        if np.abs(found - last).max() <= 1e-8 * np.abs(found).max():
            break
    return found, np.asarray(left)


def _rooted(left: Runs, counts: Runs, scale: float) -> Runs:
    """Signed roots of Huber's loss: their squares sum to it."""
    z = left / (HUBER * scale)
    rho = np.where(np.abs(z) <= 1, z**2, 2 * np.abs(z) - 1)
    return np.asarray(np.sign(z) * np.sqrt(counts * rho))


# The search for exponents ----------------------------------------------------


@dataclass(frozen=True)
class _Solution:
    """A local optimum."""

    surface: Surface
    loss: float
    scale: float


def _solutions(plane: Plane) -> list[_Solution]:
    """Local optima from several starts, best first; the noise from a first round."""
    counts = np.ones(len(plane))
    grid = itertools.product(_STARTS, repeat=2)
    tried = sorted(grid, key=lambda one: _loss(plane, one, counts, _FIRST_SCALE))
    first = [_optimum(plane, one, counts, _FIRST_SCALE) for one in tried[:_REFINED]]
    best = min(first, key=lambda one: one.loss)
    scale = _robust_scale(plane, best.surface)
    found = [_optimum(plane, one.surface.exponents, counts, scale) for one in first]
    return sorted(found, key=lambda one: one.loss)


def _loss(
    plane: Plane, exponents: Sequence[float], counts: Runs, scale: float
) -> float:
    columns = _columns(plane.size, plane.data, exponents, _centre(plane))
    left = _projected(plane, columns, counts, scale)[1]
    return float(np.sum(_rooted(left, counts, scale) ** 2))


def _optimum(
    plane: Plane, start: Sequence[float], counts: Runs, scale: float
) -> _Solution:
    centre = _centre(plane)

    def residuals(log_exponents: np.ndarray) -> np.ndarray:
        columns = _columns(plane.size, plane.data, np.exp(log_exponents), centre)
        return _rooted(_projected(plane, columns, counts, scale)[1], counts, scale)

    low, high = math.log(_LOWEST), math.log(_HIGHEST)
    inside = np.clip(np.log(start), low + 1e-6, high - 1e-6)
    found = least_squares(residuals, inside, bounds=(low, high), max_nfev=60)
    exponents = tuple(map(float, np.exp(found.x)))
    columns = _columns(plane.size, plane.data, exponents, centre)
    linear = _projected(plane, columns, counts, scale)[0]
    a, b = exponents
    floor, of_size, of_data = map(float, linear)
    surface = Surface((floor, of_size, of_data), (a, b), centre)
    return _Solution(surface, 2 * float(found.cost), scale)


def _centre(plane: Plane) -> tuple[float, float]:
    size, data = (
        float(np.exp(np.mean(np.log(np.unique(side)))))
        for side in (plane.size, plane.data)
    )
    return size, data


def _robust_scale(plane: Plane, surface: Surface) -> float:
    """Median absolute residual as a standard deviation, corrected for the fit."""
    left = np.abs(np.log(surface.error(plane.size, plane.data) / plane.error))
    n = len(plane)
    freedom = max(n - len(NAMES), 1)
    return max(float(1.4826 * np.median(left) * math.sqrt(n / freedom)), 1e-6)


# Refusal ---------------------------------------------------------------------


def _unidentified(plane: Plane, solutions: list[_Solution]) -> str:
    """Why these parameters mean nothing; empty if they do."""
    best = solutions[0]
    sides = ("A", "alpha", "model size"), ("B", "beta", "data size")
    for number, (factor, power, side) in enumerate(sides):
        if best.surface.linear[1 + number] == 0:
            return f"{factor} is 0: the error does not fall with {side}"
        exponent = best.surface.exponents[number]
        if not 1.01 * _LOWEST < exponent < 0.99 * _HIGHEST:
            return f"{power} runs to the edge of its range: no optimum inside"
    halves = _half_widths(plane, best)
    if halves is None:
        return "the parameters trade off exactly: only some combination is determined"
    for number, (_, power, side) in enumerate(sides):
        if best.surface.exponents[number] <= halves[3 + number]:
            return f"{power} cannot be told from 0: the fall with {side} is uncertain"
    return _rival(plane, solutions)


def _half_widths(
    plane: Plane, best: _Solution
) -> Float[np.ndarray, " parameters"] | None:
    """95 % half-widths of E, A and B at the centres, and of both exponents, from the
    curvature; None where it is flat."""
    surface = best.surface
    columns = _columns(plane.size, plane.data, surface.exponents, surface.centre)
    logs = [
        np.log(side / middle)
        for side, middle in zip((plane.size, plane.data), surface.centre, strict=True)
    ]
    bent = [
        -surface.linear[1 + i] * columns[:, 1 + i] * logs[i] for i in range(len(logs))
    ]
    slopes = np.column_stack([columns, *bent]) / (columns @ surface.linear)[:, None]
    norms = np.linalg.norm(slopes, axis=0)
    scaled = slopes / norms
    values = np.linalg.svd(scaled, compute_uv=False)
    if not values[-1] > 1e-7 * values[0]:
        return None
    half = float(stdtrit(max(len(plane) - len(NAMES), 1), 0.5 + LEVEL / 2)) * best.scale
    return np.asarray(half * np.sqrt(np.diag(np.linalg.inv(scaled.T @ scaled))) / norms)


def _rival(plane: Plane, solutions: list[_Solution]) -> str:
    """A second optimum that fits as well and predicts something else."""
    far = np.array([10 * plane.size.max()]), np.array([10 * plane.data.max()])
    best = solutions[0]
    ahead = float(best.surface.error(*far)[0])
    for other in solutions[1:]:
        there = float(other.surface.error(*far)[0])
        alike = other.loss <= RIVAL_LOSS * best.loss
        if alike and abs(math.log(max(there, 1e-12) / max(ahead, 1e-12))) > RIVAL_GAP:
            return (
                f"two solutions fit alike and predict errors of {ahead:.3g} and "
                f"{there:.3g} at 10 x the largest model and data"
            )
    return ""


# Held out --------------------------------------------------------------------


def _held_out(plane: Plane, side: str) -> HeldOut:
    """The largest of one side predicted from the others."""
    values = plane.size if side == "size" else plane.data
    last = values == values.max()
    rest, target = plane.where(~last), plane.where(last)
    logs = [np.column_stack([np.ones(len(one)), np.log(one.size), np.log(one.data)])
            for one in (rest, target)]  # fmt: skip
    flat = np.linalg.lstsq(logs[0], np.log(rest.error), rcond=None)[0]
    own = None
    if not too_little(rest):
        made = _solutions(rest)[0].surface.error(target.size, target.data)
        own = _distance(target, np.log(made))
    at, line = float(values.max()), _distance(target, logs[1] @ flat)
    return HeldOut(side, at, own, line)


def _distance(target: Plane, predicted: Runs) -> float:
    """Mean over points of the distance to the mean log error of a point's runs."""
    points = np.column_stack([target.size, target.data])
    _, of = np.unique(points, axis=0, return_inverse=True)
    of = of.ravel()
    counts = np.bincount(of)
    off = np.bincount(of, weights=predicted - np.log(target.error)) / counts
    return float(np.abs(off).mean())


# Resampling ------------------------------------------------------------------


def _intervals(
    plane: Plane, best: _Solution, draws: int
) -> dict[str, tuple[float, float]]:
    """Of each parameter; none with fewer than five curves of seeds to draw again."""
    units = max(len(set(s.tolist())) for s in (plane.subset_seed, plane.seed))
    if units < MIN_REPETITIONS:
        return {}
    found = [(c, one.parameters) for c, one in _resampled(plane, best, draws)]
    halves = _half_widths(plane, best)
    assert halves is not None  # only an identified surface has intervals
    # At E = 0 no resample may move it; its end is then that of single runs.
    least = {"E": float(halves[0])}
    return of_parameters(best.surface.parameters, found, units, "E", least)


def _resampled(
    plane: Plane, best: _Solution, draws: int
) -> Iterator[tuple[float, Surface]]:
    """Whole subsets and seeds drawn again, at every size of model and data."""
    start = best.surface.exponents
    for chance, counts in weights(plane.subset_seed, plane.seed, draws):
        if not too_little(plane.where(counts > 0)):
            yield chance, _optimum(plane, start, counts, best.scale).surface
