"""Fine-tuning: where it starts, how it chooses a rate, what it costs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from test_loop import FakeBackend, FakeClock, FakeLearner

from bench import checkpoints, models, record
from bench.data import to_float
from bench.errors import Diverged, StudyError, WeightsError
from bench.models import weights
from bench.specs import PROTOCOL, Cell, Effort, Parent, WorkItem
from bench.training import task
from bench.training.finetune import _best, finetune

SPEC = models.spec_for("Mixer-XXS/4", image_size=8, num_classes=4)
PARENT = Cell(
    mode="pretrain",
    model="Mixer-XXS/4",
    framework="jax",
    image_size=8,
    batch_size=50,
    dataset="fractals",
    total_steps=9,
)
CELL = Cell(
    mode="finetune",
    model="Mixer-XXS/4",
    framework="jax",
    device="cpu",
    image_size=8,
    batch_size=50,
    dataset="digits",
    data_examples=200,
    total_steps=40,
    warmup_steps=0,
    learning_rates="0.1+0.5+0.0001",
    parent_cell_id=PARENT.cell_id,
)


class Backend(FakeBackend):
    """Keeps every learner it makes, and what each was started from."""

    def __init__(self, clock: FakeClock, spoilt_rates: tuple[float, ...] = ()) -> None:
        super().__init__(clock)
        self.spoilt_rates = spoilt_rates
        self.learners: list[FakeLearner] = []
        self.starts: list[tuple[float, dict[str, np.ndarray]]] = []
        self.evaluated: list[list[np.ndarray]] = []

    def learner(self, spec, initial, recipe, *, batch_size, dtype):
        bad = recipe.learning_rate in self.spoilt_rates
        made = FakeLearner(self.clock, 3 if bad else None)
        seen: list[np.ndarray] = []
        plain = made.logits
        made.logits = lambda images: (seen.append(images), plain(images))[1]
        self.learners.append(made)
        self.starts.append((recipe.learning_rate, dict(initial)))
        self.evaluated.append(seen)
        return made


@pytest.fixture
def parent(tmp_path) -> Parent:
    drawn = weights.random(SPEC, 0)
    path = tmp_path / "parent.safetensors"
    weights.save_file(path, drawn)
    return Parent(PARENT, str(path), weights.sha256(drawn))


def tuned(parent, cell=CELL, **backend):
    clock = FakeClock()
    fake = Backend(clock, **backend)
    return finetune(WorkItem(cell=cell, parent=parent), fake, clock), fake


def test_every_rate_is_tried_and_the_best_on_the_dev_split_trains_on_all(parent):
    row, fake = tuned(parent)
    record.table([row])
    assert [trial["learning_rate"] for trial in row["search"]] == [0.1, 0.5, 0.0001]
    assert {trial["status"] for trial in row["search"]} == {"ok"}
    best = max(row["search"], key=lambda trial: trial["top1"])
    assert row["learning_rate"] == best["learning_rate"] == 0.5
    assert [rate for rate, _ in fake.starts] == [0.1, 0.5, 0.0001, 0.5]
    assert row["unique_images"] == 200 and row["images_seen"] == 2_000


def test_the_search_sees_no_image_of_the_test_split(parent):
    _, fake = tuned(parent)
    tested = {one.tobytes() for one in to_float(task.prepare(CELL).test.everything[0])}
    *search, final = [
        {one.tobytes() for images in seen for one in images} for seen in fake.evaluated
    ]
    assert all(seen and not seen & tested for seen in search)
    assert tested <= final


def test_the_dev_split_is_a_stratified_part_of_the_training_images():
    whole = task.prepare(CELL)
    dev = task.dev_task(dataclasses.replace(CELL, dev_fraction=0.2), whole)
    images = {one.tobytes() for one in whole.loader.images}
    shown, positions = dev.val.everything
    held = {one.tobytes() for one in shown}
    rest = {one.tobytes() for one in dev.loader.images}
    assert (len(held), len(rest)) == (40, 160)
    assert held | rest == images and not held & rest
    shares = np.bincount(dev.val.split.labels[positions], minlength=10)
    expected = np.bincount(whole.loader.labels, minlength=10) / 5
    assert np.abs(shares - expected).max() <= 1.5
    assert len(dev.test.picks) == 0


def test_a_dev_split_that_leaves_nothing_is_refused():
    cell = dataclasses.replace(CELL, data_examples=1, dev_fraction=0.5)
    with pytest.raises(StudyError, match="leaves none to train on; lower it"):
        task.dev_task(cell, task.prepare(cell))


def test_training_starts_from_the_parents_body_and_a_zero_head(parent):
    row, fake = tuned(parent)
    found = weights.read_file(parent.weights, SPEC)
    for _, start in fake.starts:
        assert (start["head/kernel"] == 0).all()
        assert start["head/kernel"].shape == (64, 10)
        for name in set(found) - set(SPEC.head()):
            np.testing.assert_array_equal(start[name], found[name])
    assert row["init_report"] == (
        "28 of 30 tensors as in the file; new head/kernel, head/bias: zeros for 10 "
        "classes, the file's is for 4"
    )
    assert row["init_weights_sha256"] == parent.sha256
    assert (row["pretrain_dataset"], row["pretrain_image_size"]) == ("fractals", 8)
    assert (row["eval_dataset"], row["eval_split"], row["n_eval"]) == (
        *("digits", "test"),
        597,
    )


def test_a_new_heads_bias_starts_where_the_cell_says(parent):
    cell = dataclasses.replace(
        CELL, learning_rates=None, loss="sigmoid", head_bias=-6.9, total_steps=1
    )
    row, fake = tuned(parent, cell)
    ((_, start),) = fake.starts
    np.testing.assert_array_equal(start["head/bias"], np.full(10, -6.9, np.float32))
    assert not start["head/kernel"].view(np.uint32).any()  # +0, not -0
    assert "head/bias: zeros, its bias -6.9, for 10 classes" in row["init_report"]


def test_costs_are_apart_and_add_up(parent):
    row, _ = tuned(parent)
    cores = row["core_days_finetune"] * 86_400 / row["measured_s"]
    # 40 steps in 4 spans, each closed by a barrier; nothing of the search
    assert row["measured_s"] == pytest.approx(40 + 4 * 0.25)
    # 3 rates: a learner built, 40 steps and a compilation, a barrier, one evaluation
    search = 3 * (5 + 2 + 40 + 0.25 + 0.5)
    assert row["search_s"] == pytest.approx(search)
    assert row["core_days_search"] == pytest.approx(cores * search / 86_400)
    assert row["core_days_measured"] is None
    assert row["excluded_s"] > row["search_s"]
    parts = ("measured_s", "excluded_s", "repeated_s", "idle_s")
    assert row["allocated_s"] == pytest.approx(sum(row[part] for part in parts))


def test_one_rate_needs_no_search(parent):
    cell = dataclasses.replace(CELL, learning_rates=None, learning_rate=0.5)
    row, fake = tuned(parent, cell)
    assert len(fake.learners) == 1
    assert row["core_days_search"] is None and "search" not in row


def test_a_rate_that_diverges_is_an_answer(parent):
    row, _ = tuned(parent, spoilt_rates=(0.5,))
    assert [trial["status"] for trial in row["search"]] == ["ok", "diverged", "ok"]
    assert row["search"][1]["top1"] is None
    assert row["learning_rate"] == 0.1
    record.table([row])


class Killed(Exception):
    """The process is gone."""


def dying_after(networks, make):
    """What makes so many networks and then dies."""
    left = iter(range(networks))

    def dying(*given, **named):
        if next(left, None) is None:
            raise Killed
        return make(*given, **named)

    return dying


def kept(folder, parent) -> WorkItem:
    effort = Effort(checkpoint_steps=1_000)  # none: a fake learner has no snapshot
    checkpoints = str(folder)
    return WorkItem(cell=CELL, parent=parent, checkpoints=checkpoints, effort=effort)


def test_a_killed_search_tries_no_rate_twice(parent, tmp_path):
    """Neither while it searches, nor when the fine-tuning behind it is killed."""
    item = kept(tmp_path / "work", parent)
    whole, _ = tuned(parent)
    clock = FakeClock()
    for networks in (2, 1):  # two trials; then the third, and no more
        fake = Backend(clock)
        fake.learner = dying_after(networks, fake.learner)
        with pytest.raises(Killed):
            finetune(item, fake, clock)
    fake = Backend(clock)
    row = finetune(item, fake, clock)
    assert [rate for rate, _ in fake.starts] == [0.5]  # all were tried: it only trains
    assert row["search"] == whole["search"]
    assert (row["learning_rate"], row["top1"]) == (0.5, whole["top1"])
    assert row["search_s"] == pytest.approx(whole["search_s"])
    assert row["search_s"] < row["allocated_s"]
    assert "search_resumed" not in {c["kind"] for c in row["cautions"]}


def test_a_search_of_another_environment_is_told_of(parent, tmp_path):
    folder = tmp_path / "work"
    item = kept(folder, parent)
    with checkpoints.Work(folder) as work:
        facts = {"cell_id": CELL.cell_id, "protocol": PROTOCOL, "made": {}}
        trial = {"learning_rate": 0.1, "status": "ok", "top1": 0.99, "train_loss": 1.0}
        work.save_search({**facts, "trials": [trial], "search_s": 5.0})
    fake = Backend(FakeClock())
    row = finetune(item, fake, fake.clock)
    assert [rate for rate, _ in fake.starts] == [0.5, 0.0001, 0.1]
    assert row["learning_rate"] == 0.1
    (said,) = [c for c in row["cautions"] if c["kind"] == "search_resumed"]
    assert "1 learning rates were tried before, but" in said["seen"]


@pytest.mark.parametrize("spoilt", ["", "[]", '{"cell_id": "0", "protocol": 1}'])
def test_notes_of_a_search_that_do_not_fit_are_no_notes(spoilt, parent, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "search.json").write_text(spoilt)
    item = kept(folder, parent)
    fake = Backend(FakeClock())
    row = finetune(item, fake, fake.clock)
    assert len(fake.starts) == 4 and len(row["search"]) == 3


def test_where_every_rate_diverges_so_does_the_cell(parent):
    with pytest.raises(Diverged, match=r"every learning rate diverged \(0.1, 0.5, 0.0"):
        tuned(parent, spoilt_rates=(0.1, 0.5, 0.0001))


def test_of_equal_rates_the_lowest_wins():
    trials = [
        {"learning_rate": rate, "status": "ok", "top1": top1}
        for rate, top1 in ((0.3, 0.5), (0.1, 0.5), (0.01, 0.4))
    ]
    assert _best(trials) == 0.1


def test_probes_compare_with_the_network_at_random_not_with_its_start(parent):
    cell = dataclasses.replace(CELL, learning_rates=None, probe="digits")
    row, fake = tuned(parent, cell)
    final, fresh = fake.starts
    assert (final[1]["stem/kernel"] != fresh[1]["stem/kernel"]).any()
    drawn = weights.initial(task.prepare(cell).spec, cell.seed)
    np.testing.assert_array_equal(fresh[1]["stem/kernel"], drawn["stem/kernel"])
    kinds = {entry["baseline"] for entry in row["fewshot"]}
    assert kinds == {None, "raw_pixels", "random_init"}


def test_weights_that_are_not_the_parents_are_refused(parent):
    other = dataclasses.replace(parent, sha256="0" * 64)
    with pytest.raises(WeightsError, match=r"is not what pretrain .* left; run it"):
        tuned(other)


def test_a_file_that_changed_since_the_study_was_read_is_refused(parent):
    cell = dataclasses.replace(CELL, init=parent.weights, init_sha256="0" * 64)
    with pytest.raises(WeightsError, match="has changed since the study was read"):
        tuned(None, cell)


def test_a_pretrain_cell_leaves_the_weights_that_its_row_tells_of(tmp_path):
    from bench.training import loop

    path = tmp_path / "left.safetensors"
    cell = dataclasses.replace(
        PARENT, framework="jax", device="cpu", data_examples=100, warmup_steps=0
    )
    item = WorkItem(cell=cell, keep_weights=str(path))
    clock = FakeClock()
    row = loop.pretrain(item, FakeBackend(clock), clock)
    assert weights.sha256(weights.read(path)) == row["weights_sha256"]
    assert row["core_days_extrapolated"] is None


def test_a_papers_recipe_at_its_size_is_extrapolated(monkeypatch):
    from bench.training import loop

    cell = dataclasses.replace(PARENT, recipe="mixer-jft", model="Mixer-B/16")
    full = 7 * 303e6 / 2.0 / 86_400
    assert loop._full(dataclasses.replace(cell, image_size=224), 2.0) == full
    assert loop._full(dataclasses.replace(cell, image_size=32), 2.0) is None
    assert loop._full(dataclasses.replace(cell, recipe="demo"), 2.0) is None
