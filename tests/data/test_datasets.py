import hashlib
import subprocess
import sys

import numpy as np
import pytest

from bench import data
from bench.data import digits, fractals
from bench.errors import StudyError

SIZE = 16


@pytest.mark.parametrize("name", data.EMBEDDED)
def test_a_data_set_is_ten_classes_of_square_bytes(name):
    dataset = data.load(name, SIZE)
    assert (dataset.name, dataset.image_size, dataset.classes) == (name, SIZE, 10)
    for split in (dataset.train, dataset.val, dataset.test):
        images, labels = split.take(np.array([0, 3, len(split) - 1]))
        assert images.shape == (3, SIZE, SIZE, 3)
        assert images.dtype == np.uint8
        assert labels.tolist() == split.labels[[0, 3, len(split) - 1]].tolist()
        assert set(split.labels) == set(range(10))


def test_an_unknown_data_set_is_one_line_with_what_is_known():
    with pytest.raises(StudyError, match="unknown dataset 'fractal'") as caught:
        data.load("fractal", SIZE)
    assert str(caught.value).endswith(
        "known: digits, fractals, fractals-unseen, cifar10, cifar100, image-folder, "
        "parquet, tfds; did you mean 'fractals'?"
    )


def test_to_float_is_the_range_of_the_released_models():
    levels = np.array([0, 51, 255], dtype=np.uint8).reshape(1, 1, 1, 3)
    scaled = data.to_float(levels)
    assert scaled.dtype == np.float32
    assert scaled.ravel().tolist() == pytest.approx([-1.0, -0.6, 1.0])


# digits ------------------------------------------------------------------------------


def test_digits_are_those_that_scikit_learn_loads():
    datasets = pytest.importorskip("sklearn.datasets")
    expected = datasets.load_digits()
    scans, labels = digits.read()
    np.testing.assert_array_equal(scans, expected.images)
    np.testing.assert_array_equal(labels, expected.target)


def test_digits_splits_are_disjoint_whole_and_stratified():
    dataset = data.load("digits", 8)
    splits = (dataset.train, dataset.val, dataset.test)
    assert [len(split) for split in splits] == [1_000, 200, 597]
    scans, labels = digits.read()
    counts = [np.bincount(split.labels) for split in splits]
    np.testing.assert_array_equal(sum(counts), np.bincount(labels))
    for split, count in zip(splits, counts, strict=True):
        shares = np.bincount(labels) / len(labels)
        assert np.abs(count - shares * len(split)).max() <= 2
    # At 8 px a scan is itself, so every scan must come back exactly once.
    pixels = np.concatenate([split.all()[0][..., 0] for split in splits])
    expected = np.rint(scans * (255 / 16)).astype(np.uint8)
    assert sorted(map(bytes, pixels)) == sorted(map(bytes, expected))


def test_digits_are_grey_and_scale_to_any_size():
    images, _ = data.load("digits", 20).val.all()
    assert images.shape == (200, 20, 20, 3)
    assert (images[..., :1] == images).all()


def test_reading_digits_imports_neither_scikit_learn_nor_scipy():
    code = (
        "import sys; from bench import data; data.load('digits', 16).test.all(); "
        "print([m for m in ('sklearn', 'scipy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# fractals ----------------------------------------------------------------------------


def test_any_fractal_can_be_made_alone():
    train = data.load("fractals", SIZE).train
    picks = np.array([7, 17, 27, 4_000, 49_999])
    together, _ = train.take(picks)
    alone = np.concatenate([train.take(picks[[i]])[0] for i in range(len(picks))])
    np.testing.assert_array_equal(together, alone)


def test_the_order_of_asking_does_not_matter():
    train = data.load("fractals", SIZE).train
    picks = np.random.default_rng(0).permutation(600)
    images, labels = train.take(picks)
    whole, whole_labels = train.take(np.arange(600))
    np.testing.assert_array_equal(images, whole[picks])
    np.testing.assert_array_equal(labels, whole_labels[picks])


def test_fractal_splits_share_no_image():
    dataset = data.load("fractals", SIZE)
    seen = set()
    for split in (dataset.train, dataset.val, dataset.test):
        images, _ = split.take(np.arange(400))
        hashes = {hashlib.sha256(bytes(image)).hexdigest() for image in images}
        assert len(hashes) == 400
        assert not hashes & seen
        seen |= hashes


def test_the_seed_and_the_class_change_the_maps():
    first = fractals.class_maps(0, 0)
    others = [fractals.class_maps(1, 0), fractals.class_maps(0, 1)]
    assert all(not np.array_equal(first, other) for other in others)


def test_unseen_classes_are_other_classes():
    seen, unseen = (data.load(n, SIZE) for n in ("fractals", "fractals-unseen"))
    picks = np.arange(10)
    assert (
        (seen.train.take(picks)[0] != unseen.train.take(picks)[0])
        .any(axis=(1, 2, 3))
        .all()
    )


@pytest.mark.parametrize("maps", [2, 3, 4])
def test_points_are_the_images_of_the_origin_under_all_words(maps):
    system = np.random.default_rng(maps).uniform(-0.5, 0.5, (1, maps, 6))
    depth = fractals._DEPTH[maps]
    x, y = fractals._points(system)
    assert x.shape == y.shape == (1, maps**depth)
    # The last word applies the last map again and again.
    a, b, c, d, e, f = system[0, -1]
    u = v = 0.0
    for _ in range(depth):
        u, v = a * u + b * v + c, d * u + e * v + f
    assert (x[0, -1], y[0, -1]) == pytest.approx((u, v), rel=1e-5)


def test_density_counts_points_over_their_bounding_box():
    x = np.array([[0.0, 0.0, 0.0, 2.0]], dtype=np.float32)
    y = np.array([[0.0, 0.0, 0.0, 1.0]], dtype=np.float32)
    density = fractals._density(x, y, 2)
    corner = np.log(2) / np.log(4)
    np.testing.assert_allclose(density[0], [[1, 0], [0, corner]], rtol=1e-6)


@pytest.mark.parametrize("one", range(10))
def test_a_class_is_neither_dust_nor_a_blob(one):
    points = fractals._points(fractals.class_maps(one)[None])
    covered = np.mean(fractals._density(*points, 32) > 0)
    assert fractals._COVER[0] <= covered <= fractals._COVER[1]
