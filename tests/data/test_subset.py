import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import subset
from bench.errors import StudyError

labels_of = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)
seeds = st.integers(0, 2**31)


@given(labels_of, st.sampled_from(subset.KINDS), seeds, st.data())
def test_subsets_are_nested_and_without_repeats(labels, kind, seed, data):
    sizes = np.bincount(labels)
    most = len(labels)
    if kind == "balanced":
        most = sizes[sizes > 0].min() * np.count_nonzero(sizes)
    small, large = sorted(data.draw(st.integers(1, int(most))) for _ in range(2))
    inner = subset.choose(labels, kind, examples=small, seed=seed)
    outer = subset.choose(labels, kind, examples=large, seed=seed)
    assert len(set(outer.tolist())) == large
    np.testing.assert_array_equal(outer[:small], inner)


@given(labels_of, seeds, st.data())
def test_balanced_classes_differ_by_at_most_one(labels, seed, data):
    sizes = np.bincount(labels)
    most = sizes[sizes > 0].min() * np.count_nonzero(sizes)
    count = data.draw(st.integers(1, int(most)))
    chosen = subset.choose(labels, "balanced", examples=count, seed=seed)
    counts = np.bincount(labels[chosen], minlength=len(sizes))[sizes > 0]
    assert counts.max() - counts.min() <= 1


@given(labels_of, seeds, st.data())
def test_stratified_classes_keep_their_share(labels, seed, data):
    count = data.draw(st.integers(1, len(labels)))
    chosen = subset.choose(labels, "stratified", examples=count, seed=seed)
    share = np.bincount(labels) / len(labels)
    counts = np.bincount(labels[chosen], minlength=len(share))
    # Ties at one sorting key may shift every class but one by one image more.
    assert np.abs(counts - share * count).max() <= 0.5 + len(share) / 2


@given(labels_of, st.sampled_from(subset.KINDS), seeds)
def test_an_order_holds_every_image_once(labels, kind, seed):
    order = subset.order(labels, kind, seed)
    assert sorted(order.tolist()) == list(range(len(labels)))


def test_the_seed_changes_the_subset_and_repeats_it():
    labels = np.arange(100) % 10
    draws = [subset.choose(labels, "random", examples=10, seed=s) for s in (0, 0, 1)]
    assert draws[0].tolist() == draws[1].tolist() != draws[2].tolist()


def test_a_fraction_is_a_count():
    labels = np.arange(200) % 10
    by_fraction = subset.choose(labels, "balanced", fraction=0.1)
    np.testing.assert_array_equal(
        by_fraction, subset.choose(labels, "balanced", examples=20)
    )
    assert len(subset.choose(labels, "random")) == 200


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"examples": 7}, "data_examples 7 is not possible; .* 6 images, so give 1 to"),
        ({"examples": 0}, "data_examples 0 is not possible"),
        ({"fraction": 0.0}, r"data_fraction 0.0 is not possible; give \(0, 1\]"),
        ({"fraction": 1.5}, r"data_fraction 1.5 is not possible; give \(0, 1\]"),
        ({"fraction": 0.01}, "of 6 images is none; give at least 0.17"),
        ({"examples": 2, "fraction": 0.5}, "both given; give one of them"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(asked, message):
    with pytest.raises(StudyError, match=message) as caught:
        subset.choose(np.array([0, 0, 0, 0, 1, 1]), "random", **asked)
    assert "\n" not in str(caught.value)


def test_a_class_that_runs_out_is_named():
    labels = np.array([0, 0, 0, 0, 1, 1])
    assert len(subset.choose(labels, "balanced", examples=4)) == 4
    with pytest.raises(StudyError, match="class 1 has only 2, so give at most 4"):
        subset.choose(labels, "balanced", examples=5)


def test_an_unknown_kind_is_refused():
    with pytest.raises(StudyError, match="unknown subset 'even'; known: random"):
        subset.choose(np.array([0]), "even")
