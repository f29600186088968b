"""A/A: the same cells in two sittings. How far do processes and sittings differ?

    python benchmarks/a_a.py RESULTS...      rows of studies/a_a.yaml, of two sittings

For each cell: the spread of processes within a sitting (standard deviation over median,
the larger of the two), the shift of the median between sittings, and how often an
interval covers what it should. `n=5` takes every five processes of one sitting: does
their interval hold the median of all processes of both sittings, and that of the other
sitting alone? `within` asks the same of each process's own interval. 95 % is what a
reader expects; 93.75 % is what five independent processes can give.
"""

from __future__ import annotations

import sys
from itertools import combinations

import numpy as np
import pandas as pd

from bench.analysis.key import equal
from bench.analysis.stats import repetition_interval
from bench.results import read_results

_CELL = ["model", "framework", "mode", "dtype"]


def main(*results: str) -> None:
    """Print one line for each cell that both sittings measured."""
    rows = pd.concat([read_results(folder) for folder in results])
    cells = rows[equal(rows, "study", "a_a") & equal(rows, "status", "ok")]
    began = cells.groupby("sitting_id")["started_at"].min().sort_values()
    if len(began) != 2:
        sys.exit(
            f"{len(began)} sittings of a_a in {', '.join(results)}; two are needed"
        )
    one, two = (
        cells[cells["sitting_id"] == name].groupby(_CELL) for name in began.index
    )
    head = ["cell", "n", "spread %", "shift %", "n=5 all %", "n=5 other %"]
    print(*[*head, "within all %", "within other %"], sep="\t")
    for cell in sorted(one.groups.keys() & two.groups.keys()):
        print(_line(cell, one.get_group(cell), two.get_group(cell)))


def _line(cell: tuple[str, ...], one: pd.DataFrame, two: pd.DataFrame) -> str:
    first, second = (part["img_per_sec_core"].to_numpy(float) for part in (one, two))
    everything = float(np.median([*first, *second]))
    spread = max(rates.std(ddof=1) / np.median(rates) for rates in (first, second))
    shift = abs(np.median(second) / np.median(first) - 1)
    covered = []
    for interval in (_of_five, _of_each):
        mine, theirs = interval(one), interval(two)
        whole = [low <= everything <= high for low, high in (*mine, *theirs)]
        across = [low <= np.median(second) <= high for low, high in mine]
        across += [low <= np.median(first) <= high for low, high in theirs]
        covered += [np.mean(whole), np.mean(across)]
    words = [" ".join(map(str, cell)), f"{len(first)}+{len(second)}"]
    numbers = (f"{100 * value:.1f}" for value in (spread, shift, *covered))
    return "\t".join([*words, *numbers])


def _of_five(part: pd.DataFrame) -> list[tuple[float, float]]:
    """The interval of every five of a sitting's processes."""
    rates = part["img_per_sec_core"].to_numpy(float)
    fives = combinations(rates, 5)
    return [repetition_interval([[rate] for rate in five]) for five in fives]


def _of_each(part: pd.DataFrame) -> list[tuple[float, float]]:
    """Each process's own interval, from its blocks."""
    rates = part["img_per_sec_core"].to_numpy(float)
    halves = part["within_run_halfwidth"].to_numpy(float)
    return list(zip(rates * (1 - halves), rates * (1 + halves), strict=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
