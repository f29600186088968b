import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import to_float
from bench.data.augment import Augmentation
from bench.data.loader import Loader
from bench.errors import StudyError


def loader(count: int = 10, **settings) -> Loader:
    images = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3))
    labels = np.arange(count)
    given = {"batch_size": 4, "seed": 0, "classes": 10, **settings}
    how = Augmentation(augment=given.pop("augment", "none"))
    return Loader(
        images=images.astype(np.uint8), labels=labels, image_size=4, how=how, **given
    )


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 9))
def test_every_batch_is_full_and_every_epoch_shows_each_image_once(count, size, seed):
    one = loader(count, batch_size=size, seed=seed)
    shown = np.concatenate([one.picks(step) for step in range(count)])
    assert len(shown) == count * size
    for epoch in shown.reshape(size, count):
        assert sorted(epoch.tolist()) == list(range(count))


def test_a_step_depends_on_nothing_but_seed_and_step():
    in_order = [loader().batch(step) for step in range(6)]
    alone = loader().batch(4)
    np.testing.assert_array_equal(in_order[4][0], alone[0])
    np.testing.assert_array_equal(in_order[4][1], alone[1])
    assert not np.array_equal(loader(seed=1).picks(0), loader().picks(0))


def test_epochs_differ_in_order():
    one = loader(batch_size=10)
    assert one.picks(0).tolist() != one.picks(1).tolist()


def test_a_batch_is_float32_in_the_models_range():
    images, labels = loader().batch(0)
    assert images.dtype == np.float32
    assert labels.dtype == np.int64
    picks = loader().picks(0)
    np.testing.assert_array_equal(images, to_float(loader().images[picks]))


def test_flip_mirrors_some_images_left_to_right_and_repeats():
    plain, flipped, again = (
        np.concatenate([one.batch(step)[0] for step in range(10)])
        for one in (loader(), loader(augment="flip"), loader(augment="flip"))
    )
    np.testing.assert_array_equal(flipped, again)
    kept = (flipped == plain).all(axis=(1, 2, 3))
    mirrored = (flipped == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept | mirrored).all()
    assert 0.25 < mirrored.mean() < 0.75


def test_an_unknown_augment_is_refused():
    with pytest.raises(StudyError, match="unknown augment 'cut'; known: none, flip,"):
        loader(augment="cut")


def test_the_bytes_of_a_batch_are_golden():
    """A change here changes every training row: raise `specs.PROTOCOL` with it."""
    images, labels = loader(augment="flip").batch(3)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest[:16] == "254c050500e2b25b"
