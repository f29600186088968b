"""The sentence below a table names the level that its number of processes reaches."""

from __future__ import annotations

import pytest
from hostile import frame, measured

from bench.report.tables import comparison_table

END = " interval of order statistics over processes"


def cell(name: str, count: int) -> list[dict]:
    same = {"cell_id": name, "model": name, "framework": "jax", "family": "mixer"}
    times = [
        {"attempt_id": f"{name}{n}", "repetition": n, "samples": [0.1 + n / 100] * 3}
        for n in range(count)
    ]
    return [measured(0, **same, **each) for each in times]


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((5,), f"; 93.75 %{END}."),
        ((6,), f"; 95 %{END}."),
        ((5, 8), f"; 95 %{END} (93.75 % at n=5)."),
    ],
)
def test_five_processes_reach_less_than_95_per_cent(counts, told):
    rows = [row for count in counts for row in cell(f"M{count}", count)]
    assert told in comparison_table(frame(rows), "github")
