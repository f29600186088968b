import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import shuffle
from bench.errors import StudyError

PATCH = 4


def pixels(count: int = 3, size: int = 16) -> np.ndarray:
    shape = (count, size, size, 3)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def patches(images: np.ndarray) -> np.ndarray:
    """images, patches, pixels of the patch, channels"""
    count, size = images.shape[:2]
    side = size // PATCH
    blocks = images.reshape(count, side, PATCH, side, PATCH, 3)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(count, side**2, PATCH**2, 3)


@given(st.sampled_from(shuffle.KINDS), st.integers(0, 2**31))
def test_the_inverse_gives_the_image_back(kind, seed):
    order = shuffle.permutation(kind, 16, PATCH, seed)
    shuffled = shuffle.apply(pixels(), order)
    np.testing.assert_array_equal(shuffle.apply(shuffled, np.argsort(order)), pixels())


@pytest.mark.parametrize("kind", ["patch_pixel", "global"])
def test_one_seed_is_one_permutation(kind):
    one, same, other = (shuffle.permutation(kind, 16, PATCH, s) for s in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()
    assert sorted(one.tolist()) == list(range(256))


def test_none_changes_nothing():
    order = shuffle.permutation("none", 16, PATCH, seed=3)
    np.testing.assert_array_equal(shuffle.apply(pixels(), order), pixels())


def test_patch_pixel_moves_whole_patches_and_permutes_all_alike():
    images = pixels(count=1)
    order = shuffle.permutation("patch_pixel", 16, PATCH, seed=0)
    before, after = patches(images)[0], patches(shuffle.apply(images, order))[0]
    # The source patch of each target, and the place each pixel went to within it.
    places = set()
    sources = []
    for target in after:
        same = [i for i, source in enumerate(before) if _same_pixels(source, target)]
        assert len(same) == 1
        sources += same
        places.add(tuple(_place(before[same[0]], pixel) for pixel in target))
    assert sorted(sources) == list(range(16))
    assert len(places) == 1


def _same_pixels(one: np.ndarray, other: np.ndarray) -> bool:
    return sorted(map(bytes, one)) == sorted(map(bytes, other))


def _place(patch: np.ndarray, pixel: np.ndarray) -> int:
    return next(i for i, candidate in enumerate(patch) if (candidate == pixel).all())


def test_global_breaks_patches_up():
    order = shuffle.permutation("global", 16, PATCH, seed=0)
    before, after = patches(pixels(1))[0], patches(shuffle.apply(pixels(1), order))[0]
    assert not any(_same_pixels(a, b) for a in before for b in after)


@pytest.mark.parametrize(
    ("image_size", "model_patch", "patch"),
    [(224, 32, 32), (16, 4, 4), (224, None, 16), (64, None, 16), (32, None, 4)],
)
def test_the_patch_is_the_models_or_the_papers(image_size, model_patch, patch):
    assert shuffle.patch_for(image_size, model_patch) == patch


def test_what_cannot_be_shuffled_is_refused():
    with pytest.raises(StudyError, match="18 px is not a multiple of 4"):
        shuffle.permutation("patch_pixel", 18, PATCH, 0)
    with pytest.raises(StudyError, match="unknown shuffle 'patch'; known: none"):
        shuffle.permutation("patch", 16, PATCH, 0)
