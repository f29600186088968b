"""Curves against the means of their sizes: known cases, and how often they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.analysis import lack
from bench.analysis.resample import factors

Z = np.array([-1.0, 0.0, 1.0])
LINE = np.column_stack([np.ones(3), -Z])
"""Slopes of a power law of three sizes, evenly apart."""
FOUR = np.array([[0.1, 0.4, -0.2], [0.3, 0.1, 0.2], [0.2, 0.2, 0.3], [0.7, -0.1, 0.1]])


def of(values, slopes, keep=None):
    """The means of complete curves, one a row; `keep` drops runs."""
    n, sizes = values.shape
    curve, size = (one.ravel() for one in np.indices((n, sizes)))
    kept = np.ones(values.size, bool) if keep is None else keep.ravel()
    found = values.ravel()[kept]
    return lack.means(size[kept], found, slopes, [curve[kept]])


def test_with_one_dimension_to_spare_it_is_students_test_of_each_curves_bend():
    bends = FOUR @ [1, -2, 1]
    wanted = stats.ttest_1samp(bends, 0).pvalue
    assert of(FOUR, LINE).p_missed == pytest.approx(wanted)


def test_the_half_widths_are_students_of_each_curves_own_parameters():
    own = np.linalg.lstsq(LINE, FOUR.T)[0]
    wanted = stats.t.ppf(0.975, 3) * own.std(axis=1, ddof=1) / 2
    assert of(FOUR, LINE).half_widths == pytest.approx(wanted)


def test_against_the_text_book_of_repeated_measures():
    slopes = np.ones((3, 1))
    contrasts = FOUR @ np.linalg.qr(slopes, mode="complete")[0][:, 1:]
    around = np.cov(contrasts.T)
    f = 4 * (contrasts.mean(axis=0) ** 2).sum() / np.trace(around)
    epsilon = np.trace(around) ** 2 / (2 * (around**2).sum())
    assert 0.5 <= epsilon <= 1
    wanted = stats.f.sf(f, 2 * epsilon, 6 * epsilon)
    assert of(FOUR, slopes).p_missed == pytest.approx(wanted)


@pytest.mark.parametrize("values", [FOUR[:2], np.tile(FOUR[0], (5, 1))])
def test_two_curves_and_equal_curves_test_nothing(values):
    assert of(values, LINE).p_missed is None


def test_a_size_of_two_curves_tests_nothing():
    keep = np.ones(FOUR.shape, bool)
    keep[:2, 1] = False
    found = of(FOUR, LINE, keep)
    assert found.p_missed is None and (found.half_widths == 0).all()


def test_a_run_that_is_missing_is_left_out():
    keep = np.ones(FOUR.shape, bool)
    keep[0, 1] = False
    moved = FOUR.copy()
    moved[0, 1] = 99
    found = [of(values, LINE, keep).p_missed for values in (FOUR, moved)]
    assert found[0] == found[1] and 0 < found[0] < 1


def scattered(rng, n, sizes, kind):
    noise = rng.normal(0, 1, (n, sizes))
    if kind == "unlike sizes":
        return noise * np.geomspace(0.3, 2, sizes)
    if kind == "related inside a curve":
        return noise + rng.normal(0, 1, (n, 1)) * np.linspace(-1, 2, sizes) ** 2
    return noise


KINDS = ["alike", "unlike sizes", "related inside a curve"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("sizes", [4, 8])
def test_a_right_form_is_refused_hardly_more_often_than_it_says(sizes, n, kind):
    rng = np.random.default_rng([sizes, n, KINDS.index(kind)])
    slopes = np.column_stack([np.ones(sizes), np.linspace(-1, 1, sizes)])
    refused = [
        of(scattered(rng, n, sizes, kind), slopes).p_missed < lack.LEVEL
        for _ in range(400)
    ]
    # Of 400 at 1 %, more than 10 are refused with a chance of 0.3 %.
    assert sum(refused) <= 10


def test_seeds_that_move_all_subsets_alike_are_no_miss():
    """Five subsets of three seeds each: the same seeds bend every subset's curve."""
    subset, seed, size = (one.ravel() for one in np.indices((5, 3, 4)))
    slopes = np.column_stack([np.ones(4), np.arange(4)])
    rng = np.random.default_rng(0)
    kinds = factors(subset, seed)
    refused = [0, 0]
    for _ in range(200):
        values = rng.normal(0, 1, (3, 4))[seed, size] + rng.normal(0, 0.1, 60)
        for at, used in enumerate((kinds, kinds[:1])):
            p = lack.means(size, values, slopes, used).p_missed
            refused[at] += p < lack.LEVEL
    assert refused[0] <= 8 and refused[1] > 100


def test_a_miss_of_three_standard_errors_is_found():
    rng = np.random.default_rng(0)
    slopes = np.column_stack([np.ones(4), np.arange(4)])
    bent = 2 * np.array([-1.0, 1.0, 1.0, -1.0])
    found = [of(rng.normal(0, 1, (5, 4)) + bent, slopes).p_missed for _ in range(50)]
    assert np.mean(np.array(found) < lack.LEVEL) > 0.8
