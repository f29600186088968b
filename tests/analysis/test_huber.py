"""Many fits at once find what scipy finds one at a time, inside the same box."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from bench.analysis import forms, huber

Z = np.linspace(-3, 3, 7)
TRUTH = np.array([-1.6, 0.6, 0.04, 0.7])


def problem(parameters, noise, corner, copies=3):
    rng = np.random.default_rng(1)
    of = np.repeat(np.arange(len(Z)), copies)
    exact = np.log(forms.predict(TRUTH[:parameters], Z, 0.9))
    observed = exact[of] + noise * rng.standard_t(2, len(of))  # some runs are wild
    low, high = forms.LOWEST[:parameters].copy(), forms.HIGHEST[:parameters].copy()
    if parameters > 2:
        high[2] = 0.999 * np.exp(observed.min())
    return huber.Problem(Z, of, observed, 0.9, low, high, corner)


def scipys(one, start, counts):
    """Parameters and loss by the library, in the units of `huber.minima`."""

    def residuals(theta):
        error = forms.predict(theta, one.z, one.error_0)
        return np.log(error)[one.of] - one.observed

    def rho(square):  # Huber's, with derivatives, times how often a run was drawn
        root, inside = np.sqrt(np.maximum(square, 1)), square <= 1
        value = np.where(inside, square, 2 * root - 1)
        slope = np.where(inside, 1.0, 1 / root)
        return counts * np.array([value, slope, np.where(inside, 0, -0.5 / root**3)])

    found = least_squares(
        residuals,
        np.clip(start, one.low + 1e-9, one.high - 1e-9),
        bounds=(one.low, one.high),
        x_scale="jac",
        loss=rho,
        f_scale=one.corner,
        xtol=1e-12,
        ftol=1e-12,
    )
    return found.x, found.cost / one.corner**2


@pytest.mark.parametrize("parameters", [2, 3, 4])
@pytest.mark.parametrize("corner", [0.01, 0.1])
def test_each_start_ends_no_higher_than_with_scipy(parameters, corner):
    one = problem(parameters, 0.03, corner)
    offsets = np.array(
        [[0, 0, 0, 0], [0.5, 0.3, -0.02, 0.5], [-0.5, -0.2, -0.04, -0.5]]
    )
    starts = (TRUTH + offsets)[:, :parameters]
    thetas, losses = huber.minima(one, starts, np.ones((1, len(one.of))))
    for start, loss in zip(starts, losses, strict=True):
        assert loss <= scipys(one, start, 1.0)[1] * (1 + 1e-6)
    assert (thetas >= one.low).all() and (thetas <= one.high).all()


def test_weights_are_each_fits_own():
    one = problem(3, 0.03, 0.05)
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, (5, len(one.of))).astype(float)
    thetas, losses = huber.minima(one, np.repeat(TRUTH[None, :3], 5, axis=0), counts)
    for own, theta, loss in zip(counts, thetas, losses, strict=True):
        wanted, least = scipys(one, TRUTH[:3], own)
        assert loss == pytest.approx(least, rel=1e-6)
        assert theta == pytest.approx(wanted, rel=1e-3, abs=1e-4)


def test_a_parameter_pressed_to_its_edge_stays_there():
    one = problem(2, 0.0, 0.05)
    high = one.high.copy()
    high[1] = 0.3  # the truth falls twice as fast
    boxed = huber.Problem(Z, one.of, one.observed, 0.9, one.low, high, 0.05)
    starts = np.array([[-1.0, 0.1], [-2.0, 0.3]])
    thetas, losses = huber.minima(boxed, starts, np.ones((1, len(one.of))))
    assert thetas[:, 1].tolist() == [0.3, 0.3]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_without_fits_there_is_nothing():
    one = problem(2, 0.01, 0.05)
    thetas, losses = huber.minima(one, np.empty((0, 2)), np.empty((0, len(one.of))))
    assert (thetas.shape, losses.shape) == ((0, 2), (0,))


def test_sums_give_the_loss_of_each_run():
    """At any prediction, far runs, wild runs and runs not drawn included."""
    rng = np.random.default_rng(2)
    of = np.repeat(np.arange(3), [1, 4, 9])
    observed = rng.standard_t(2, len(of))
    observed[0], observed[-1] = 40.0, 1e6
    one = huber.Problem(
        Z[:3], of, observed, 0.9, forms.LOWEST[:2], forms.HIGHEST[:2], 0.5
    )
    counts = rng.integers(0, 3, (5, len(of))).astype(float)
    sums = huber._sums(one, counts)
    at = rng.normal(0, 3, (5, 3))
    found = huber._losses(at - sums.middle, sums, np.arange(5)[:, None])
    left = at[:, of] - observed / 0.5
    far = np.abs(left)
    each = (
        np.where(far <= 1, 0.5 * left**2, far - 0.5),
        np.clip(left, -1, 1),
        (far <= 1).astype(float),
    )
    for got, run in zip(found, each, strict=False):
        wanted = [np.bincount(of, w, 3) for w in counts * run]
        assert got == pytest.approx(np.array(wanted), rel=1e-9, abs=1e-9)
