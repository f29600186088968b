"""Intervals against hand-worked cases, known coverage and a slow twin."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.stats import (
    _resampled_medians,
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


def test_the_interval_covers_the_centre_of_the_machine():
    hits = 0
    for seed in range(200):
        low, high = repetition_interval(repetitions(9, seed), draws=500)
        hits += low <= 1 <= high
    assert 0.88 <= hits / 200 <= 1.0


def test_the_same_seed_gives_the_same_interval():
    rows = repetitions(6)
    assert repetition_interval(rows, seed=3) == repetition_interval(rows, seed=3)
    assert repetition_interval(rows, seed=3) != repetition_interval(rows, seed=4)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_drawn_medians_are_those_of_plain_resampling(n):
    rng = np.random.default_rng(0)
    samples = rng.exponential(1, n)
    plain = np.median(rng.choice(samples, size=(20_000, n)), axis=1)
    quick = _resampled_medians(samples, 20_000, rng)
    for level in (0.025, 0.25, 0.5, 0.75, 0.975):
        near = np.quantile(plain, [max(0, level - 0.02), min(1, level + 0.02)])
        assert near[0] <= np.quantile(quick, level) <= near[1]


def test_it_is_quick_enough_for_a_table():
    began = time.process_time()
    repetition_interval([np.ones(400)] * 10)
    assert time.process_time() - began < 1.0
