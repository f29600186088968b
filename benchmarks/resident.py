"""What does `input: resident` bring? Prints its speed over the host's.

    python benchmarks/resident.py [--processes 6] [--pairs 10] [--steps 20]

For each data set and framework, some fresh processes. In each, the same training goes
on twice side by side, once fed by the host and once by the device, in blocks of steps
that take turns in random order; each block ends with a barrier. The value of a process
is the median of its pairs' ratios; the interval is that of order statistics over the
processes. A ratio above 1 says that resident images are faster. Pairs share what
disturbs the machine, so that the ratio stands on a machine that is not quiet; the
rates beside it do not. A few minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import bench
from bench import backend as backends
from bench import studies
from bench.analysis.stats import median_of_medians, repetition_interval
from bench.backend import FRAMEWORKS, Backend, Learner, installed
from bench.recipes.schedule import learning_rate
from bench.specs import Cell
from bench.training import loop, resident, task
from bench.training.task import Task

PACKAGE = Path(bench.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PACKAGE)}
CASES = (("digits", "Mixer-XXS/4"), ("fractals", "Mixer-XXS/4"))
HOW = ("host", "resident")
BATCH, IMAGES, SIZE = 64, 1_000, 16


def cell_of(dataset: str, model: str, framework: str, total_steps: int) -> Cell:
    """The demo training, as a study would name it."""
    grid = {
        "mode": "pretrain",
        "recipe": "demo",
        "model": model,
        "framework": framework,
        "dataset": dataset,
        "data_examples": IMAGES,
        "image_size": SIZE,
        "batch_size": BATCH,
        "total_steps": total_steps,
    }
    (cell,) = studies.from_values("resident", {"grids": [grid]}).cells
    return cell


class Training:
    """One training that can be taken on block by block."""

    def __init__(self, cell: Cell, backend: Backend, how: str) -> None:
        self.task: Task = resident.fed(task.prepare(cell), backend, cell, how)
        self.learner: Learner = loop.learner_of(
            backend, cell, self.task, self.task.weights
        )
        self.step = 0

    def block(self, steps: int) -> float:
        """Seconds of some steps, data and barrier included."""
        batch: Any = self.task.batches or self.task.loader.batch
        began = time.perf_counter()
        for step in range(self.step, self.step + steps):
            images, labels = batch(step)
            rate = learning_rate(self.task.recipe, step, self.task.steps)
            self.learner.step(images, labels, rate, None)
        self.learner.barrier()
        self.step += steps
        return time.perf_counter() - began


def pairs(cell: Cell, count: int, steps: int, seed: int) -> list[list[float]]:
    """Seconds of (host, resident) blocks, in this process."""
    backend = backends.load(cell.framework, "cpu")
    trainings = {how: Training(cell, backend, how) for how in HOW}
    for one in trainings.values():
        one.block(steps)  # compiles, and warms what can be warm
    found, rng = [], random.Random(seed)
    for _ in range(count):
        order = rng.sample(HOW, 2)
        seconds = {how: trainings[how].block(steps) for how in order}
        found.append([seconds[how] for how in HOW])
    losses = [one.learner.losses() for one in trainings.values()]
    assert losses[0] == losses[1], "both must train alike, bit for bit"
    return found


def in_fresh_process(*values: object) -> np.ndarray:
    """`pairs` of those arguments, from a process of its own."""
    words = [sys.executable, "-P", __file__, "--one", *map(str, values)]
    said = subprocess.run(
        words, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True
    )
    return np.array(json.loads(said.stdout.splitlines()[-1]))


def report(case: tuple[str, str, str], given: argparse.Namespace) -> str:
    """One line: the ratio and its interval."""
    runs = [
        in_fresh_process(*case, given.pairs, given.steps, seed)
        for seed in range(given.processes)
    ]
    ratios = [run[:, 0] / run[:, 1] for run in runs]
    interval = repetition_interval(ratios)
    words = "no interval" if interval is None else "{:.3f} - {:.3f}".format(*interval)
    host, held = 1e3 * np.median(np.concatenate(runs), axis=0) / given.steps
    return (
        f"{' '.join(case)}: {median_of_medians(ratios):.3f} ({words}, n={len(runs)}); "
        f"{host:.2f} and {held:.2f} ms a step"
    )


def main() -> None:
    """A line for each data set and framework; `--one` is what a fresh process does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        count, steps, seed = map(int, given.one[3:])
        cell = cell_of(*given.one[:3], total_steps=(count + 1) * steps)
        print(json.dumps(pairs(cell, count, steps, seed)))
        return
    print("speed of resident over host; below 1 the host is faster")
    for dataset, model in CASES:
        for framework in filter(installed, FRAMEWORKS):
            print(report((dataset, model, framework), given), flush=True)


if __name__ == "__main__":
    main()
