"""Many robust fits of one form at once: other starts, or other weights of the runs.

Levenberg's and Marquardt's method inside a box, all fits in step. A library's solver
takes one fit at a time, and a grid of 28 starts or 400 resamples then spends its time
between the calls. Runs of one size share their prediction, so a step costs little more
for two hundred runs at a size than for one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bench.analysis import forms

Thetas = Float[np.ndarray, "fits parameters"]
Losses = Float[np.ndarray, " fits"]

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


def minima(
    problem: Problem, starts: Thetas, counts: Float[np.ndarray, "#fits runs"]
) -> tuple[Thetas, Losses]:
    """The local minimum below each start, and Huber's loss there over the corner's
    square; a run counts `counts` times.
    """
    now = _at(problem, np.clip(starts, problem.low, problem.high), counts)
    damping = np.full(len(starts), _FIRST_DAMPING)
    moving = np.arange(len(starts))
    for _ in range(_STEPS):
        theta = _stepped(problem, now, moving, damping[moving])
        held = counts[moving] if len(counts) > 1 else counts
        then = _at(problem, theta, held)
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


def _at(problem: Problem, theta: Thetas, counts: np.ndarray) -> _State:
    """Loss, gradient and curvature of every fit."""
    error, slopes = forms.with_slopes(theta, problem.z, problem.error_0)
    left = (np.log(error)[:, problem.of] - problem.observed) / problem.corner
    far = np.abs(left)
    inside = far <= 1
    rho = np.where(inside, 0.5 * left * left, far - 0.5)
    pull = counts * np.clip(left, -1, 1)
    first = np.flatnonzero(np.diff(problem.of, prepend=-1))
    weights = [
        np.add.reduceat(np.broadcast_to(one, left.shape), first, axis=1)
        for one in (pull, counts * inside, counts / np.maximum(far, 1))
    ]
    slopes = slopes / problem.corner
    return _State(
        theta,
        (counts * rho).sum(axis=1),
        np.einsum("fsp,fs->fp", slopes, weights[0]),
        np.einsum("fsp,fs,fsq->fpq", slopes, weights[1], slopes),
        np.einsum("fsp,fs->fp", slopes**2, weights[2]),
    )


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
