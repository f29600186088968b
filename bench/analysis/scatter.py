"""How far a fit can be off by the scatter of its runs alone, whoever shared a seed.

A form that is refused when alpha cannot be told from 0 is shown more often where alpha
came out large, and most of all where five curves agree by luck. Where half of the sets
are refused, intervals from the spread of whole curves held the truth in 81 to 94 % of
the rest. They are therefore never made narrower than those from the scatter of single
runs: the curvature at the optimum, by the robust deviation around it. So too where
eps_inf of the offset form must be told from 0. A power law is hardly ever refused so,
and holds what it claims without it.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from bench.analysis import forms
from bench.analysis.forms import Curve
from bench.analysis.resample import LEVEL

SELECTED = ("offset", "saturating")
"""Forms that are shown or refused by how large a parameter came out."""

Scatter = Float[np.ndarray, "parameters parameters"]
"""Covariance of a curve's theta, in squared half-widths at 95 %."""


def of_theta(
    x: Float[np.ndarray, " runs"], curve: Curve, spread: float
) -> Scatter | None:
    """From the sizes of the runs and their deviation of log error; None if flat."""
    leans = slopes(curve, x)
    norms = np.linalg.norm(leans, axis=0)
    values = np.linalg.svd(leans / norms, compute_uv=False)
    if not values[-1] > 1e-7 * values[0]:
        return None
    freedom = max(len(x) - len(norms), 1)
    scaled = np.linalg.inv((leans / norms).T @ (leans / norms))
    half = float(stdtrit(freedom, 0.5 + LEVEL / 2)) * spread
    return np.asarray(half**2 * scaled / np.outer(norms, norms))


def of_log_error(
    curve: Curve, x: Float[np.ndarray, " sizes"], scatter: Scatter | None
) -> list[float]:
    """Half-width of the curve's log error at each x; 0 without a scatter."""
    if scatter is None:
        return [0.0] * len(x)
    leans = slopes(curve, x)
    squared = np.einsum("xp,pq,xq->x", leans, scatter, leans)
    return [math.sqrt(one) for one in squared]


def of_parameters(curve: Curve, scatter: Scatter | None) -> dict[str, float]:
    """Half-width of each parameter: of eps_inf itself, of the others' logarithm."""
    if scatter is None:
        return {}
    half = np.sqrt(np.diag(scatter))
    of_beta = np.zeros(len(half))
    of_beta[:2] = 1.0, math.log(curve.centre)
    made = {"beta": math.sqrt(of_beta @ scatter @ of_beta)}
    for name, at in (("c", 1), ("eps_inf", 2), ("alpha", 3)):
        if at < len(half):
            unit = 1.0 if name == "eps_inf" else curve.theta[at]
            made[name] = float(half[at]) / unit
    return made


def slopes(
    curve: Curve, x: Float[np.ndarray, " sizes"]
) -> Float[np.ndarray, "sizes parameters"]:
    """Derivatives of log error by each of theta, at each x."""
    z = np.log(np.asarray(x, float) / curve.centre)
    return forms.slopes(np.array(curve.theta), z, curve.error_0)
