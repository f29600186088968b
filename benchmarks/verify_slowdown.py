"""Does `verify` find a slowdown of a tenth? `python benchmarks/verify_slowdown.py`.

Times two models in fresh processes, then writes a copy of their rows in which every
rate is a ninth higher, as if this machine had lost a tenth since. `mixer-bench verify`
measures both files again here. Prints what it says of each cell of the `record` (should
be `agreed`) and of the `slower` copy (should be `differs`). Where processes scatter too
much for either, `verify` says `not comparable here` and why. Six to twelve minutes on a
quiet machine; exit code 1 unless every answer is as it should be.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench import record, results

MAIN = "from bench.cli.app import main; main()"
SLOWDOWN = 0.10
RATES = ("img_per_sec", "img_per_sec_core", "flop_per_sec", "ceiling_share")


def main() -> int:
    """Time, plant the slowdown in a copy of the record, verify both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["Mixer-S/32", "ViT-S/32"])
    parser.add_argument("--framework", default="torch")
    parser.add_argument("--window", default="5")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        effort = ["--framework", asked.framework, "--window", asked.window]
        where = ["--batch-size", "8", "--no-anchor", "--out", str(folder / "record")]
        _bench("time", *asked.models, *effort, *where)
        rows = results.read([str(folder / "record")]).table.to_pylist()
        planted = folder / "slower.parquet"
        pq.write_table(record.table([_faster(row) for row in rows]), planted)
        files = {
            "record": (folder / "record", "agreed"),
            "slower": (planted, "differs"),
        }
        right = [
            _verified(name, file, folder / f"new_{name}", len(asked.models), wanted)
            for name, (file, wanted) in files.items()
        ]
    return int(not all(right))


def _faster(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a machine that was faster by what is to be found missing."""
    factor = 1 / (1 - SLOWDOWN)
    rates = {name: row[name] and row[name] * factor for name in RATES}
    samples = row["samples"] and [seconds / factor for seconds in row["samples"]]
    return {**row, **rates, "samples": samples}


def _verified(name: str, rows: Path, out: Path, cells: int, wanted: str) -> bool:
    """Whether every cell got the verdict that it should; prints them."""
    where = ["--sample", str(cells), "--out", str(out), "--format", "json"]
    found = json.loads(_bench("verify", str(rows), *where))["cells"]
    for one in found:
        print(f"{name}: {one['cell']}: {one['verdict']} {one['reason']}")
    return all(one["verdict"] == wanted for one in found)


def _bench(*words: str) -> str:
    print("$ mixer-bench", *words, flush=True)
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *words], stdout=subprocess.PIPE, text=True
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
