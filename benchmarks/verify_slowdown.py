"""Does `verify` find a slowdown of a tenth? `python benchmarks/verify_slowdown.py`.

Times two models in fresh processes, then writes a copy of their rows in which every
rate is a ninth higher, as if this machine had lost a tenth since. `mixer-bench verify`
measures both files again here: `record` should be agreed with, `slower` should differ.
Six to twelve minutes on a quiet machine. Prints both answers; exit code 1 unless they
are those two.
"""

from __future__ import annotations

import argparse
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
        honest = _verified(folder / "record", folder / "new_a", len(asked.models))
        slower = _verified(planted, folder / "new_b", len(asked.models))
    found = {"record": honest, "slower": slower}
    print({name: "agreed" if code == 0 else "differs" for name, code in found.items()})
    return int((honest, slower) != (0, 1))


def _faster(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a machine that was faster by what is to be found missing."""
    factor = 1 / (1 - SLOWDOWN)
    rates = {name: row[name] and row[name] * factor for name in RATES}
    samples = row["samples"] and [seconds / factor for seconds in row["samples"]]
    return {**row, **rates, "samples": samples}


def _verified(rows: Path, out: Path, cells: int) -> int:
    return _bench("verify", str(rows), "--sample", str(cells), "--out", str(out))


def _bench(*words: str) -> int:
    print("$ mixer-bench", *words, flush=True)
    return subprocess.run([sys.executable, "-c", MAIN, *words]).returncode


if __name__ == "__main__":
    sys.exit(main())
