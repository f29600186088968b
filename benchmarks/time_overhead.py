"""Where the wall time of `mixer-bench time` goes: `python benchmarks/time_overhead.py`.

Times a small and a mid-sized model in each framework that is installed, three fresh
processes each at a fixed batch, into an empty folder. From the rows: samples, warm-up,
first step and compilation, and how long the attempts took. By itself: how long a fresh
process takes to start and to import the framework. What is left of an attempt is the
latency at batch 1, building the step and the probes; one more process says how much
each of these takes. What is left of the command is its own start, its planning and its
table. The last two together are the rest: it should be under a tenth. Run it on a
quiet machine; `--model Mixer-XS/16 --image-size 32` shows in a minute that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench
from bench import results
from bench.backend import FRAMEWORKS, installed

PACKAGE = Path(bench.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PACKAGE)}
MODELS = ["Mixer-S/32", "Mixer-B/16"]
MAIN = "from bench.cli.app import main; main()"
START = (
    "import bench.executors.process, bench.timing.speed; from bench import backend; "
    "backend.load({!r}, 'cpu')"
)
INSIDE = """
import json, sys, time
from bench import backend
from bench.specs import Cell, Effort, WorkItem
from bench.timing import speed

spent = {}

def timed(holder, name, what):
    function = getattr(holder, name)
    def wrapper(*given, **named):
        began = time.perf_counter()
        try:
            return function(*given, **named)
        finally:
            seconds = time.perf_counter() - began
            spent[what] = spent.get(what, 0.0) + seconds
    setattr(holder, name, wrapper)

timed(speed._Rig, "__init__", "drawing the weights")
timed(speed._Rig, "latency", "latency at batch 1, whole")
timed(speed._Rig, "workload", "building steps, both batches")
timed(speed, "checked_precision", "probes of the precision")
timed(speed, "checked_machine", "looking at the machine")
cell = Cell(**json.loads(sys.argv[1]))
loaded = backend.load(cell.framework, "cpu")
speed.measure_cell(WorkItem(cell=cell, effort=Effort(window_s=5.0)), loaded)
print(json.dumps(spent))
"""


def fresh(arguments: list[str]) -> tuple[float, str]:
    """Seconds and output of one fresh Python process; its failure is shown."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr or done.stdout)
    return time.perf_counter() - began, done.stdout


def parts(cell: dict[str, Any], repetitions: int) -> dict[str, float]:
    """Seconds of one `mixer-bench time`, by purpose."""
    framework = cell["framework"]
    start_s = statistics.median(
        fresh(["-c", START.format(framework)])[0] for _ in range(3)
    )
    with tempfile.TemporaryDirectory() as folder:
        command = ["time", cell["model"], "--framework", framework, "--out", folder]
        command += ["--image-size", str(cell["image_size"]), "--device", "cpu"]
        command += ["--batch-size", str(cell["batch_size"])]
        total, _ = fresh(["-c", MAIN, *command, "--repetitions", str(repetitions)])
        rows = results.read(folder).table.to_pylist()
        ceilings = [json.loads(p.read_text()) for p in Path(folder).rglob("*.json")]
    attempts = sum(
        (row["finished_at"] - row["started_at"]).total_seconds() for row in rows
    )
    ceiling = sum(one["seconds"] for one in ceilings)  # before the first attempt
    found = {
        "samples": sum(sum(r["samples"]) * r["steps_per_sample"] for r in rows),
        # the first step is one of those before the window
        "warm-up": sum((r["warmup_steps_run"] - 1) * r["step_s"] for r in rows),
        "first step": sum(r["first_step_s"] for r in rows),
        "compile": sum(r["compile_s"] or 0.0 for r in rows),
        "process start, imports": start_s * len(rows),
    }
    return {
        **found,
        "ceiling (once a machine)": ceiling,
        "latency, build, probes": attempts - sum(found.values()),
        "the command itself": total - attempts - ceiling,
        "total": total,
    }


def report(cell: dict[str, Any], repetitions: int) -> None:
    """Print the share of each part, and what one process does besides."""
    found = parts(cell, repetitions)
    total = found.pop("total") - found["ceiling (once a machine)"]
    rest = found["latency, build, probes"] + found["the command itself"]
    name = f"{cell['model']} {cell['framework']}"
    print(f"{name}, {repetitions} processes and 3 anchors: {total:.1f} s")
    for what, seconds in {**found, "the rest": rest}.items():
        print(f"  {what:<30} {seconds:7.2f} s  {100 * seconds / total:5.1f} %")
    _, told = fresh(["-c", INSIDE, json.dumps(cell)])
    print("  in one process (they overlap):")
    for what, seconds in json.loads(told).items():
        print(f"    {what:<28} {seconds:7.2f} s")


def main() -> None:
    """One report for each model and framework."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="+", default=MODELS)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repetitions", type=int, default=3)
    asked = parser.parse_args()
    for model in asked.model:
        for framework in filter(installed, FRAMEWORKS):
            cell = {
                "mode": "infer",
                "model": model,
                "framework": framework,
                "device": "cpu",
                "image_size": asked.image_size,
                "batch_size": asked.batch_size,
            }
            report(cell, asked.repetitions)


if __name__ == "__main__":
    main()
