"""Parents before children: order, weights, and what runs again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench import executors, results, runner, studies
from bench.errors import StudyError, WeightsError
from bench.models import weights
from bench.specs import Cell, Effort, Parent, Study, WorkItem

PARENT = Cell(
    mode="pretrain",
    model="Mixer-XXS/4",
    framework="torch",
    image_size=8,
    dataset="fractals",
    data_examples=100,
    batch_size=8,
    total_steps=1,
)
OTHER = dataclasses.replace(PARENT, learning_rate=0.5)
TIMED = Cell(mode="infer", model="Mixer-XXS/4", framework="torch", batch_size=8)


def child(parent: Cell, **fields) -> Cell:
    given = {"dataset": "digits", "mode": "finetune", **fields}
    return dataclasses.replace(parent, parent_cell_id=parent.cell_id, **given)


class Fake:
    """Trains nothing; a parent's weights are its learning rate."""

    def __init__(self) -> None:
        self.items: list[WorkItem] = []
        self.failing: set[str] = set()

    def run(self, item):
        self.items.append(item)
        if item.cell.cell_id in self.failing:
            return {"status": "oom", "error_class": "X", "error_message": "too big"}
        values = {"w": np.array([item.cell.learning_rate], np.float32)}
        if item.keep_weights is not None:
            weights.save_file(item.keep_weights, values)
        return {"status": "ok", "weights_sha256": weights.sha256(values)}

    def take(self) -> list[Cell]:
        cells = [item.cell for item in self.items]
        self.items = []
        return cells


@pytest.fixture
def fake(monkeypatch):
    made = Fake()
    monkeypatch.setattr(executors, "make", lambda name: made)
    return made


def study(*cells: Cell) -> Study:
    return Study(name="s", question="?", cells=cells)


CHILD, CHILD_OF_OTHER = child(PARENT), child(OTHER)
FAMILY = (CHILD_OF_OTHER, CHILD, TIMED, OTHER, PARENT)


def run(cells, out, **options):
    return runner.run_study(study(*cells), out=out, **options)


def test_children_come_last_and_get_their_own_parents_weights(fake, tmp_path):
    run(FAMILY, tmp_path)
    modes = [item.cell.mode for item in fake.items]
    assert modes[-2:] == ["finetune", "finetune"] and len(modes) == 5
    for item in fake.items[-2:]:
        assert isinstance(item.parent, Parent)
        assert item.parent.cell.cell_id == item.cell.parent_cell_id
        found = weights.read(results.Path(item.parent.weights))
        assert weights.sha256(found) == item.parent.sha256
        assert found["w"][0] == np.float32(item.parent.cell.learning_rate)
    assert [i.keep_weights for i in fake.items if i.cell == TIMED] == [None]


def test_only_a_parent_keeps_its_weights(fake, tmp_path):
    run((PARENT, OTHER, CHILD), tmp_path)
    kept = {item.cell: item.keep_weights for item in fake.items}
    assert kept[PARENT] is not None and kept[OTHER] is None
    files = [path.name for path in (tmp_path / ".work").rglob("*.safetensors")]
    assert files == [f"{PARENT.cell_id}.safetensors"]


def test_a_study_may_keep_every_weight_and_misses_what_went(fake, tmp_path):
    kept = Study(
        name="s",
        question="?",
        cells=(CHILD, TIMED, OTHER, PARENT),
        effort=Effort(keep_weights=True),
        repetitions=2,
    )
    runner.run_study(kept, out=tmp_path)
    left = [item.cell for item in fake.items if item.keep_weights is not None]
    assert set(left) == {CHILD, OTHER, PARENT} and len(left) == 3
    fake.take()
    runner.run_study(kept, out=tmp_path)
    assert fake.take() == []
    (path,) = (tmp_path / ".work").rglob(f"{OTHER.cell_id}.safetensors")
    path.unlink()
    runner.run_study(kept, out=tmp_path)
    assert fake.take() == [OTHER] and path.exists()


