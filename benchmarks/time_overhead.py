"""Where the wall time of `mixer-bench time` goes: `python benchmarks/time_overhead.py`.

Times a small and a mid-sized model in each framework that is installed, three fresh
processes each at a fixed batch, into an empty folder. From the rows: samples, warm-up,
first step and compilation, and how long the attempts took. By itself: how long a fresh
process takes to start and to import the framework. What is left of an attempt is the
pilot at batch 1, building the step and the probes; what is left of the command is its
own start, its planning and its table. The last two together are the rest: it should be
under a tenth. Run it on a quiet machine.
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

import bench
from bench import results
from bench.backend import FRAMEWORKS, installed

PACKAGE = Path(bench.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PACKAGE)}
CASES = [("Mixer-S/32", 224, 8), ("Mixer-B/16", 224, 8)]
REPETITIONS = 3
START = (
    "import bench.executors.process; from bench import backend; "
    "backend.load({!r}, 'cpu')"
)


def wall(arguments: list[str]) -> float:
    """Seconds of one fresh Python process."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-P", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def parts(model: str, size: int, batch: int, framework: str) -> dict[str, float]:
    """Seconds of one `mixer-bench time`, by purpose."""
    start_s = statistics.median(wall(["-c", START.format(framework)]) for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        command = ["time", model, "--framework", framework, "--out", folder]
        command += ["--image-size", str(size), "--batch-size", str(batch)]
        command += ["--repetitions", str(REPETITIONS), "--device", "cpu"]
        total = wall(["-c", "from bench.cli.app import main; main()", *command])
        rows = results.read(folder).table.to_pylist()
        ceilings = [json.loads(p.read_text()) for p in Path(folder).rglob("*.json")]
    attempts = sum(
        (row["finished_at"] - row["started_at"]).total_seconds() for row in rows
    )
    ceiling = sum(one["seconds"] for one in ceilings)  # before the first attempt
    found = {
        "samples": sum(sum(r["samples"]) * r["steps_per_sample"] for r in rows),
        "warm-up": sum(r["warmup_steps_run"] * r["step_s"] for r in rows),
        "first step": sum(r["first_step_s"] for r in rows),
        "compile": sum(r["compile_s"] or 0.0 for r in rows),
        "process start, imports": start_s * len(rows),
    }
    inside = attempts - sum(found.values())
    return {
        **found,
        "ceiling (once a machine)": ceiling,
        "pilot, build, probes": inside,
        "the command itself": total - attempts - ceiling,
        "total": total,
    }


def main() -> None:
    """Print the share of each part for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="*", default=[case[0] for case in CASES])
    wanted = parser.parse_args().model
    for model, size, batch in CASES:
        for framework in filter(installed, FRAMEWORKS):
            if model not in wanted:
                continue
            found = parts(model, size, batch, framework)
            total = found.pop("total") - found["ceiling (once a machine)"]
            rest = found["pilot, build, probes"] + found["the command itself"]
            print(f"{model} {framework}, {REPETITIONS} processes: {total:.1f} s")
            for name, seconds in found.items():
                print(f"  {name:<26} {seconds:7.2f} s  {100 * seconds / total:5.1f} %")
            print(f"  {'the rest':<26} {rest:7.2f} s  {100 * rest / total:5.1f} %")


if __name__ == "__main__":
    main()
