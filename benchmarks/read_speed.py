"""How long the read-only verbs take on many rows: `python benchmarks/read_speed.py`.

Writes files of simulated rows (speed repetitions and trained cells of all families, of
which eight of the ten figures have something to draw), runs each verb on them in fresh
processes, and prints medians of three beside the limits: the first line of output
within 2 s of 1,000 rows (for `plot`, the first figure's PNG is then written),
everything within 5 s of 100,000. Exit code 1 if one is over. Of the figures one by one
`data_scale` is the slowest: it fits every curve anew for each of 400 resamples.

Wall time is that of all cores this process may use; user CPU is that of runs on one
core, where `plot` draws in one process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tabulate import tabulate

import bench
from bench import cores, record

FIRST_LINE, WHOLE = "first line", "whole"
LIMITS = {1_000: (FIRST_LINE, 2.0), 100_000: (WHOLE, 5.0)}
"""Rows, and what must be there within how many seconds."""
VERBS = (["table"], ["claims"], ["plot"], ["plot", "--figure", "data_scale"])
RUNS = 3
MODELS = {"Mixer-XS/4": "mixer", "ViT-XS/4": "vit", "BiT-R14x1/4": "resnet"}
PACKAGE = Path(bench.__file__).parents[1]
START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int) -> list[dict[str, object]]:
    """Half timed, half trained: eight sizes of every model, framework and machine.

    What is left of `count` are repetitions and seeds: five of each in 1,000 rows.
    """
    rng = np.random.default_rng(0)
    return [
        (_timed if n % 2 else _trained)(_cell(n // 2), f"a{n}", rng)
        for n in range(count)
    ]


@dataclass(frozen=True)
class Cell:
    """The place of a row in the grid."""

    model: str
    framework: str
    machine: int
    size: int
    repetition: int


def _cell(n: int) -> Cell:
    """The n-th of the grid, and of its repetitions."""
    n, model = divmod(n, len(MODELS))
    n, framework = divmod(n, 2)
    n, machine = divmod(n, 2)
    repetition, size = divmod(n, 8)
    name = list(MODELS)[model]
    return Cell(name, ("jax", "torch")[framework], machine, size, repetition)


def _base(cell: Cell, attempt_id: str) -> dict[str, object]:
    n = int(attempt_id[1:])
    return {
        "attempt_id": attempt_id,
        "study": f"study{n % 5}",
        "sitting_id": f"sitting{n % 50}",
        "status": "ok",
        "role": "cell",
        "source": "measured",
        "protocol": 1,
        "machine_id": f"m{cell.machine}",
        "machine": f"machine {cell.machine}",
        "environment_id": "e",
        "core_kind": "vcpu",
        "cores": 2.0,
        "model": cell.model,
        "family": MODELS[cell.model],
        "framework": cell.framework,
        "dtype": "float32",
        "batch_size": 32,
        "batch_rule": "fixed",
        "num_classes": 10,
        "param_count": 100_000,
        "started_at": START + timedelta(seconds=10 * n),
        "finished_at": START + timedelta(seconds=10 * n + 9),
    }


def _timed(cell: Cell, attempt_id: str, rng: np.random.Generator) -> dict[str, object]:
    tokens = (4 * (1 + cell.size)) ** 2
    attention = 4_608 if cell.model.startswith("ViT") else 0
    macs = 400_000 * tokens + attention * tokens**2
    flop_per_sec = 5e10 * (1 + 0.01 * float(rng.normal()))
    rate = flop_per_sec / 2 / macs / 2  # of each of the two cores
    return {
        **_base(cell, attempt_id),
        "mode": "infer",
        "track": "protocol",
        "input": "resident",
        "image_size": 16 * (1 + cell.size),
        "repetition": cell.repetition,
        "cell_id": f"i{cell.model}{cell.framework}{cell.size}",
        "tokens": None if cell.model.startswith("BiT") else tokens,
        "macs": macs,
        "flop_per_sec": flop_per_sec,
        "ceiling_flop_per_sec": 2e11,
        "ceiling_share": flop_per_sec / 2e11,
        "bandwidth_bytes_per_sec": 3e10,
        "step_s": 16 / rate,
        "img_per_sec": 2 * rate,
        "img_per_sec_core": rate,
        "samples": [16 / rate] * 20,
    }


def _trained(
    cell: Cell, attempt_id: str, rng: np.random.Generator
) -> dict[str, object]:
    images = 100 * 2**cell.size
    error = images**-0.3 * np.exp(0.02 * rng.normal())
    return {
        **_base(cell, attempt_id),
        "mode": "pretrain",
        "image_size": 16,
        "seed": cell.repetition,
        "repetition": 0,
        "cell_id": f"p{cell.model}{cell.framework}{images}{cell.repetition}",
        "dataset": "digits",
        "pretrain_dataset": "digits",
        "eval_dataset": "digits",
        "data_examples": images,
        "unique_images": images,
        "images_seen": 9_600,
        "top1": float(1 - error),
        "chance": 0.1,
        "core_days_measured": 1e-4,
    }


@dataclass(frozen=True)
class Taken:
    """Seconds of one fresh process."""

    first_line: float
    whole: float
    user: float


def run(arguments: list[str], folder: str, before: Callable[[], None]) -> Taken:
    """One verb in a fresh process; its messages are shown if it fails."""
    code = "from bench.cli.app import main; main()"
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=before,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    first_line = time.perf_counter() - start
    process.stdout.read()
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    whole = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(arguments)}: exit status {status}\n{said}")
    process.returncode = 0
    return Taken(first_line, whole, used.ru_utime)


def on_all_cores() -> None:
    """Leave the cores as they are."""


def on_one_core() -> None:
    """Where the processor time of a process is all that the verb takes."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def median(taken: list[Taken], name: str) -> float:
    """The middle of one of the three times."""
    return statistics.median(getattr(one, name) for one in taken)


def line(count: int, verb: list[str], file: Path, folder: str) -> list[object]:
    """One line of the table; the last cell is the verdict."""
    arguments = [verb[0], str(file), *verb[1:]]
    wall = [run(arguments, folder, on_all_cores) for _ in range(RUNS)]
    alone = [run(arguments, folder, on_one_core) for _ in range(RUNS)]
    first, whole = median(wall, "first_line"), median(wall, "whole")
    what, most = LIMITS.get(count, (WHOLE, None))
    counts = first if what == FIRST_LINE else whole
    limit = "none" if most is None else f"{what} {most:g} s"
    verdict = "" if most is None else "pass" if counts <= most else "MISS"
    user = median(alone, "user")
    times = [f"{value:.2f}" for value in (first, whole, user)]
    return [f"{count:,}", " ".join(verb), *times, limit, verdict]


HEADS = ["rows", "verb", "first line, s", "whole, s", "user CPU, s", "limit", ""]


def main() -> int:
    """Print one line a verb; 1 if any is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=list(LIMITS))
    lines = []
    for count in parser.parse_args().rows:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.parquet"
            pq.write_table(record.table(rows(count)), file)
            lines += [line(count, verb, file, folder) for verb in VERBS]
    print(tabulate(lines, HEADS, disable_numparse=True))
    print(f"medians of {RUNS} fresh processes; wall time on {cores.threads()} cores")
    return int(any(one[-1] == "MISS" for one in lines))


if __name__ == "__main__":
    sys.exit(main())