@pytest.mark.parametrize(("mode", "fine"), [("infer", False), ("pretrain", True)])
def test_keeping_weights_needs_a_cell_that_trains(mode, fine):
    trained = {"dataset": "digits", "total_steps": 1} if fine else {}
    grid = {"mode": mode, "model": "Mixer-XXS/4", "framework": "torch", **trained}
    grid |= {"image_size": 8, "batch_size": 8}
    document = {"settings": {"keep_weights": True}, "grids": [grid]}
    if fine:
        assert studies.from_values("s", document).effort.keep_weights
        return
    with pytest.raises(StudyError, match="keep_weights: true: no grid has mode pret"):
        studies.from_values("s", document)


def test_a_second_run_does_nothing(fake, tmp_path):
    run(FAMILY, tmp_path)
    fake.take()
    assert run(FAMILY, tmp_path).reused == 5
    assert fake.take() == []


def test_a_changed_parent_runs_again_with_its_descendants_and_nothing_else(
    fake, tmp_path
):
    run(FAMILY, tmp_path)
    fake.take()
    changed = dataclasses.replace(OTHER, weight_decay=0.1)
    run((child(changed), CHILD, TIMED, changed, PARENT), tmp_path)
    assert fake.take() == [changed, child(changed)]


def test_a_new_child_of_a_finished_parent_trains_alone(fake, tmp_path):
    run(FAMILY, tmp_path)
    fake.take()
    new = child(PARENT, learning_rate=0.7)
    run((*FAMILY, new), tmp_path)
    assert fake.take() == [new]


@pytest.mark.parametrize("harm", ["gone", "other", "broken"])
def test_a_parent_whose_weights_are_lost_runs_again_and_says_so(fake, tmp_path, harm):
    run(FAMILY, tmp_path)
    fake.take()
    (path,) = (tmp_path / ".work").rglob(f"{PARENT.cell_id}.safetensors")
    if harm == "gone":
        path.unlink()
    elif harm == "other":
        weights.save_file(path, {"w": np.zeros(1, np.float32)})
    else:
        path.write_bytes(b"no weights")
    plans = []
    run(FAMILY, tmp_path, on_start=plans.append)
    assert fake.take() == []  # nobody waits for them
    new = child(PARENT, learning_rate=0.7)
    run((*FAMILY, new), tmp_path, on_start=plans.append)
    assert fake.take() == [PARENT, new]
    (line,) = plans[1].lineage.again
    assert line.startswith(f"{PARENT.label} is trained again: ")
    told = {
        "gone": "are not at",
        "other": "other weights than",
        "broken": "not readabl",
    }
    assert told[harm] in line


def test_a_child_of_a_failed_parent_is_skipped_with_the_reason(fake, tmp_path):
    fake.failing = {PARENT.cell_id}
    summary = run(FAMILY, tmp_path)
    skipped = [row for row in summary.rows if row["status"] == "skipped"]
    assert [row["cell_id"] for row in skipped] == [CHILD.cell_id]
    assert skipped[0]["error_class"] == "ParentFailed"
    assert skipped[0]["error_message"] == (
        f"the cell it starts from, {PARENT.label}, ended as oom: too big"
    )
    assert CHILD not in fake.take()
    fake.failing = set()
    again = run(FAMILY, tmp_path, retry_failed=True)
    assert fake.take() == [PARENT, CHILD]
    assert again.failed == []


def test_a_weights_file_of_another_model_is_refused_before_anything_runs(
    fake, tmp_path
):
    from bench import models

    path = tmp_path / "w.npz"
    other = models.spec_for("ViT-XXS/4", image_size=8, num_classes=3)
    weights.save_file(path, weights.random(other, 0))
    cell = dataclasses.replace(
        CHILD, parent_cell_id=None, init=str(path), init_sha256="1" * 64
    )
    with pytest.raises(WeightsError, match=r"w.npz: Mixer-XXS/4 at 8 px .* is missing"):
        run((cell, TIMED), tmp_path / "new")
    assert fake.items == [] and not (tmp_path / "new").exists()
