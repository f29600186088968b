"""Images that stay on the device: the same batches, the same losses, bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench import backend, cores, record, studies
from bench.data import to_float, view
from bench.data.loader import Loader
from bench.errors import StudyError
from bench.specs import Cell, Effort, WorkItem
from bench.training import finetune, loop, resident, task

CELL = Cell(
    mode="pretrain",
    model="Mixer-XXS/4",
    framework="jax",
    device="cpu",
    image_size=8,
    batch_size=24,
    dataset="digits",
    data_examples=100,
    total_steps=9,
    learning_rate=0.01,
)
EACH = pytest.mark.parametrize("framework", backend.FRAMEWORKS)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr(cores, "threads", lambda: 1)


def opened(framework):
    pytest.importorskip(framework)
    return backend.load(framework, "cpu")


@EACH
def test_every_byte_becomes_the_hosts_float(framework):
    made = opened(framework)
    rng = np.random.default_rng(0)
    images = rng.permutation(256 * 3).reshape(4, 8, 8, 3).astype(np.uint8)
    assert set(images.flat) == set(range(256))
    ready = task.prepare(CELL)
    loader = dataclasses.replace(
        ready.loader, images=images, labels=np.array([3, 1, 2, 0]), batch_size=3
    )
    three = dataclasses.replace(CELL, batch_size=3)
    fed = resident.fed(
        dataclasses.replace(ready, loader=loader), made, three, "resident"
    )
    for step in (0, 5, 1):  # epochs end inside a batch
        found, labels = (np.asarray(one) for one in fed.batches(step))
        wanted, wanted_labels = loader.batch(step)
        assert found.dtype == np.float32
        assert found.tobytes() == wanted.tobytes()
        assert labels.tolist() == wanted_labels.tolist()
    assert found.tobytes() == to_float(images[loader.picks(1)]).tobytes()


def trained(framework, how, **fields):
    cell = dataclasses.replace(CELL, framework=framework, **fields)
    effort = Effort(input=how, evaluations=3)
    row = loop.pretrain(WorkItem(cell=cell, effort=effort), opened(framework))
    record.table([row])
    return row


@EACH
@pytest.mark.parametrize("fields", [{}, {"shuffle": "global", "dropout": 0.1}])
def test_the_run_is_the_same_bit_for_bit(framework, fields):
    host, there = (trained(framework, how, **fields) for how in ("host", "resident"))
    assert (host["train_input"], there["train_input"]) == ("host", "resident")
    for name in ("weights_sha256", "train_loss", "top1", "images_seen"):
        assert host[name] == there[name], name
    for one, other in zip(host["curve"], there["curve"], strict=True):
        assert one["train_loss"] == other["train_loss"]
        assert one["top1"] == other["top1"]


@EACH
def test_no_batch_is_made_on_the_host(framework, monkeypatch):
    def refused(self, step):
        raise AssertionError("a batch was made on the host")

    monkeypatch.setattr(Loader, "batch", refused)
    assert trained(framework, "resident")["steps"] == 9
    with pytest.raises(AssertionError, match="made on the host"):
        trained(framework, "host")


@EACH
def test_the_search_of_a_finetuning_uses_it_too(framework, monkeypatch):
    fed = []
    whole = resident.fed

    def noted(ready, made, cell, how):
        fed.append((len(ready.loader.labels), how))
        return whole(ready, made, cell, how)

    monkeypatch.setattr(resident, "fed", noted)
    cell = dataclasses.replace(
        CELL, mode="finetune", framework=framework, learning_rates="0.01+0.02"
    )
    monkeypatch.setattr(
        finetune, "_loaded", lambda item, spec: (task.prepare(CELL).weights, {})
    )
    rows = [
        finetune.finetune(
            WorkItem(cell=cell, effort=Effort(input=how)), opened(framework)
        )
        for how in ("host", "resident")
    ]
    assert fed == [(90, "host"), (100, "host"), (90, "resident"), (100, "resident")]
    assert rows[0]["search"] == rows[1]["search"]
    assert rows[0]["weights_sha256"] == rows[1]["weights_sha256"]


def document(**grid):
    base = {name: getattr(CELL, name) for name in CELL.declared()}
    return {"settings": {"input": "resident"}, "grids": [{**base, **grid}]}


def test_a_study_asks_for_it_and_the_cell_is_the_same_cell():
    study = studies.from_values("own", document())
    assert study.effort.input == "resident"
    bare = {**document(), "settings": {}}
    (one,), (other,) = study.cells, studies.from_values("own", bare).cells
    assert one.cell_id == other.cell_id


@pytest.mark.parametrize("given", [{"augment": "flip"}, {"mixup": 0.5}])
def test_random_images_are_refused_in_one_line(given):
    with pytest.raises(StudyError, match=r"input: resident: .* say input: host"):
        studies.from_values("own", document(**given))


def test_what_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(view, "RESIDENT_BYTES", 19_199)
    with pytest.raises(StudyError, match="100 images of 8 px take more than 19,199"):
        studies.from_values("own", document())
    monkeypatch.setattr(view, "RESIDENT_BYTES", 19_200)
    assert studies.from_values("own", document()).cells


def test_speed_modes_and_other_words_are_refused():
    grid = {"mode": "infer", "model": "Mixer-XXS/4", "framework": "jax"}
    asked = {"settings": {"input": "resident"}, "grids": [grid]}
    with pytest.raises(StudyError, match="is for training; mode infer times"):
        studies.from_values("own", asked)
    wrong = {**document(), "settings": {"input": "device"}}
    with pytest.raises(StudyError, match="'device': must be host or resident"):
        studies.from_values("own", wrong)
