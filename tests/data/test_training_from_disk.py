"""Cells that learn from a folder, through the protocol and both frameworks."""

import dataclasses
import json

import numpy as np
import pytest
from disk_sets import COLOURS, write_folder, write_images

from bench import backend, cores, record
from bench.checkpoints import Saved
from bench.data import folders, view
from bench.errors import DataError
from bench.specs import Cell, WorkItem
from bench.training import loop, task
from bench.training.progress import Progress

CELL = Cell(
    mode="pretrain",
    model="Mixer-XXS/4",
    framework="jax",
    device="cpu",
    image_size=16,
    batch_size=8,
    dataset="image-folder",
    augment="inception",
    randaugment_layers=2,
    randaugment_magnitude=5.0,
    total_steps=8,
    learning_rate=0.01,
)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr(cores, "threads", lambda: 1)


def cell_of(root, **fields) -> Cell:
    cell = dataclasses.replace(CELL, data_dir=str(root), **fields)
    return folders.placed(cell, root)


class Painter:
    """Knows the class of a colour; it has nothing to learn."""

    compile_s, compile_cached = 0.0, None

    def __init__(self):
        self.seen = []

    def step(self, images, labels, learning_rate, key=None):
        self.seen.append((images, labels))

    def barrier(self):
        pass

    def losses(self):
        return [0.5] * len(self.seen)

    def logits(self, images):
        mean = (images.mean((1, 2)) + 1) * 127.5
        return -np.abs(COLOURS[None, :3] - mean[:, None]).sum(-1).astype(np.float32)

    def features(self, images):
        return images.mean((1, 2))

    def state_dict(self):
        return {"head/kernel": np.zeros((1, 1), np.float32)}


class PainterBackend:
    name, device_kind, device_name = "painter", "cpu", "painter"

    def __init__(self):
        self.learner_made = Painter()

    def learner(self, *_, **__):
        return self.learner_made

    def peak_memory(self):
        return 1, "none"

    def effective_precision(self, dtype):
        return "float32"

    convolution_precision = effective_precision


def painted(cell):
    fake = PainterBackend()
    row = loop.pretrain(WorkItem(cell=cell), fake)
    record.table([row])
    return row, fake.learner_made


def test_the_row_says_what_was_learnt_from_and_tested_on(tmp_path):
    cell = cell_of(write_folder(tmp_path / "tiny"))
    row, learner = painted(cell)
    assert row["pretrain_dataset"] == row["eval_dataset"]
    assert row["eval_dataset"] == f"tiny@{cell.data_fingerprint[8:16]}"
    assert (row["eval_split"], row["n_eval"]) == ("validation", 12)
    assert row["eval_preprocess"] == "shorter side 18 by area, central crop 16"
    assert (row["top1"], row["unique_images"]) == (1.0, 32)
    assert (row["images_skipped"], row["images_skipped_example"]) == (0, None)
    assert "real_top1" not in row
    assert len(learner.seen) == 8
    assert {images.shape for images, _ in learner.seen} == {(8, 16, 16, 3)}


def test_skipped_images_are_in_the_row_and_out_of_the_counts(tmp_path):
    root = write_folder(tmp_path)
    bad = [root / "val/n00000001/ILSVRC2012_val_00000006.JPEG"]
    bad += [root / f"train/n00000002/{n:04d}.JPEG" for n in range(12)][3:5]
    for path in bad:
        path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DataError, match="set on_bad_image: skip to leave it out"):
        painted(cell_of(root))
    row, _ = painted(cell_of(root, on_bad_image="skip", total_steps=16))
    assert row["images_skipped"] == 3
    assert "cannot be decoded" in row["images_skipped_example"]
    assert (row["n_eval"], row["top1"]) == (11, 1.0)
    assert row["unique_images"] == 30
    assert row["chance"] == pytest.approx(4 / 11)


def test_a_resume_forgets_no_image_that_was_skipped_before(tmp_path):
    """Cropped images are read as they come: another process may not meet it again."""
    root = write_folder(tmp_path)
    path = root / "train/n00000001/0003.JPEG"
    path.write_bytes(path.read_bytes()[:400])
    cell = cell_of(root, on_bad_image="skip")
    first, second = task.prepare(cell), task.prepare(cell)
    for step in range(4):  # the whole of train
        first.loader.batch(step)
    before = Progress(step=4)
    before.count_skips(first)
    kept = Saved(before.arrays(), json.loads(json.dumps(before.facts())))
    row = Progress.of(kept).columns(second)
    assert row == before.columns(first)
    assert (row["images_skipped"], row["unique_images"]) == (1, 31)
    assert "0003.JPEG: cannot be decoded" in row["images_skipped_example"]
    first.loader.close()


