"""Two sets of repetitions: cases by hand, an independent Welch, error rates."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.contrast import contrast, holm


def test_the_interval_is_welchs():
    rng = np.random.default_rng(0)
    a, b = rng.lognormal(3, 0.02, 7), rng.lognormal(3.1, 0.05, 5)
    found = contrast(a, b)
    theirs = stats.ttest_ind(np.log(b), np.log(a), equal_var=False)
    expected = np.exp(theirs.confidence_interval(0.95))
    assert found.interval() == pytest.approx(tuple(expected), rel=1e-12)
    assert found.p_beyond(0.0) == pytest.approx(theirs.pvalue, rel=1e-9)


def test_below_five_there_is_none():
    assert contrast([1.0] * 4, [1.0] * 9) is None
    assert contrast([1.0] * 9, [1.0] * 4) is None


def test_without_noise_the_ratio_is_exact():
    found = contrast([10.0] * 5, [9.0] * 5)
    assert found.interval() == pytest.approx((0.9, 0.9))
    assert found.p_beyond(0.02) == 0.0
    assert found.p_beyond(0.2) == 1.0


def test_more_effect_asks_for_more_evidence():
    found = contrast([100, 101, 99, 100, 102], [90, 91, 89, 92, 90])
    p = [found.p_beyond(effect) for effect in (0.0, 0.02, 0.05, 0.5)]
    assert p == sorted(p) and p[-1] == 1.0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        ([0.5], [0.5]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
    ],
)
def test_holm(given, expected):
    assert holm(given) == pytest.approx(expected)


@pytest.mark.parametrize("others", [0, 19])
@pytest.mark.parametrize("noise", [(0.04, 0.04), (0.001, 0.06)])
@pytest.mark.parametrize("ratio", [0.9, 0.95, 1.0, 1.06])
def test_planned_repetitions_tell_four_times_in_five(ratio, noise, others):
    """As `compare` plans and judges: one cell alone, or one that moved of twenty."""
    rng = np.random.default_rng(1)
    tests = 1 + others

    def sides(count):
        return [
            factor * rng.lognormal(0, spread, count)
            for factor, spread in zip((1, ratio), noise, strict=True)
        ]

    seen = dataclasses.replace(contrast(*sides(500)), log_ratio=math.log(ratio))
    level = 1 - 0.05 / tests if ratio != 1 else 0.95
    count = seen.repetitions_for(0.02, level)
    told = 0
    for _ in range(400):
        found = contrast(*sides(count))
        low, high = found.interval()
        p_holm = holm([found.p_beyond(0.02), *[1.0] * others])[0]
        told += p_holm <= 0.05 if ratio != 1 else 1 / 1.02 < low and high < 1.02
    assert 0.74 < told / 400 < 0.95


def test_no_plan_asks_for_fewer_than_five_or_without_end():
    assert contrast([1.0] * 5, [2.0] * 5).repetitions_for(0.02) == 5
    noisy = contrast([1, 1.1, 0.9, 1.2, 0.8], [1.02, 1.12, 0.92, 1.22, 0.82])
    at_the_bar = dataclasses.replace(noisy, log_ratio=math.log(1.02))
    near = dataclasses.replace(noisy, log_ratio=math.log(1.021))
    far = dataclasses.replace(noisy, log_ratio=math.log(1.3))
    plans = [one.repetitions_for(0.02) for one in (at_the_bar, near, far)]
    assert plans[0] == plans[1] > 100 * plans[2] > 500
