"""`mixer-bench run` picks a killed training up by itself, and says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import bench
from bench import results, runner
from bench.cli import _session
from bench.specs import Cell, WorkItem
from bench.training.checkpoint import Keeper

pytest.importorskip("torch")

STUDY = """
question: does it go on?
settings: {checkpoint_steps: 20}
grids:
  - mode: pretrain
    model: Mixer-XXS/4
    framework: torch
    device: cpu
    dataset: digits
    image_size: 8
    batch_size: 32
    total_steps: 400
    learning_rate: 0.003
"""


def _run(folder: Path) -> subprocess.Popen[str]:
    root = str(Path(bench.__file__).parents[1])
    command = "from bench.cli.app import main; main()"
    words = ["run", "s.yaml", "--out", "rows", "--plots", "plots"]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", command, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def _step(folder: Path) -> int:
    texts = [path.read_text() for path in folder.glob("rows/.work/*/*/clock.json")]
    return json.loads(texts[0])["step"] if texts and texts[0] else 0


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    (tmp_path / "s.yaml").write_text(STUDY)
    first = _run(tmp_path)
    while _step(tmp_path) < 25:
        assert first.poll() is None, first.stderr.read()
        time.sleep(0.002)
    workers = psutil.Process(first.pid).children(recursive=True)
    first.kill()  # the runner alone: its worker must not train on
    assert first.wait() == -signal.SIGKILL
    first.stderr.close()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert workers and not alive
    reached = _step(tmp_path)
    second = _run(tmp_path)
    _, err = second.communicate()
    assert second.returncode == 0, err
    kept = reached // 20 * 20
    assert f"found a checkpoint of step {kept}" in err
    assert f"resumed at step {kept}" in err
    (row,) = results.read(tmp_path / "rows").table.to_pylist()
    assert (row["resumed_step"], row["resumes"]) == (kept, 1)
    assert row["inexact_resume"] is False and row["steps"] == 400
    parts = ("measured_s", "excluded_s", "repeated_s", "idle_s")
    total = sum(row[part] for part in parts)
    assert row["allocated_s"] == pytest.approx(total, rel=1e-3)
    assert row["carried_s"] > 0
    assert not (tmp_path / "rows" / ".work").exists()  # the row is stored


def test_the_line_of_an_inexact_resume_says_what_differed():
    keeper = Keeper.__new__(Keeper)  # what a keeper says of a resume, without one
    keeper.resumed_step, keeper._differs = 40, ["threads was 2 and is 1"]
    keeper._cautions = []
    row = {
        "status": "ok",
        "top1": 0.5,
        "chance": 0.1,
        "train_img_per_sec_core": 10.0,
        "resumed_step": 40,
        "cautions": keeper.cautions(),
    }
    cell = Cell(mode="pretrain", model="Mixer-XXS/4", framework="torch")
    told = runner.Progress(1, 1, WorkItem(cell=cell), row, 0.0)
    assert _session._line(told).endswith(
        "; training went on from step 40, but threads was 2 and is 1, so perhaps not "
        "to the last bit"
    )
    row["cautions"] = []
    assert _session._line(told).endswith("; resumed at step 40")
