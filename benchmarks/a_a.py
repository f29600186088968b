"""A/A: the same cells in two sittings. How far do processes and sittings differ?

    python benchmarks/a_a.py FIRST SECOND      results folders of studies/a_a.yaml

For each cell: the spread of processes in each sitting, the shift between sittings, and
how often an interval covers what it should. `n=5` takes every five of the first
sitting's processes and asks whether their interval holds the median of the other
processes (same sitting), or that of the second sitting. `within` asks the same of each
process's own interval. 95 % is what a reader expects; 93.75 % is what five can give.
"""

from __future__ import annotations

import sys
from itertools import combinations

import numpy as np
import pandas as pd

from bench.analysis.stats import repetition_interval
from bench.results import read_results

_CELL = ["model", "framework", "mode", "dtype"]


def main(first: str, second: str) -> None:
    """Print one line for each cell that both sittings measured."""
    one, two = (_rates(folder) for folder in (first, second))
    head = ["cell", "n", "spread %", "shift %", "n=5 same %", "n=5 other %"]
    print(*[*head, "within same %", "within other %"], sep="\t")
    for cell in one.groups.keys() & two.groups.keys():
        print(_line(cell, one.get_group(cell), two.get_group(cell)))


def _rates(folder: str) -> pd.core.groupby.DataFrameGroupBy:
    rows = read_results(folder)
    cells = rows[(rows["status"] == "ok") & (rows["role"] == "cell")]
    return cells.groupby(_CELL)


def _line(cell: tuple[str, ...], one: pd.DataFrame, two: pd.DataFrame) -> str:
    rates = one["img_per_sec_core"].to_numpy(float)
    others = two["img_per_sec_core"].to_numpy(float)
    halves = one["within_run_halfwidth"].to_numpy(float)
    spread = 100 * rates.std(ddof=1) / np.median(rates)
    shift = 100 * (np.median(others) / np.median(rates) - 1)
    same, other = _of_five(rates, float(np.median(others)))
    inside, outside = _of_each(rates, halves, float(np.median(others)))
    numbers = [spread, shift, same, other, inside, outside]
    words = [" ".join(map(str, cell)), f"{len(rates)}+{len(others)}"]
    return "\t".join([*words, *(f"{value:.1f}" for value in numbers)])


def _of_five(rates: np.ndarray, elsewhere: float) -> tuple[float, float]:
    """Share of intervals of five processes that hold the other processes' median."""
    same, other = [], []
    for chosen in combinations(range(len(rates)), 5):
        rest = np.delete(rates, chosen)
        low, high = repetition_interval([[rate] for rate in rates[list(chosen)]])
        same.append(low <= np.median(rest) <= high)
        other.append(low <= elsewhere <= high)
    return 100 * float(np.mean(same)), 100 * float(np.mean(other))


def _of_each(
    rates: np.ndarray, halves: np.ndarray, elsewhere: float
) -> tuple[float, float]:
    """The same of each process's own interval."""
    low, high = rates * (1 - halves), rates * (1 + halves)
    rest = [np.median(np.delete(rates, i)) for i in range(len(rates))]
    same = np.mean((low <= rest) & (rest <= high))
    other = np.mean((low <= elsewhere) & (elsewhere <= high))
    return 100 * float(same), 100 * float(other)


if __name__ == "__main__":
    main(*sys.argv[1:])
