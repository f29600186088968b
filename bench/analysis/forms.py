"""The curves that error may follow as x grows: data, images seen, parameters.

    power        eps(x) = beta x^c
    offset       eps(x) = eps_inf + beta x^c
    saturating   (eps(x) - eps_inf) / (eps_0 - eps(x))^alpha = beta x^c

with c < 0. The last is M4 of Alabdulmohsin, Neyshabur and Zhai (2022, Revisiting Neural
Scaling Laws in Language and Vision): it leaves the error of guessing, eps_0, at small x
and nears eps_inf at large x. eps_0 is known, one less the chance accuracy; it is never
fitted. The three are nested: alpha = 0 gives offset, eps_inf = 0 besides gives power.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Array = Float[np.ndarray, "..."]
Theta = Float[np.ndarray, "*fits parameters"]
"""One fit's parameters, or many fits', one a row."""

EQUATIONS = {
    "power": "eps(x) = beta x^c",
    "offset": "eps(x) = eps_inf + beta x^c",
    "saturating": "(eps(x) - eps_inf) / (eps_0 - eps(x))^alpha = beta x^c",
}
FORMS = tuple(EQUATIONS)
_PLAIN = (
    "Where the form is right, the {form} form's 95 % intervals held its parameters, "
    "and its band the true curve, in 90 to 100 % of simulated sets"
)
HELD = {
    "power": _PLAIN.format(form="power") + ".",
    "offset": _PLAIN.format(form="offset") + "; where the floor was so small that most "
    "sets were refused, those left held them in 55 to 100 %.",
    "saturating": "Where the form is right, the saturating form's 95 % intervals held "
    "its parameters in 95 to 100 % of simulated sets, its band the true curve in 93 to "
    "100 %; where six sizes hardly bend, half of the sets were refused.",
}
"""How often the intervals of a form held the truth, of sets that were not refused. Each
kind of set: six or seven sizes, five or eight draws, 2 to 10 % of noise of a run with
or without as much of a draw; 100 sets of each kind, of the saturating form 60 of each
of ten kinds, 2 % and five draws. Of offset 150 of each of fifteen kinds, eps_inf 0.004
to 0.05, and 200 of four kinds like Mixer-XXS/4's over the fractals: four sizes, five
draws, the last size scattering four times as much as the first. There a floor of 0.005
left 18 of 200, and 10 of their intervals of eps_inf held it. A right form missed its
means, as `lack` has it, in 0 to 1.7 % of 300 sets of each of 72 kinds: power and
offset, four to eight sizes, 3 to 10 draws, sizes alike or not, draws that shift or tilt
a curve or not."""
SHORTFALL = {form: HELD[form] for form in ("offset", "saturating")}
"""What a figure says of a form that is often refused."""

NAMES = ("log_beta", "fall", "eps_inf", "alpha")
"""Parameters in order; fall is -c, and log_beta stands at the centre of x."""
LOWEST = np.array([-50.0, 1e-3, 0.0, 0.02])
HIGHEST = np.array([50.0, 10.0, 1.0, 10.0])
_NEWTON_STEPS = 60


@dataclass(frozen=True)
class Curve:
    """One curve of a form: its parameters, the centre of x, the error of guessing."""

    form: str
    theta: tuple[float, ...]
    centre: float
    error_0: float = 1.0

    def error(self, x: Array) -> Array:
        """Predicted error at `x`."""
        z = np.log(np.asarray(x, float) / self.centre)
        return predict(np.array(self.theta), z, self.error_0)

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters as they stand in the equation."""
        log_beta, fall, *rest = self.theta
        # beta belongs to x itself, not to x over the centre.
        found = {"beta": float(np.exp(log_beta + fall * np.log(self.centre)))}
        found["c"] = -fall
        return found | dict(zip(NAMES[2:], rest, strict=False))


def count(form: str) -> int:
    """How many parameters the form has.

    >>> [count(form) for form in FORMS]
    [2, 3, 4]
    """
    return 2 + FORMS.index(form)


def predict(theta: Theta, z: Array, error_0: float) -> Array:
    """Error at z, the logarithm of x over its centre."""
    log_right = theta[..., 0, None] - theta[..., 1, None] * z
    floor = theta[..., 2, None] if theta.shape[-1] > 2 else 0.0
    if theta.shape[-1] < 4:
        return np.asarray(floor + np.exp(np.clip(log_right, -300, 300)))
    span, alpha = error_0 - floor, theta[..., 3, None]
    share = _solved(log_right + (alpha - 1) * np.log(span), alpha)
    return np.asarray(floor + span * share)


def _solved(right: Array, alpha: Array) -> Array:
    """The share u in (0, 1) with log u - alpha log(1 - u) = right.

    Newton's method in v = logit(u). There the left side is concave or convex and its
    slope lies between 1 and alpha, so every start converges.
    """
    v = np.where(right < 0, right, right / alpha)
    for _ in range(_NEWTON_STEPS):
        u = 1 / (1 + np.exp(-np.clip(v, -700, 700)))
        left = -np.logaddexp(0, -v) + alpha * np.logaddexp(0, v)
        step = (left - right) / (1 - u + alpha * u)
        v = v - step
        if np.abs(step).max(initial=0.0) < 1e-12:
            break
    return np.asarray(1 / (1 + np.exp(-np.clip(v, -700, 700))))


def slopes(theta: Theta, z: Array, error_0: float) -> Array:
    """Derivatives of log error by each parameter: one row per z."""
    return with_slopes(theta, z, error_0)[1]


def with_slopes(theta: Theta, z: Array, error_0: float) -> tuple[Array, Array]:
    """Error at z, and the derivatives of its logarithm by each parameter."""
    error = predict(theta, z, error_0)
    count = theta.shape[-1]
    floor = theta[..., 2, None] if count > 2 else 0.0
    above = np.maximum(error - floor, 1e-300)
    columns = [above, -z * above]
    if count > 2:
        columns.append(np.ones_like(above))
    if count > 3:
        # The equation holds along every change, so error moves by 1 / its own slope.
        below = np.maximum(error_0 - error, 1e-300)
        stiff = 1 + theta[..., 3, None] * above / below
        columns = [column / stiff for column in columns]
        columns.append(np.log(below) * above / stiff)
    return error, np.asarray(np.stack(columns, axis=-1) / error[..., None])
