"""The best network on validation is what a cell with `best_of` reports."""

from __future__ import annotations

import dataclasses

import killed_training
import numpy as np
import pytest
from test_loop import CELL, FakeBackend, FakeClock, FakeLearner

from bench import cores, record, studies
from bench.errors import StudyError
from bench.models import weights
from bench.specs import Effort, WorkItem
from bench.training import loop, task

STEPS = 40


class Learner(FakeLearner):
    """Unlearns from some step on, so that its end is worse than its middle."""

    UNLEARNS = 20

    def step(self, images, labels, learning_rate, key=None) -> None:
        sign = 1 if len(self._losses) < self.UNLEARNS else -3
        super().step(images, labels, sign * learning_rate, key)

    def snapshot(self):
        held = {"weights/head/kernel": self.kernel.copy()}
        return {**held, "losses": np.array(self._losses)}

    def restore(self, snapshot) -> None:
        self.kernel = np.array(snapshot["weights/head/kernel"], dtype=float)
        self._losses = snapshot["losses"].tolist()


class Backend(FakeBackend):
    def learner(self, spec, initial, recipe, *, batch_size, dtype):
        self.made = Learner(self.clock)
        return self.made


def trained(tmp_path=None, **fields):
    clock = FakeClock()
    cell = dataclasses.replace(CELL, total_steps=STEPS, **fields)
    path = None if tmp_path is None else str(tmp_path / "left.safetensors")
    item = WorkItem(cell=cell, keep_weights=path, effort=Effort(evaluations=4))
    return loop.pretrain(item, Backend(clock), clock), clock


def test_the_best_on_validation_is_reported_and_every_step_is_paid_for(tmp_path):
    last, _ = trained()
    best, _ = trained(tmp_path, best_of=8, probe="digits")
    record.table([best])
    top1 = [point["top1"] for point in best["curve"]]
    steps = [point["step"] for point in best["curve"]]
    assert steps == [5, 10, 15, 20, 25, 30, 35, 40]
    assert best["selected_step"] == steps[int(np.argmax(top1))] <= Learner.UNLEARNS
    assert last["selected_step"] is None and last["top1"] < best["top1"] - 0.1
    assert (best["steps"], best["images_seen"]) == (STEPS, STEPS * CELL.batch_size)
    assert best["measured_s"] == pytest.approx(STEPS + 8 * FakeLearner.BARRIER)
    # the same network is left behind, hashed, and probed
    left = weights.read(tmp_path / "left.safetensors")
    assert weights.sha256(left) == best["weights_sha256"]
    at = best["curve"][steps.index(best["selected_step"])]["fewshot"]
    five = [
        row["accuracy"]
        for row in best["fewshot"]
        if row["shots"] == 5 and row["baseline"] is None
    ]
    assert at == [{"dataset": "digits", "accuracy": np.median(five)}]


def test_the_test_split_selects_nothing(monkeypatch):
    """With validation images whose labels are wrong, the worst network is chosen."""
    plain = task.prepare

    def misled(cell):
        ready = plain(cell)
        wrong = dataclasses.replace(
            ready.val.split, labels=(ready.val.split.labels + 1) % 10
        )
        return dataclasses.replace(
            ready, val=dataclasses.replace(ready.val, split=wrong)
        )

    honest, _ = trained(best_of=8)
    monkeypatch.setattr(loop, "prepare", misled)
    row, _ = trained(best_of=8)
    assert row["selected_step"] > Learner.UNLEARNS >= honest["selected_step"]
    assert row["top1"] < honest["top1"]


def test_of_equally_good_networks_the_first_is_reported(monkeypatch):
    monkeypatch.setattr(loop, "accuracy", lambda learner, view: 0.5)
    row, _ = trained(best_of=4)
    assert row["selected_step"] == 10


def test_a_kill_after_the_best_step_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "threads", lambda: 1)
    # accurate in the middle, by decree
    seen = {6: 0.2, 12: 0.9, 18: 0.5, 24: 0.4}
    monkeypatch.setattr(
        loop, "accuracy", lambda learner, _: seen[len(learner.losses())]
    )
    monkeypatch.setattr(
        killed_training,
        "CELL",
        dataclasses.replace(killed_training.CELL, best_of=4),
    )
    whole = killed_training.train(tmp_path / "whole", "fake")
    assert whole["selected_step"] == 12

    class Killed(Exception):
        pass

    plain = killed_training.FakeLearner.step

    def dying(self, *given):
        if len(self.losses()) == 22:
            raise Killed
        plain(self, *given)

    monkeypatch.setattr(killed_training.FakeLearner, "step", dying)
    with pytest.raises(Killed):
        killed_training.train(tmp_path / "cut", "fake")
    monkeypatch.setattr(killed_training.FakeLearner, "step", plain)
    row = killed_training.train(tmp_path / "cut", "fake")
    assert (row["resumed_step"], row["selected_step"]) == (20, 12)
    assert row["weights_sha256"] == whole["weights_sha256"]
    assert row["top1"] == whole["top1"]


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_real_learner_takes_the_weights_of_its_best_step_back(framework, monkeypatch):
    from bench import backend

    pytest.importorskip(framework)
    monkeypatch.setattr(cores, "threads", lambda: 1)
    fields = {"framework": framework, "learning_rate": 0.01, "device": "cpu"}
    cell = dataclasses.replace(CELL, batch_size=8, data_examples=16, **fields)
    made = backend.load(framework, "cpu")
    first = loop.pretrain(WorkItem(cell=dataclasses.replace(cell, total_steps=2)), made)
    found = iter([0.9, 0.5])
    real = loop.accuracy
    monkeypatch.setattr(loop, "accuracy", lambda *_: next(found))
    both = dataclasses.replace(cell, total_steps=4, best_of=2, schedule="constant")
    alone = dataclasses.replace(cell, total_steps=2, schedule="constant")
    row = loop.pretrain(WorkItem(cell=both), made)
    monkeypatch.setattr(loop, "accuracy", real)
    short = loop.pretrain(WorkItem(cell=alone), made)
    assert row["selected_step"] == 2
    assert row["weights_sha256"] == short["weights_sha256"]
    assert row["weights_sha256"] != first["weights_sha256"]  # another schedule


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"best_of": 0}, "best_of: 0: must be a finite number above 0"),
        ({"best_of": 2.5}, "best_of: 2.5: must be a whole number or null"),
        ({"best_of": 41}, "best_of: 41: a run of 40 steps has no more .* give 1 to 40"),
        ({"mode": "finetune", "best_of": 2}, "best_of: mode finetune does not use it"),
    ],
    ids=str,
)
def test_what_selects_nothing_is_refused(given, message):
    grid = {**CELL.declared(), **given}
    with pytest.raises(StudyError, match=message):
        studies.from_values("own", {"grids": [grid]})
