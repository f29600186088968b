"""Many robust fits of one form at once: other starts, or other weights of the runs.

Levenberg's and Marquardt's method inside a box, all fits in step. A library's solver
takes one fit at a time, and a grid of 28 starts or 400 resamples then spends its time
between the calls. Runs of one size share their prediction, so their loss is read off
sums over the sorted runs: a step costs the same for five runs at a size as for 500.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bench.analysis import forms

Thetas = Float[np.ndarray, "fits parameters"]
Losses = Float[np.ndarray, " fits"]
OfSizes = Float[np.ndarray, "fits sizes"]

_STEPS = 200
_FIRST_DAMPING = 1e-3
_MOST_DAMPING = 1e12
_ENOUGH = 1e-13
"""A fit is done when a step would lower its loss by less than this share."""


@dataclass(frozen=True)
class Problem:
    """What all the fits share: the runs, and the box of the parameters."""

    z: Float[np.ndarray, " sizes"]
    """Distinct, rising: the logarithm of x over its centre."""
    of: Int[np.ndarray, " runs"]
    """Which size each run has, rising."""
    observed: Float[np.ndarray, " runs"]
    """Log error."""
    error_0: float
    low: Float[np.ndarray, " parameters"]
    high: Float[np.ndarray, " parameters"]
    corner: float
    """Residuals beyond it count linearly."""


@dataclass
class _State:
    """Where the fits stand."""

    theta: Thetas
    loss: Losses
    gradient: Thetas
    curvature: Float[np.ndarray, "fits parameters parameters"]
    size: Thetas
    """How stiff the loss is in each parameter, if every run pulled: what damps."""


@dataclass(frozen=True)
class _Sums:
    """What Huber's loss at any prediction needs of the runs of each size.

    A size has a stretch of places, one before each of its sorted runs and one after the
    last. Sums there count from the middle run outwards: those of near runs hold no far
    one, whose square would swallow them.
    """

    middle: Float[np.ndarray, " sizes"]
    runs: list[Float[np.ndarray, " runs"]]
    """Of each size, rising, less the middle one, in corners."""
    start: Int[np.ndarray, " sizes"]
    stop: Int[np.ndarray, " sizes"]
    count: Float[np.ndarray, "#fits places"]
    linear: Float[np.ndarray, "#fits places"]
    square: Float[np.ndarray, "#fits places"]


def _sums(problem: Problem, counts: Float[np.ndarray, "#fits runs"]) -> _Sums:
    sizes = len(problem.z)
    bounds = np.searchsorted(problem.of, np.arange(sizes + 1)).tolist()
    whole = np.zeros((3, len(counts), len(problem.of) + sizes))
    middle, runs = [], []
    for size, (first, last) in enumerate(itertools.pairwise(bounds)):
        order = first + np.argsort(problem.observed[first:last], kind="stable")
        found = problem.observed[order] / problem.corner
        half = len(found) // 2
        middle.append(found[half])
        runs.append(found - found[half])
        places = whole[:, :, first + size : last + size + 1]
        _outwards(counts[:, order], runs[-1], half, places)
    stop = np.array(bounds[1:]) + np.arange(sizes)
    start = np.array(bounds[:-1]) + np.arange(sizes)
    return _Sums(np.array(middle), runs, start, stop, *whole)


def _outwards(
    held: Float[np.ndarray, "fits runs"],
    runs: Float[np.ndarray, " runs"],
    half: int,
    places: Float[np.ndarray, "3 fits places"],
) -> None:
    """Count, sum and sum of squares from the middle to each place; negative below."""
    terms = held
    for power, place in enumerate(places):
        terms = terms * runs if power else held
        np.cumsum(-terms[:, :half][:, ::-1], axis=1, out=place[:, :half][:, ::-1])
        np.cumsum(terms[:, half:], axis=1, out=place[:, half + 1 :])


def minima(
    problem: Problem, starts: Thetas, counts: Float[np.ndarray, "#fits runs"]
) -> tuple[Thetas, Losses]:
    """The local minimum below each start, and Huber's loss there over the corner's
    square; a run counts `counts` times.
    """
    sums = _sums(problem, counts)
    moving = np.arange(len(starts))
    rows = moving if len(counts) > 1 else np.zeros_like(moving)
    now = _at(problem, np.clip(starts, problem.low, problem.high), sums, rows)
    damping = np.full(len(starts), _FIRST_DAMPING)
    for _ in range(_STEPS):
        theta = _stepped(problem, now, moving, damping[moving])
        then = _at(problem, theta, sums, rows[moving])
        gain = now.loss[moving] - then.loss
        better = gain > 0
        damping[moving] *= np.where(better, 0.2, 4.0)
        _take(now, then, moving, better)
        small = np.abs(gain) <= _ENOUGH * now.loss[moving]
        moving = moving[~small & (damping[moving] < _MOST_DAMPING)]
        if not len(moving):
            break
    return now.theta, now.loss


def _take(now: _State, then: _State, moving: np.ndarray, better: np.ndarray) -> None:
    """Put the fits that a step made better where it brought them."""
    for name in ("theta", "loss", "gradient", "curvature", "size"):
        getattr(now, name)[moving[better]] = getattr(then, name)[better]


def _at(problem: Problem, theta: Thetas, sums: _Sums, rows: np.ndarray) -> _State:
    """Loss, gradient and curvature of every fit; `rows` are their sums."""
    error, slopes = forms.with_slopes(theta, problem.z, problem.error_0)
    loss, pull, inside, stiff = _losses(
        np.log(error) / problem.corner - sums.middle, sums, rows[:, None]
    )
    slopes = slopes / problem.corner
    return _State(
        theta,
        loss.sum(axis=1),
        np.einsum("fsp,fs->fp", slopes, pull),
        np.einsum("fsp,fs,fsq->fpq", slopes, inside, slopes),
        np.einsum("fsp,fs->fp", slopes**2, stiff),
    )


def _losses(
    at: OfSizes, sums: _Sums, rows: np.ndarray
) -> tuple[OfSizes, OfSizes, OfSizes, OfSizes]:
    """At each prediction: loss, its slope, its curvature, and its stiffness if every
    run pulled: that of a parabola through the runs' mean distance.
    """
    ends = [
        np.searchsorted(runs, [one - 1, one + 1])
        for runs, one in zip(sums.runs, at.T, strict=True)
    ]
    low, high = (sums.start + np.array(ends).transpose(1, 2, 0)).reshape(2, *at.shape)
    count, linear, square = (
        [one[rows, place] for place in (sums.start, low, high, sums.stop)]
        for one in (sums.count, sums.linear, sums.square)
    )
    inside, first = count[2] - count[1], linear[2] - linear[1]
    second = square[2] - square[1]
    below, above = count[1] - count[0], count[3] - count[2]
    far_below = at * below - (linear[1] - linear[0])
    far_above = linear[3] - linear[2] - at * above
    near = 0.5 * (inside * at**2 - 2 * at * first + second)
    far = far_below + far_above - 0.5 * (below + above)
    stiff = inside + sum(
        part**2 / np.maximum(distance, 1e-300)
        for part, distance in ((below, far_below), (above, far_above))
    )
    pull = inside * at - first + below - above
    return np.maximum(near, 0) + far, pull, inside, stiff


def _stepped(
    problem: Problem, now: _State, moving: np.ndarray, damping: Losses
) -> Thetas:
    """A damped Newton step inside the box; a parameter pressed to its edge stays."""
    theta, gradient = now.theta[moving], now.gradient[moving]
    stuck = ((theta <= problem.low) & (gradient > 0)) | (
        (theta >= problem.high) & (gradient < 0)
    )
    stiff = np.maximum(now.size[moving], 1e-300)
    scale = np.sqrt(stiff)
    free = ~stuck
    both = free[:, :, None] & free[:, None, :]
    matrix = now.curvature[moving] / (scale[:, :, None] * scale[:, None, :])
    matrix = np.where(both, matrix, 0.0)
    at = np.arange(theta.shape[1])
    matrix[:, at, at] += np.where(free, damping[:, None], 1.0)
    right = np.where(free, gradient / scale, 0.0)
    step = np.linalg.solve(matrix, right[:, :, None])[:, :, 0] / scale
    return np.asarray(np.clip(theta - step, problem.low, problem.high))
