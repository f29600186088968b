"""Student's interval over seeds, and pairs."""

import numpy as np
import pytest

from bench.analysis.seeds import middle, paired, relative_drops, student_interval


def test_the_interval_of_a_textbook_sample():
    # Mean 10, s = 2, n = 9: half-width 2.306 * 2 / 3.
    values = 10 + 2 * np.array([-1, -1, -1, -1, 0, 1, 1, 1, 1])
    low, high = student_interval(values)
    assert (low, high) == pytest.approx((10 - 1.5373, 10 + 1.5373), abs=1e-3)


def test_under_three_runs_there_is_none():
    assert student_interval([1.0, 2.0]) is None and student_interval([]) is None


def test_it_covers_the_mean_of_normal_runs():
    rng = np.random.default_rng(0)
    inside = [
        low <= 0 <= high
        for low, high in (student_interval(rng.normal(size=3)) for _ in range(2000))
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_what_a_seed_does_to_both_cancels():
    moved = {0: 0.1, 1: -0.2, 2: 0.05, 3: 0.0}
    first = {seed: 0.5 + shift for seed, shift in moved.items()}
    second = {seed: 0.52 + shift + 0.001 * seed for seed, shift in moved.items()}
    found = paired(first, second | {9: 1.0})
    assert found.n == 4 and found.difference == pytest.approx(0.0215)
    assert 0.018 < found.low < found.high < 0.025 and found.p < 0.001


def test_two_pairs_have_a_difference_and_no_interval():
    found = paired({0: 0.5, 1: 0.6}, {0: 0.6, 1: 0.7})
    assert (found.n, found.low, found.high, found.p) == (2, None, None, None)
    assert found.difference == pytest.approx(0.1)


def test_nothing_shared_is_no_pair():
    assert paired({0: 0.5}, {1: 0.5}) is None
    same = paired({0: 0.5, 1: 0.5, 2: 0.5}, {0: 0.5, 1: 0.5, 2: 0.5})
    assert same.p == 1.0


def test_a_drop_is_of_runs_that_both_sides_have():
    found = relative_drops({1: 0.8, 2: 0.5, 3: 0.6, 4: 0.0}, {1: 0.6, 2: 0.55, 4: 0.1})
    assert found == pytest.approx({1: 25.0, 2: -10.0})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([3.0], "3.0 % (3.0 to 3.0, n=1)"),
        ([-0.04, 0.0, 9.96], "0.0 % (0.0 to 10.0, n=3)"),
        ([4.0, -1.0, 2.0, 1.0], "1.5 % (-1.0 to 4.0, n=4)"),
    ],
)
def test_the_middle_of_runs_in_words(values, words):
    assert middle(values, "%") == words
