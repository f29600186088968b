"""Attempts that did not end `ok`: a table of their own, or a sentence below another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.key import equal, plain, records
from bench.report.markup import DASH, Column, Grid, Group, render


def failures_table(rows: pd.DataFrame, fmt: str = "table") -> str:
    """Every attempt that did not end `ok`, with its class and message."""
    columns = ["mode", "model", "framework", "px", "batch", "status", "error"]
    lines = [
        [
            *(_text(row[name]) for name in ("mode", "model", "framework")),
            _whole(row["image_size"]),
            _whole(row["batch_size"]),
            str(row["status"]),
            _reason(row),
        ]
        for row in records(_failed(rows))
    ]
    titles = [Column(name, text=name not in ("px", "batch")) for name in columns]
    notes = [] if lines else ["No attempt failed."]
    return render(Grid(titles, [Group("", lines)], notes), fmt)


def _failed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~equal(rows, "status", "ok")]


def failure_notes(rows: pd.DataFrame) -> list[str]:
    """One sentence for each attempt that has no line above and was not made good."""
    return [
        f"Not above: {row['mode']} {row['model']} {_text(row['framework'])} "
        f"{_whole(row['image_size'])} px {row['status']}: {_reason(row)}"
        for row in records(not_made_good(rows))
    ]


def not_made_good(rows: pd.DataFrame) -> pd.DataFrame:
    """Failures whose work item has no `ok` row, on the same machine."""
    failed = _failed(rows)
    if failed.empty:  # the usual case, and the long way is slow on many rows
        return failed
    item = ["cell_id", "repetition", "role", "machine_id"]
    done = set(_tuples(rows.loc[equal(rows, "status", "ok"), item]))
    again = [row in done for row in _tuples(failed[item])]
    return failed[~np.array(again, dtype=bool)]


def _tuples(rows: pd.DataFrame) -> Iterable[tuple[Any, ...]]:
    return (tuple(map(plain, row)) for row in rows.itertuples(index=False))


def _reason(row: Mapping[str, Any]) -> str:
    parts = [str(row[name]) for name in ("error_class", "error_message") if row[name]]
    return ": ".join(parts).replace("\n", " ") or DASH


def _text(value: Any) -> str:
    return DASH if value is None else str(value)


def _whole(value: Any) -> str:
    return DASH if value is None else f"{value:.0f}"
