"""Both frameworks really train, at the smallest size that shows it."""

import importlib.util

import pytest

from bench import backend, cores, record
from bench.specs import Cell, WorkItem
from bench.training.loop import pretrain


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Threads that share busy cores wait for each other; a test needs no speed."""
    monkeypatch.setattr(cores, "threads", lambda: 1)


def cell(framework: str, **fields) -> Cell:
    given = {
        "model": "Mixer-XXS/4",
        "device": "cpu",
        "image_size": 8,
        "batch_size": 32,
        "dataset": "digits",
        "total_steps": 60,
        "learning_rate": 3e-3,
        **fields,
    }
    return Cell(mode="pretrain", framework=framework, **given)


def trained(framework: str, **fields) -> dict:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    item = WorkItem(cell=cell(framework, **fields))
    return pretrain(item, backend.load(framework, "cpu"))


@pytest.mark.parametrize("framework", backend.FRAMEWORKS)
def test_digits_are_learnt_and_every_second_is_accounted_for(framework):
    row = trained(framework)
    record.table([row])
    assert row["top1"] > 0.6 > 5 * row["chance"]
    parts = ("measured_s", "excluded_s", "repeated_s", "idle_s")
    total = sum(row[part] for part in parts)
    assert row["allocated_s"] == pytest.approx(total, rel=1e-3)
    assert 0 <= row["idle_s"] < 0.05 * row["allocated_s"]
    assert 0 < row["data_wait_s"] < row["measured_s"]


@pytest.mark.parametrize("framework", backend.FRAMEWORKS)
def test_one_seed_is_one_training(framework):
    one, same = (trained(framework, total_steps=5) for _ in range(2))
    assert one["weights_sha256"] == same["weights_sha256"]
    assert one["curve"][-1]["train_loss"] == same["curve"][-1]["train_loss"]


def test_both_frameworks_start_from_the_same_loss():
    losses = [
        trained(framework, total_steps=1, warmup_steps=0)["train_loss"]
        for framework in backend.FRAMEWORKS
    ]
    # A zero head guesses: ln 10 exactly, whatever the body.
    assert losses == pytest.approx([2.302585] * 2, rel=1e-5)