def test_real_accuracy_leaves_out_what_has_no_label(tmp_path):
    """12 images, 4 a class. ReaL: 2 empty, 1 with two labels, 3 with another label."""
    lists = [[0], [0], [], [1], [1], [1, 2], [2], [0], [2], [2], [2], []]
    root = write_folder(tmp_path)
    (root / "real.json").write_text(json.dumps(lists))
    row, _ = painted(cell_of(root))
    assert (row["top1"], row["n_eval"]) == (1.0, 12)
    assert row["n_eval_real"] == 10
    assert row["real_top1"] == pytest.approx(7 / 10)


def test_scores_by_hand():
    split = loop.Split(
        labels=np.array([0, 1, 1, 2]),
        make=lambda picks: np.zeros((len(picks), 2, 2, 3), np.uint8),
        accepted=(frozenset([1, 2]), frozenset(), frozenset([1]), frozenset([0])),
    )
    found = loop.scores(np.array([2, 1, 1, 2]), np.arange(4), split)
    assert found["top1"] == 3 / 4 and found["chance"] == 1 / 2
    assert (found["real_top1"], found["n_eval_real"]) == (2 / 3, 3)
    none = dataclasses.replace(split, accepted=(frozenset(),) * 4)
    empty = loop.scores(np.array([2, 1, 1, 2]), np.arange(4), none)
    assert (empty["real_top1"], empty["n_eval_real"]) == (None, 0)


def test_selection_never_sees_the_reported_images(tmp_path):
    ready = task.prepare(cell_of(write_folder(tmp_path), augment="none"))
    val, test = (
        {image.tobytes() for image in seen.everything[0]}
        for seen in (ready.val, ready.test)
    )
    trained = {
        image.tobytes() for image in view.whole(ready.dataset.train, 16).everything[0]
    }
    assert not val & test and not val & trained and not test & trained


def test_both_frameworks_get_the_same_batches(tmp_path):
    root = write_folder(tmp_path)
    one, other = (
        task.prepare(cell_of(root, framework=name, mixup=0.5, shuffle="global"))
        for name in backend.FRAMEWORKS
    )
    for step in (0, 5, 1):
        mine, theirs = one.loader.batch(step), other.loader.batch(step)
        for left, right in zip(mine, theirs, strict=True):
            assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize(
    ("augment", "held"), [("flip", True), ("crop", False), ("inception", False)]
)
def test_what_fits_is_held_in_memory_unless_it_is_cropped(augment, held, tmp_path):
    cell = cell_of(write_folder(tmp_path), augment=augment)
    loader = task.prepare(cell).loader
    assert isinstance(loader.images, np.ndarray) is held


def test_a_set_too_large_for_memory_is_read_as_it_is_needed(tmp_path, monkeypatch):
    cell = cell_of(
        write_folder(tmp_path),
        augment="flip",
        randaugment_layers=0,
        randaugment_magnitude=0.0,
    )
    monkeypatch.setattr(view, "RESIDENT_BYTES", 100)
    ready = task.prepare(cell)
    assert not isinstance(ready.loader.images, np.ndarray)
    assert ready.loader.batch(3)[0].shape == (8, 16, 16, 3)
    row, _ = painted(cell)
    assert (row["top1"], row["n_eval"]) == (1.0, 12)


def test_embedded_sets_can_be_cropped_and_read_ahead_too(monkeypatch):
    cell = dataclasses.replace(CELL, dataset="digits", data_examples=50)
    held = task.prepare(cell).loader
    assert isinstance(held.images, np.ndarray)
    batch = held.batch(2)
    assert batch[0].shape == (8, 16, 16, 3)
    monkeypatch.setattr(view, "RESIDENT_BYTES", 100)
    stored = task.prepare(cell).loader
    assert not isinstance(stored.images, np.ndarray)
    for one, other in zip(stored.batch(2), batch, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("framework", backend.FRAMEWORKS)
def test_colours_are_learnt_from_a_folder(framework, tmp_path):
    root = write_folder(tmp_path)
    write_images(root / "train/n00000001", 1, 4, first=60)
    cell = cell_of(
        root,
        framework=framework,
        augment="flip",
        randaugment_layers=0,
        randaugment_magnitude=0.0,
        total_steps=20,
    )
    row = loop.pretrain(WorkItem(cell=cell), backend.load(framework, "cpu"))
    record.table([row])
    assert row["top1"] == 1.0
    assert row["data_wait_s"] < row["measured_s"]
