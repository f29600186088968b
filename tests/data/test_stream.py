"""Images read ahead, and the batches made of them."""

import importlib.util
import threading
import time

import numpy as np
import pytest
from disk_sets import class_of, write_folder

from bench import data
from bench.data import Source, Split, shuffle, stream, to_float, view
from bench.data.augment import Augmentation, training
from bench.data.loader import Loader, Stored
from bench.errors import DataError, MissingPackage

SIZE = 16


def folder_loader(root, *, rule="error", seed=0, batch_size=5, pixels=None, **how):
    dataset = data.load("image-folder", SIZE, Source(folder=root, on_bad_image=rule))
    picks = np.arange(len(dataset.train))
    return Loader(
        images=Stored(split=dataset.train, picks=picks),
        labels=dataset.train.labels,
        batch_size=batch_size,
        seed=seed,
        classes=3,
        image_size=SIZE,
        how=Augmentation(**how),
        pixels=pixels,
    )


PAPER = {
    "augment": "inception",
    "randaugment_layers": 2,
    "randaugment_magnitude": 10,
    "mixup": 0.5,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("set"))


def assert_same(one, other):
    for mine, theirs in zip(one, other, strict=True):
        assert (mine.dtype, mine.tobytes()) == (theirs.dtype, theirs.tobytes())


@pytest.mark.parametrize(
    "how", [{}, {"augment": "flip"}, {"augment": "crop"}, PAPER], ids=str
)
def test_any_step_alone_has_the_bytes_it_has_in_a_row(how, root):
    loader = folder_loader(root, **how)
    in_a_row = [loader.batch(step) for step in range(16)]  # two epochs and a half
    loader.close()
    for step in (0, 7, 15, 3):  # back and forth
        assert_same(loader.batch(step), in_a_row[step])
    assert_same(folder_loader(root, **how).batch(7), in_a_row[7])
    assert not np.array_equal(folder_loader(root, seed=1).batch(7)[0], in_a_row[7][0])


@pytest.mark.parametrize("threads", [1, 3])
def test_reading_ahead_changes_no_byte(threads, root, monkeypatch):
    monkeypatch.setattr(stream, "_threads", lambda: threads)
    loader = folder_loader(root, **PAPER)
    ahead = [loader.batch(step) for step in range(4)]
    monkeypatch.setattr(
        stream, "ordered", lambda make, first, count, size: _now(make, first)
    )
    plain = folder_loader(root, **PAPER)
    for step, made in enumerate(ahead):
        plain._ahead._items = None
        assert_same(made, plain.batch(step))


class _now:
    """Items made in the moment they are asked for."""

    def __init__(self, make, first):
        self.make, self.number = make, first - 1

    def __next__(self):
        self.number += 1
        return self.make(self.number)

    def close(self):
        pass


def test_stored_images_come_in_the_order_of_those_in_memory(root):
    stored = folder_loader(root)
    images, positions = view.whole(stored.images.split, SIZE).everything
    held = Loader(
        images=images,
        labels=stored.labels[positions],
        batch_size=5,
        seed=0,
        classes=3,
        image_size=SIZE,
    )
    for step in (0, 6, 9):
        assert_same(stored.batch(step), held.batch(step))


def test_every_image_keeps_its_label_through_crop_and_flip(root):
    loader = folder_loader(root, augment="inception")
    for step in range(7):
        images, labels = loader.batch(step)
        assert (images.dtype, labels.dtype) == (np.float32, np.int64)
        assert -1 <= images.min() < images.max() <= 1
        shown = [class_of((one + 1) * 127.5) for one in images]
        assert shown == labels.tolist()


def test_an_image_is_drawn_anew_each_time_it_is_shown(root):
    loader = folder_loader(root, batch_size=32, augment="inception")  # an epoch a batch
    first, second = (
        dict(zip(loader.picks(step).tolist(), loader.batch(step)[0], strict=True))
        for step in (0, 1)
    )
    assert sorted(first) == sorted(second) == list(range(32))
    assert not any(np.array_equal(first[i], second[i]) for i in first)


def test_the_pixel_order_is_applied_after_all_augmentation(root):
    """Otherwise a flip of a shuffled image would be a second permutation."""
    order = shuffle.permutation("global", SIZE, 4, seed=3)
    for how in ({"augment": "flip"}, {"augment": "inception"}):
        plain, mixed = (
            folder_loader(root, **how),
            folder_loader(root, pixels=order, **how),
        )
        expected = shuffle.apply(plain.batch(2)[0], order)
        np.testing.assert_array_equal(mixed.batch(2)[0], expected)
    images = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3))
    given = {
        "images": images.astype(np.uint8),
        "labels": np.arange(8) % 3,
        "batch_size": 8,
        "seed": 0,
        "classes": 3,
        "image_size": SIZE,
        "how": Augmentation(augment="flip"),
    }
    expected = shuffle.apply(Loader(**given).batch(0)[0], order)
    np.testing.assert_array_equal(Loader(pixels=order, **given).batch(0)[0], expected)


