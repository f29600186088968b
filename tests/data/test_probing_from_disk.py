"""Few-shot targets in folders: where they lie, what is read, what is recorded."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from disk_sets import hub_rows, write_folder, write_shard

from bench import backend, cores, record, studies
from bench.data import Source, folders, image_folder, shots, stored
from bench.errors import DataError, StudyError
from bench.specs import Cell, WorkItem
from bench.training import loop, task

CELL = Cell(
    mode="pretrain",
    model="Mixer-XXS/4",
    framework="torch",
    device="cpu",
    image_size=8,
    batch_size=20,
    dataset="digits",
    data_examples=100,
    probe="image-folder",
    total_steps=4,
    learning_rate=0.01,
)
TRAIN, TEST = 90, 10


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr(cores, "threads", lambda: 1)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """Three classes that raw pixels tell apart."""
    root = tmp_path_factory.mktemp("disk") / "colours"
    return write_folder(root, train=TRAIN, val=TEST)


def placed(root, **fields) -> Cell:
    cell = dataclasses.replace(CELL, probe_dir=str(root), **fields)
    return folders.placed(cell, root)


class Counted:
    """Reads as before and remembers what."""

    def __init__(self, monkeypatch):
        self.paths = []
        plain = stored.decode

        def decode(held):
            self.paths.append(held)
            return plain(held)

        monkeypatch.setattr(stored, "decode", decode)


def test_a_probe_has_a_folder_and_a_fingerprint_of_its_own(colours, tmp_path):
    cell = placed(colours)
    held = folders.placed(
        dataclasses.replace(
            CELL, dataset="image-folder", data_dir=str(colours), probe=None
        ),
        colours,
    ).data_fingerprint
    assert cell.probe_fingerprint == held and cell.data_fingerprint is None
    other = placed(write_folder(tmp_path / "other", train=30))
    moved = dataclasses.replace(cell, probe_dir="/elsewhere")
    assert cell.cell_id == moved.cell_id != other.cell_id
    with pytest.raises(StudyError, match=r"probe_fingerprint: content-0: .* holds"):
        placed(colours, probe_fingerprint="content-0")


def test_the_cells_own_data_set_is_probed_where_it_lies(colours):
    own = {"dataset": "image-folder", "data_dir": str(colours)}
    cell = folders.placed(dataclasses.replace(CELL, **own), colours)
    assert cell.probe_dir == cell.data_dir
    assert cell.probe_fingerprint == cell.data_fingerprint
    source = folders.probe_source_of(cell, "image-folder")
    assert source.evaluation == "resize-crop"  # big_vision's; the set's is another
    assert image_folder.build(8, source).eval_preprocess.startswith("resize 9x9")


def test_no_more_images_are_read_than_the_draws_and_the_tests_need(
    colours, monkeypatch
):
    counted = Counted(monkeypatch)
    cell = placed(colours, probe_examples=12)
    ready = task.prepare(cell)
    (target,) = ready.targets
    labels = target.dataset.train.labels
    wanted = shots.support_of(labels)[shots.drawn(labels[shots.support_of(labels)])]
    assert len(counted.paths) == len(wanted) < len(labels)
    row = loop.pretrain(WorkItem(cell=cell), backend.load("torch", "cpu"))
    assert len(counted.paths) == 2 * len(wanted) + 12  # prepared twice, tested once
    assert {entry["n_test"] for entry in row["fewshot"]} == {12}


@pytest.mark.parametrize("framework", backend.FRAMEWORKS)
def test_the_row_tells_target_baselines_and_preprocessing(framework, colours):
    cell = placed(colours, framework=framework, probe="digits+image-folder")
    row = loop.pretrain(WorkItem(cell=cell), backend.load(framework, "cpu"))
    record.table([row])
    name = f"colours@{cell.probe_fingerprint[8:16]}"
    kinds = {(e["dataset"], e["baseline"]) for e in row["fewshot"]}
    found = (None, "raw_pixels", "random_init")
    assert kinds == {(d, k) for d in ("digits", name) for k in found}
    entries = [e for e in row["fewshot"] if e["dataset"] == name]
    assert {(e["n_test"], e["preprocess"]) for e in entries} == {
        (3 * TEST, "resize 9x9 bilinear, central crop 8")
    }
    assert {e["chance"] for e in entries} == {1 / 3}
    pixels = [e["accuracy"] for e in entries if e["baseline"] == "raw_pixels"]
    assert min(pixels) > 0.9
    assert [len(point["fewshot"]) for point in row["curve"]] == [2] * 4


def test_a_parquet_set_is_probed_by_the_same_interface(tmp_path):
    for part, count, first in (("train", 40, 0), ("test", 5, 500)):
        rows = [row for label in range(2) for row in hub_rows(label, count, first)]
        write_shard(tmp_path / f"{part}-00000-of-00001.parquet", rows)
    cell = folders.placed(
        dataclasses.replace(CELL, probe="parquet", probe_dir=str(tmp_path)), tmp_path
    )
    (target,) = task.prepare(cell).targets
    assert target.dataset.classes == 2 and len(target.test.picks) == 10


def test_a_damaged_shot_stops_the_cell_or_makes_way_for_another(tmp_path):
    root = write_folder(tmp_path / "set", train=40, val=4)
    whole = image_folder.build(8, Source(folder=root))
    labels = whole.train.labels
    first = int(shots.drawn(labels)[0])
    hurt = _file(root / f"train/n{labels[first]:08d}", whole.train.make([first])[0])
    tested = root / "val/n00000001/ILSVRC2012_val_00000005.JPEG"
    for path in (hurt, tested):
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"0\.JPEG|\d\.JPEG: cannot be decoded"):
        task.prepare(placed(root))
    cell = placed(root, on_bad_image="skip")
    (target,) = task.prepare(cell).targets
    assert first not in target.support.picks and first not in target.pool
    assert len(target.pool) == len(labels) - 1
    row = loop.pretrain(WorkItem(cell=cell), backend.load("torch", "cpu"))
    assert {entry["n_test"] for entry in row["fewshot"]} == {11}
    assert row["images_skipped"] == 2
    assert {e["shots"] for e in row["fewshot"]} == {1, 5, 10, 25}


def _file(folder, image):
    """Where an image lies, by its pixels."""
    return next(
        path
        for path in sorted(folder.iterdir())
        if np.array_equal(stored.decode(path.read_bytes()), image)
    )


def test_a_class_with_too_few_images_is_refused_before_anything_runs(tmp_path):
    root = write_folder(tmp_path / "set", train=20)
    grid = {**CELL.declared(), "total_steps": 20, "probe_dir": str(root)}
    with pytest.raises(
        StudyError, match=r"probe: image-folder: 25 shots are not possible; .* class"
    ):
        studies.from_values("own", {"grids": [grid]})
    root = write_folder(tmp_path / "more", train=40)
    grid = {**grid, "probe_dir": str(root), "on_bad_image": "skip"}
    (cell,) = studies.from_values("own", {"grids": [grid]}).cells
    assert cell.probe_dir == str(root)
