"""A worker's death is a row: each way to die, by a stand-in for the interpreter."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from bench import executors
from bench.errors import OutOfMemory, StudyError
from bench.executors import process, work
from bench.specs import Cell, Effort, WorkItem

CELL = Cell(
    mode="infer", model="Mixer-XXS/4", framework="torch", image_size=16, batch_size=2
)
ITEM = WorkItem(cell=CELL, effort=Effort(window_s=0.1, time_limit_s=60))


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Make workers run this shell script; its last argument is the answer's path."""

    def install(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\nfor answer; do :; done\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(process, "sys", SimpleNamespace(executable=str(path)))
        return process.Process()

    return install


def test_a_crash_keeps_the_last_words(worker):
    values = worker("echo one; echo 'cannot go on' >&2; exit 3").run(ITEM)
    assert values["status"] == "failed"
    assert "exit code 3" in values["error_message"]
    assert "cannot go on" in values["error_message"]


@pytest.mark.parametrize("kills, status", [((5, 6), "oom"), ((5, 5), "failed")])
def test_only_a_kill_for_memory_is_out_of_memory(worker, monkeypatch, kills, status):
    counts = iter(kills)
    monkeypatch.setattr(process.cores, "memory_kills", lambda: next(counts))
    assert worker("kill -9 $$").run(ITEM)["status"] == status


def test_a_timeout_ends_the_worker_and_what_it_started(worker, tmp_path):
    mark = tmp_path / "late"
    made = worker(f"(sleep 1; touch {mark}) & sleep 30")
    effort = dataclasses.replace(ITEM.effort, time_limit_s=0.3)
    values = made.run(dataclasses.replace(ITEM, effort=effort))
    assert (
        values["status"] == "timeout"
        and "raise time_limit_s" in (values["error_message"])
    )
    time.sleep(1.2)
    assert not mark.exists()


def test_nothing_that_a_library_prints_is_taken_for_a_result(worker):
    answer = json.dumps({"status": "ok", "step_s": 0.5})
    made = worker(f"echo '{{\"status\": \"ok\"}}'; echo '{answer}' > $answer")
    assert made.run(ITEM) == {"status": "ok", "step_s": 0.5}


def test_a_real_worker_measures(monkeypatch):
    monkeypatch.chdir(os.sep)  # not where the package lies
    values = process.Process().run(ITEM)
    assert values["status"] == "ok", values.get("traceback")
    assert values["img_per_sec_core"] > 0 and len(values["samples"]) >= 1


class TwoWorkers(process.Process):
    """Notes what each worker is asked; `pilot` and `window` are their answers."""

    def __init__(self):
        self.curve = {"sweep": [1], "batch_knee": 8}
        self.pilot = {"status": "ok", "batch_size": 16, **self.curve}
        self.window = {"status": "ok", "sweep": None, "ms_per_image_batch1": 3.0}
        self.asked = []

    def _in_worker(self, item):
        self.asked.append((item.role, item.picked_batch))
        return self.pilot if item.role == "pilot" else self.window


AUTO = dataclasses.replace(ITEM, cell=dataclasses.replace(CELL, batch_size="auto"))


ENDING = """
import atexit, os, sys
from pathlib import Path
from bench.executors import process

def perform(item):
    atexit.register(Path(sys.argv[2]).touch)
    return {}

process.perform = perform
parent, held = os.pipe()
process.main(Path(sys.argv[1]), parent)
"""


def test_a_worker_ends_in_order(tmp_path):
    """The compiled programs that it wrote are kept by what runs at the end alone."""
    answer, ended = tmp_path / "answer", tmp_path / "ended"
    command = [sys.executable, "-c", ENDING, str(answer), str(ended)]
    subprocess.run(command, input=process.encode(ITEM).encode(), check=True, timeout=60)
    assert json.loads(answer.read_text()) == {}
    assert ended.exists()


def test_the_pilot_and_what_is_reported_never_share_a_process():
    made = TwoWorkers()
    values = made.run(AUTO)
    assert made.asked == [("pilot", None), ("cell", 16)]
    assert values == {**made.window, **made.curve}


def test_a_batch_that_is_known_needs_one_process():
    for item in (ITEM, dataclasses.replace(AUTO, picked_batch=4)):
        made = TwoWorkers()
        made.run(item)
        assert made.asked == [("cell", item.picked_batch)]


def test_a_pilot_that_fails_ends_the_attempt():
    made = TwoWorkers()
    made.pilot = {"status": "oom"}
    assert made.run(AUTO) == {"status": "oom"} and len(made.asked) == 1


@pytest.mark.parametrize(
    "error, status",
    [
        (MemoryError(), "oom"),
        (OutOfMemory("x"), "oom"),
        (ValueError("allocate"), "failed"),
    ],
    ids=repr,
)
def test_an_exception_in_the_worker_is_a_value(error, status, monkeypatch):
    def broken(item, backend):
        raise error

    fake = SimpleNamespace(is_out_of_memory=lambda error: False)
    monkeypatch.setattr(work.backends, "load", lambda *_: fake)
    monkeypatch.setattr(work, "_measure", broken)
    values = work.perform(ITEM)
    assert values["status"] == status and type(error).__name__ in values["traceback"]


def test_inline_refuses_a_second_framework(monkeypatch):
    from bench.executors import inline

    monkeypatch.setattr(inline, "perform", lambda item: {"status": "ok"})
    made = executors.make("inline")
    assert made.run(ITEM)["status"] == "ok"
    other = dataclasses.replace(CELL, framework="jax")
    with pytest.raises(StudyError, match="use --executor process"):
        made.run(WorkItem(cell=other))