def test_mixup_shares_are_drawn_once_per_step(root):
    loader = folder_loader(root, mixup=0.5)
    plain = folder_loader(root)
    shares = []
    for step in range(6):
        images, targets = loader.batch(step)
        raw, labels = plain.batch(step)
        assert targets.shape == (5, 3) and targets.dtype == np.float32
        np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
        partner = np.roll(labels, 1)
        lone = labels != partner
        share = targets[np.arange(5), labels][lone]
        np.testing.assert_allclose(share, share[0])
        shares.append(share[0])
        expected = share[0] * raw + (1 - share[0]) * np.roll(raw, 1, axis=0)
        np.testing.assert_allclose(images, expected, atol=1e-6)
    assert len(set(shares)) == 6


# Bad images --------------------------------------------------------------------------


def test_a_bad_image_gives_its_place_to_the_next_with_the_next_ones_label(tmp_path):
    root = write_folder(tmp_path)
    for name in ("0003.JPEG", "0004.JPEG"):
        path = root / "train/n00000001" / name
        path.write_bytes(path.read_bytes()[:500])
    loader = folder_loader(root, rule="skip", batch_size=32)
    assert len(loader.labels) == 32
    images, labels = loader.batch(0)
    assert [class_of((one + 1) * 127.5) for one in images] == labels.tolist()
    found = len(data.load("image-folder", SIZE, Source(folder=root)).val)
    assert len(loader.bad) <= 2 and found == 4
    again = folder_loader(root, rule="skip", batch_size=32)
    assert_same(again.batch(0), (images, labels))


def test_a_bad_image_stops_training_with_its_name(tmp_path):
    root = write_folder(tmp_path)
    for path in (root / "train").rglob("*.JPEG"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"\.JPEG: is empty; mend or remove it"):
        folder_loader(root).batch(0)
    with pytest.raises(DataError, match="none of the 32 training images can be read"):
        folder_loader(root, rule="skip").batch(0)
    test = data.load("image-folder", SIZE, Source(folder=root, on_bad_image="skip"))
    with pytest.raises(DataError, match="none of 32 images can be read"):
        list(view.whole(test.train, SIZE).batches(8))


# Views -------------------------------------------------------------------------------


def test_a_large_view_passes_through_in_the_same_batches(root, monkeypatch):
    test = data.load("image-folder", SIZE, Source(folder=root)).test
    kept = list(view.whole(test, SIZE).batches(5))
    monkeypatch.setattr(view, "RESIDENT_BYTES", 100)
    passing = list(view.whole(test, SIZE).batches(5))
    assert [len(positions) for _, positions in passing] == [5, 5, 2]
    for one, other in zip(kept, passing, strict=True):
        assert_same(one, other)
    assert "everything" not in vars(view.whole(test, SIZE))


def test_a_view_is_shuffled_like_everything_else(root):
    test = data.load("image-folder", SIZE, Source(folder=root)).test
    order = shuffle.permutation("global", SIZE, 4, seed=3)
    plain, mixed = (view.whole(test, SIZE, one).everything for one in (None, order))
    np.testing.assert_array_equal(mixed[0], shuffle.apply(plain[0], order))


# Threads -----------------------------------------------------------------------------


def test_items_are_made_before_they_are_asked_for_and_not_without_bound():
    made, lock = [], threading.Lock()

    def make(number):
        with lock:
            made.append(number)
        return number

    items = stream.Ahead(make, batch_size=4, item_bytes=stream.AHEAD_BYTES // 10)
    assert items._ahead == 10
    assert stream.Ahead(make, batch_size=4, item_bytes=1)._ahead == 16
    assert stream.Ahead(make, batch_size=4, item_bytes=2**40)._ahead == 1
    assert items.batch(2) == [8, 9, 10, 11]
    deadline = time.monotonic() + 10
    while len(made) < 12 and time.monotonic() < deadline:
        time.sleep(0.01)
    items.close()
    assert sorted(made) == list(range(8, 8 + len(made)))
    assert 12 <= len(made) <= 4 + 10 + 4


def test_without_grain_the_user_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        MissingPackage, match=r"grain .*pip install 'mixer-bench\[data\]"
    ):
        stream.Ahead(int, 4, 1)


def test_embedded_sets_are_never_streamed_while_they_fit():
    split = Split(
        labels=np.arange(3), make=lambda picks: np.zeros((len(picks), 4, 4, 3))
    )
    assert view.whole(split, 4).fits
    images, _ = view.whole(split, 4).everything
    assert to_float(images).min() == -1


@pytest.mark.parametrize("augment", ["crop", "inception"])
def test_a_crop_is_cut_from_the_stored_image_not_from_the_resized_one(augment, root):
    loader = folder_loader(root, augment=augment, batch_size=1)
    position = int(loader.picks(0)[0])
    stored = loader.images.image(position)
    assert stored.shape == (48, 60, 3)
    rng = np.random.default_rng([0, 0, 3])
    expected = training(stored, loader.how, SIZE, rng)
    np.testing.assert_array_equal(loader.batch(0)[0], to_float(expected[None]))
