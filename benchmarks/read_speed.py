"""How long the read-only verbs take on many rows: `python benchmarks/read_speed.py`.

Writes a file of simulated rows (speed repetitions and trained cells of all families),
runs each verb on it in a fresh process, and prints seconds of wall time beside the
limit: 2 s for 1,000 rows, 5 s for 100,000. Exit code 1 if one is over.

Processor seconds on two busy vCPUs, before and after reading was made cheaper: table
1.8 -> 1.5 and 5.4 -> 2.1, claims 1.9 -> 2.0 and 5.8 -> 2.9, plot (five figures in three
formats) 10.4 -> 9.0 and 24 -> 11 for 1,000 and 100,000 rows. Most of what `plot` has
left is drawing and embedding fonts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import bench
from bench import record

LIMIT_S = {1_000: 2.0, 100_000: 5.0}
MODELS = {"Mixer-XS/4": "mixer", "ViT-XS/4": "vit", "BiT-R14x1/4": "resnet"}
PACKAGE = Path(bench.__file__).parents[1]
START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int) -> list[dict[str, object]]:
    """Half timed in ten repetitions a cell, half trained with five seeds a size."""
    rng = np.random.default_rng(0)
    return [_timed(n, rng) if n % 2 else _trained(n, rng) for n in range(count)]


def _base(n: int) -> dict[str, object]:
    model = list(MODELS)[n // 2 % 3]
    return {
        "attempt_id": f"a{n}",
        "study": f"study{n % 5}",
        "sitting_id": f"sitting{n % 50}",
        "status": "ok",
        "role": "cell",
        "source": "measured",
        "protocol": 1,
        "machine_id": f"m{n % 4}",
        "machine": f"machine {n % 4}",
        "environment_id": "e",
        "core_kind": "vcpu",
        "cores": 2.0,
        "model": model,
        "family": MODELS[model],
        "framework": "jax" if n % 4 < 2 else "torch",
        "dtype": "float32",
        "batch_size": 32,
        "batch_rule": "fixed",
        "started_at": START + timedelta(seconds=10 * n),
        "finished_at": START + timedelta(seconds=10 * n + 9),
    }


def _timed(n: int, rng: np.random.Generator) -> dict[str, object]:
    size = 16 * (1 + n // 60 % 8)
    rate = float(1000 * (16 / size) ** 2 * (1 + 0.01 * rng.normal()))
    base = _base(n)
    return {
        **base,
        "mode": "infer",
        "track": "protocol",
        "input": "resident",
        "image_size": size,
        "repetition": n // 480,
        "cell_id": f"i{base['model']}{base['framework']}{size}",
        "img_per_sec": 2 * rate,
        "img_per_sec_core": rate,
        "samples": [16 / rate] * 20,
    }


def _trained(n: int, rng: np.random.Generator) -> dict[str, object]:
    images = 100 * 2 ** (n // 60 % 8)
    base = _base(n)
    return {
        **base,
        "mode": "pretrain",
        "image_size": 16,
        "seed": n // 480,
        "repetition": 0,
        "cell_id": f"p{base['model']}{base['framework']}{images}{n // 480}",
        "dataset": "digits",
        "pretrain_dataset": "digits",
        "eval_dataset": "digits",
        "data_examples": images,
        "unique_images": images,
        "top1": float(1 - images**-0.3 * np.exp(0.02 * rng.normal())),
        "chance": 0.1,
        "core_days_measured": 1e-4,
    }


def seconds(arguments: list[str], folder: str) -> float:
    """Wall time of one verb in a fresh process."""
    code = "from bench.cli.app import main; main()"
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def main() -> int:
    """Print one line a verb; 1 if any is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=list(LIMIT_S))
    slow = 0
    for count in parser.parse_args().rows:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.parquet"
            pq.write_table(record.table(rows(count)), file)
            for verb in ("table", "claims", "plot"):
                taken = seconds([verb, str(file)], folder)
                limit = LIMIT_S.get(count)
                slow += limit is not None and taken > limit
                said = "no limit" if limit is None else f"limit {limit:g} s"
                print(f"{count:>7,} rows  {verb:<7} {taken:6.2f} s  ({said})")
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
