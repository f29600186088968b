"""A killed training goes on where it was, and ends in the same bits."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import killed_training
import numpy as np
import pytest
import safetensors.numpy
from killed_training import EVERY, MOMENTS, train

import bench
from bench import backend, checkpoints, cores, record
from bench.errors import UnfitCheckpoint
from bench.models import weights
from bench.training import checkpoint
from bench.training.ledger import Account, Ledger

STEPS = killed_training.CELL.total_steps
PARTS = ("measured_s", "excluded_s", "repeated_s", "idle_s")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr(cores, "threads", lambda: 1)


@pytest.fixture(scope="module")
def in_one_go(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cores, "threads", lambda: 1)
        return train(tmp_path_factory.mktemp("whole"), "fake")


def _environment(**more: str) -> dict[str, str]:
    root = str(Path(bench.__file__).parents[1])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **more}


@pytest.fixture(scope="module")
def killed():
    """Train in a process that is killed the `count`-th time it is `at` some moment."""
    server = subprocess.Popen(
        [sys.executable, killed_training.__file__, "serve"],
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def kill(folder: Path, at: str, count: int, step_s: float = 0.0, threads: int = 1):
        asked = {"folder": str(folder), "at": at, "count": count}
        line = json.dumps({**asked, "step_s": step_s, "threads": threads})
        print(line, file=server.stdin, flush=True)
        assert int(server.stdout.readline()) == -signal.SIGKILL

    yield kill
    server.communicate()
    assert server.returncode == 0


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_kill_at_any_step_changes_no_bit(step, killed, in_one_go, tmp_path):
    killed(tmp_path, "step", step)
    row = train(tmp_path, "fake")
    assert row["weights_sha256"] == in_one_go["weights_sha256"]
    for name in ("top1", "train_loss", "fewshot"):
        assert row[name] == in_one_go[name]
    same = ("step", "train_loss", "top1", "images_seen")
    for mine, whole in zip(row["curve"], in_one_go["curve"], strict=True):
        assert {n: mine[n] for n in same} == {n: whole[n] for n in same}
    kept = (step - 1) // EVERY * EVERY
    assert row["resumed_step"] == (kept or None)
    assert row["inexact_resume"] is (False if kept else None)
    assert row["resumes"] == 1
    record.table([row])


@pytest.mark.parametrize("at", [name for name in MOMENTS if name != "step"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_kill_around_a_write_leaves_a_whole_checkpoint(
    at, count, killed, in_one_go, tmp_path
):
    killed(tmp_path, at, count)
    row = train(tmp_path, "fake")
    assert row["weights_sha256"] == in_one_go["weights_sha256"]
    assert {caution["kind"] for caution in row["cautions"]} <= {"host_load"}
    done = dict.fromkeys(("renamed", "saved", "evaluation"), count)
    assert row["resumed_step"] == (EVERY * done.get(at, count - 1) or None)


def test_a_training_that_dies_again_and_again_ends_the_same(
    killed, in_one_go, tmp_path
):
    rng = random.Random(0)
    deaths = 6
    for _ in range(deaths):
        killed(tmp_path, "step", rng.randint(1, EVERY + 1))
    row = train(tmp_path, "fake")
    assert row["weights_sha256"] == in_one_go["weights_sha256"]
    assert row["resumes"] == deaths


def test_seconds_of_the_dead_are_held_and_those_done_again_are_repeated(
    killed, tmp_path, monkeypatch
):
    step_s, quick = 0.03, killed_training.FakeLearner.step

    def slow(self, *given) -> None:
        time.sleep(step_s)
        quick(self, *given)

    monkeypatch.setattr(killed_training.FakeLearner, "step", slow)
    began = time.perf_counter()
    killed(tmp_path, "step", 14, step_s)  # 13 steps are done, 10 of them are kept
    row = train(tmp_path, "fake")
    held = time.perf_counter() - began
    total = sum(row[part] for part in PARTS)
    assert row["allocated_s"] == pytest.approx(total, rel=1e-3)
    assert 3 * step_s <= row["repeated_s"] < 6 * step_s
    assert STEPS * step_s <= row["measured_s"] < 1.5 * STEPS * step_s
    assert 13 * step_s <= row["carried_s"] < row["allocated_s"] <= held
    assert held - row["allocated_s"] < 0.2  # a fork, and the step that was under way
    assert row["curve"][-1]["train_s"] == pytest.approx(row["measured_s"])


def test_two_processes_do_not_train_one_cell(tmp_path):
    with (
        checkpoints.Work(tmp_path),
        pytest.raises(checkpoints.Busy, match=r"another process.*--out"),
    ):
        train(tmp_path, "fake")


# what does not fit ------------------------------------------------------------------


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[-3] ^= 1
    path.write_bytes(bytes(held))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    safetensors.numpy.save_file({"a": np.zeros(3)}, path)


def _facts(path: Path) -> dict:
    with safetensors.safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["mixer_bench"])


def _header(path: Path, **changes: object) -> None:
    """Another fact in the header, as a flipped bit or a hand would put it there."""
    header = {"mixer_bench": json.dumps({**_facts(path), **changes})}
    arrays = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(arrays, path, metadata=header)


def _other(path: Path, **changes: object) -> None:
    """A whole checkpoint, of something else."""
    facts = {n: value for n, value in _facts(path).items() if n != "sha256"}
    arrays = safetensors.numpy.load_file(path)
    with checkpoints.Work(path.parent) as work:
        work.save(checkpoints.Saved(arrays, {**facts, **changes}))


def _narrower(path: Path) -> None:
    arrays = safetensors.numpy.load_file(path)
    arrays["weights/head/kernel"] = np.zeros((3, 3), "f4")
    facts = {n: value for n, value in _facts(path).items() if n != "sha256"}
    with checkpoints.Work(path.parent) as work:
        work.save(checkpoints.Saved(arrays, facts))


SPOILT = {
    "damaged": _truncate,
    "damaged: its checksum": _flip,
    "is damaged": _empty,
    "no checkpoint of mixer-bench": _foreign,
    "of cell_id 0123": lambda path: _other(path, cell_id="0123"),
    "of protocol 0": lambda path: _other(path, protocol=0),
    "has format 99": lambda path: _header(path, format=99),
    "its checksum does not hold": lambda path: _header(path, step=11),
    "has no head/kernel of shape": _narrower,
}


@pytest.mark.parametrize("said", SPOILT)
def test_what_does_not_fit_is_set_aside_and_training_starts_anew(
    said, killed, in_one_go, tmp_path
):
    killed(tmp_path, "step", 12)
    SPOILT[said](tmp_path / "checkpoint.safetensors")
    row = train(tmp_path, "fake")
    assert row["weights_sha256"] == in_one_go["weights_sha256"]
    assert (row["resumed_step"], row["resumes"]) == (None, 1)
    (caution,) = [c for c in row["cautions"] if c["kind"] == "checkpoint_set_aside"]
    assert said in caution["seen"]
    assert (tmp_path / "set-aside.safetensors").exists()
    assert row["repeated_s"] > 0


def test_other_circumstances_are_an_inexact_resume_for_good(killed, tmp_path):
    killed(tmp_path, "step", 8, threads=2)
    killed(tmp_path, "step", 8)  # goes on from 5 in one thread, keeps 10, dies
    row = train(tmp_path, "fake")
    assert row["resumed_step"] == 10 and row["inexact_resume"] is True
    (caution,) = [c for c in row["cautions"] if c["kind"] == "inexact_resume"]
    assert "threads was 2 and is 1" in caution["seen"]


@pytest.mark.parametrize("name", ["environment", "machine", "code"])
def test_every_circumstance_counts(name, killed, tmp_path, monkeypatch):
    killed(tmp_path, "step", 8)
    here = checkpoint._circumstances
    monkeypatch.setattr(
        checkpoint, "_circumstances", lambda *given: {**here(*given), name: "other"}
    )
    row = train(tmp_path, "fake")
    assert row["inexact_resume"] is True
    assert f"{name} was" in row["cautions"][0]["seen"]


def test_a_device_that_may_sum_in_any_order_is_inexact(killed, tmp_path, monkeypatch):
    killed(tmp_path, "step", 8)
    monkeypatch.setattr(checkpoint, "DETERMINISTIC", ())
    row = train(tmp_path, "fake")
    assert row["inexact_resume"] is True
    assert "any order" in row["cautions"][0]["seen"]


def test_a_clock_that_was_lost_is_taken_from_the_checkpoint(
    killed, in_one_go, tmp_path
):
    killed(tmp_path, "step", 13)
    (tmp_path / "clock.json").unlink()
    row = train(tmp_path, "fake")
    assert row["weights_sha256"] == in_one_go["weights_sha256"]
    assert row["resumes"] == 1 and row["repeated_s"] >= 0 < row["carried_s"]


# the clock --------------------------------------------------------------------------


class FakeClock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class Compiling:
    compile_s = 0.0


def test_the_account_of_two_processes_is_exact():
    clock = FakeClock()
    first = Ledger(clock, start_up_s=3.0)
    learner = Compiling()
    with first.measured(learner):
        clock.now += 10
        first.book(learner)
        kept = first.account()
        clock.now += 4
        first.book(learner)
        clock.now += 1  # never booked: it dies here
    dead = dataclasses.replace(first.account(), measured_s=14.0)
    assert kept == Account(allocated_s=13, measured_s=10, excluded_s=3)
    second = Ledger(clock, earlier=dead, start_up_s=2.0)
    second.go_on_from(kept)
    with second.measured(learner):
        clock.now += 6
    row = second.columns(cores=2, images_seen=160)
    assert [row[name] for name in PARTS] == [16, 5, 4, 1]
    assert (row["allocated_s"], row["carried_s"]) == (26, 18)
    assert row["train_img_per_sec_core"] == 5


def test_by_the_clock_checkpoints_take_a_fiftieth_of_the_time(tmp_path, in_one_go):
    clock, cost_s = FakeClock(), 7.0
    item = killed_training.item(tmp_path, "fake")
    effort = dataclasses.replace(item.effort, checkpoint_steps=None)
    item = dataclasses.replace(item, effort=effort)

    class Slow(killed_training.FakeLearner):
        def snapshot(self):
            clock.now += cost_s
            return super().snapshot()

    learner = Slow(weights.initial(_spec(), 0))
    with checkpoint.Keeper(item, killed_training.FakeBackend(), clock) as keeper:
        progress = keeper.restore(learner, _spec())
        saves = []
        for second in range(2_000):
            clock.now += 1
            if keeper.is_due(second):
                saves.append(second)
                keeper.save(learner, progress)
    assert saves[0] == 19  # the first after 20 s, then every 50 x 7 s
    assert set(np.diff(saves)) == {350}


def _spec():
    return killed_training.loop.prepare(killed_training.CELL).spec


def test_without_a_folder_nothing_is_kept(tmp_path, in_one_go):
    item = dataclasses.replace(killed_training.item(tmp_path, "fake"), checkpoints=None)
    row = killed_training.loop.pretrain(item, killed_training.FakeBackend())
    assert row["weights_sha256"] == in_one_go["weights_sha256"]
    assert not list(tmp_path.iterdir())
    assert (row["resumes"], row["carried_s"]) == (0, 0.0)


# both frameworks --------------------------------------------------------------------


def _process(folder: Path, framework: str, answer: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, killed_training.__file__, folder, framework, answer]
    return subprocess.Popen(command, env=_environment(OMP_NUM_THREADS="1"))


def _step(folder: Path) -> int:
    clock = folder / "clock.json"
    text = clock.read_text() if clock.exists() else ""
    return json.loads(text)["step"] if text else 0


@pytest.mark.parametrize("framework", backend.FRAMEWORKS)
def test_a_real_kill_from_outside_changes_no_bit(framework, tmp_path):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    whole = _process(tmp_path / "whole", framework, tmp_path / "whole.json")
    dying = _process(tmp_path / "cut", framework, tmp_path / "never.json")
    at = random.Random(f"{framework}").randint(EVERY + 1, STEPS - 2)
    while _step(tmp_path / "cut") < at:
        assert dying.poll() is None, "ended before it could be killed"
        time.sleep(0.001)
    dying.kill()
    assert dying.wait() == -signal.SIGKILL and whole.wait() == 0
    assert not (tmp_path / "never.json").exists()
    assert _process(tmp_path / "cut", framework, tmp_path / "cut.json").wait() == 0
    wanted, row = (
        json.loads((tmp_path / f"{n}.json").read_text()) for n in ("whole", "cut")
    )
    assert row["resumed_step"] >= at // EVERY * EVERY > 0
    assert row["inexact_resume"] is False
    for name in ("weights_sha256", "top1", "train_loss", "fewshot"):
        assert row[name] == wanted[name]
    total = sum(row[part] for part in PARTS)
    assert row["allocated_s"] == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("framework", backend.FRAMEWORKS)
def test_a_learner_restored_takes_the_same_steps(framework, optimizer):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    cell = dataclasses.replace(
        killed_training.CELL, framework=framework, optimizer=optimizer
    )
    if framework == "torch":  # whose convolutions are stored in another order
        cell = dataclasses.replace(cell, model="BiT-R14x1/4", image_size=16)
    task = killed_training.loop.prepare(cell)
    made = [
        backend.load(framework, "cpu").learner(
            task.spec, task.weights, task.recipe, batch_size=50, dtype="float32"
        )
        for _ in range(2)
    ]
    for step in range(3):
        made[0].step(*task.loader.batch(step), 1e-3)
    kept = made[0].snapshot()
    fewer = {name: array for name, array in kept.items() if "optimizer" not in name}
    before = weights.sha256(made[1].state_dict())
    with pytest.raises(UnfitCheckpoint, match="optimi"):
        made[1].restore(fewer)
    assert weights.sha256(made[1].state_dict()) == before
    made[1].restore(kept)
    for learner in made:
        learner.step(*task.loader.batch(3), 1e-3)
    states = [learner.snapshot() for learner in made]
    assert states[0].keys() == states[1].keys() >= {"losses"}
    for name, array in states[0].items():
        assert array.tobytes() == states[1][name].tobytes(), name
    assert len(states[0]["losses"]) == 4
