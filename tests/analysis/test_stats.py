"""Intervals against hand-worked cases, known coverage and a slow twin."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.stats import (
    median_interval,
    median_of_medians,
    relative_halfwidth,
    repetition_interval,
)


@pytest.mark.parametrize(
    ("n", "rank"),
    # k such that the k-th smallest and largest of n enclose the median with 95 %:
    # the usual table of the sign test
    [(5, None), (6, 1), (8, 1), (9, 2), (15, 4), (20, 6), (30, 10), (50, 18)],
)
def test_ranks_of_the_median_interval(n, rank):
    found = median_interval(np.arange(1.0, n + 1))
    assert found == (None if rank is None else (rank, n + 1 - rank))


def test_many_samples_do_not_underflow():
    low, high = median_interval(np.arange(20_000.0))
    half = 1.96 * math.sqrt(20_000) / 2
    assert (high - low) / 2 == pytest.approx(half, rel=0.02)


def test_the_median_interval_covers_as_promised():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        low, high = median_interval(rng.exponential(1, 25))
        hits += low <= math.log(2) <= high
    assert 0.94 <= hits / 1000 <= 0.98


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=40))
def test_the_interval_holds_the_median_and_ignores_order(samples):
    low, high = median_interval(samples)
    assert low <= np.median(samples) <= high
    assert median_interval(samples[::-1]) == (low, high)


def test_relative_halfwidth():
    assert relative_halfwidth([9.0, 10.0, 10.0, 10.0, 10.0, 11.0]) == pytest.approx(0.1)
    assert relative_halfwidth([1.0] * 5) is None


def test_the_value_is_the_median_of_medians():
    assert median_of_medians([[1, 2, 9], [4, 5, 6], [7, 7, 7, 100]]) == 5.0


def repetitions(count, seed=0, between=0.1, within=0.01):
    rng = np.random.default_rng(seed)
    centres = rng.normal(1, between, count)
    return [rng.normal(centre, within, 40) for centre in centres]


@pytest.mark.parametrize(("count", "given"), [(1, False), (4, False), (5, True)])
def test_fewer_than_five_repetitions_have_no_interval(count, given):
    assert (repetition_interval(repetitions(count)) is not None) is given


def test_the_repetition_is_the_unit():
    """Ten times the samples per process do not narrow the interval."""
    few = repetitions(8)
    many = [np.tile(samples, 10) for samples in few]
    width = [np.diff(repetition_interval(rows))[0] for rows in (few, many)]
    assert width[1] == pytest.approx(width[0], rel=0.1)
    assert width[0] > 5 * 0.01 / math.sqrt(40)


def processes(*medians):
    return [[median] for median in medians]


def test_five_processes_give_their_extremes():
    low, high = repetition_interval(processes(3.0, 1.0, 2.0, 5.0, 4.0))
    assert (low, high) == (pytest.approx(1.0), pytest.approx(5.0))


def test_ten_processes_by_hand():
    # The second and ninth of ten enclose the median with 97.85 %, the third and
    # eighth with 89.06 %: surplus 0.3244, share 8 x 0.3244 / (2 + 6 x 0.3244) = 0.6577
    rows = processes(*np.exp(np.arange(10.0)))
    low, high = np.log(repetition_interval(rows))
    assert low == pytest.approx(1.6577, abs=1e-3)
    assert high == pytest.approx(9 - 1.6577, abs=1e-3)


@given(st.lists(st.floats(0.1, 10), min_size=5, max_size=60))
def test_it_holds_the_value_reported_and_mirrors_for_the_rate(medians):
    low, high = repetition_interval(processes(*medians))
    value = median_of_medians(processes(*medians))
    assert low * (1 - 1e-9) <= value <= high * (1 + 1e-9)
    rate = repetition_interval(processes(*(1 / m for m in medians)))
    assert rate == (pytest.approx(1 / high), pytest.approx(1 / low))


SHAPES = {
    "normal": lambda rng, n: 1 + 0.1 * rng.standard_normal(n),
    "skewed": lambda rng, n: np.exp(rng.exponential(0.2, n)) / 2**0.2,
    "one process in five is half again as slow": lambda rng, n: (
        rng.normal(1, 0.01, n) * np.where(rng.random(n) < 0.2, 1.5, 1)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [5, 7, 10, 30])
def test_it_covers_the_median_of_any_shape(shape, count):
    rng = np.random.default_rng(0)
    draw = SHAPES[shape]
    centre = np.median(draw(rng, 200_000))
    hits = 0
    for _ in range(800):
        low, high = repetition_interval(draw(rng, count)[:, None])
        hits += low <= centre <= high
    assert 0.91 <= hits / 800 <= 0.98


def two_level_bootstrap(samples, rng, draws=300):
    """Percentile interval: processes drawn again, then the samples inside each."""
    count, size = samples.shape
    chosen = samples[rng.integers(count, size=(draws, count))]
    inner = rng.integers(size, size=(draws, count, size))
    medians = np.median(np.take_along_axis(chosen, inner, axis=2), axis=2)
    return np.quantile(np.median(medians, axis=1), [0.025, 0.975])


def test_why_it_is_no_two_level_bootstrap():
    """Where processes do not differ, that counts the noise inside them twice."""
    rng = np.random.default_rng(0)
    rigs = [rng.normal(1, 0.03, (10, 15)) for _ in range(200)]
    theirs = [two_level_bootstrap(samples, rng) for samples in rigs]
    ours = [repetition_interval(samples) for samples in rigs]
    assert np.mean([low <= 1 <= high for low, high in theirs]) > 0.98
    assert np.mean(np.diff(theirs)) > 1.2 * np.mean(np.diff(ours))


def test_it_is_quick_enough_for_a_table():
    began = time.process_time()
    repetition_interval([np.ones(400)] * 10)
    assert time.process_time() - began < 1.0
