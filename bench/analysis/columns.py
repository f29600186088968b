"""Columns of many rows, taken whole rather than value by value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa


def sample_medians(rows: pd.DataFrame) -> list[float | None]:
    """The median of each row's samples, None for a row without any."""
    if "samples" not in rows:
        return [None] * len(rows)
    column = rows["samples"]
    if not isinstance(column.dtype, pd.ArrowDtype):
        return [None if _none(one) else float(np.median(one)) for one in column]
    lists = pa.chunked_array(pa.array(column)).combine_chunks()
    values = lists.values.to_numpy(zero_copy_only=False)
    starts, lengths = lists.offsets.to_numpy()[:-1], np.diff(lists.offsets.to_numpy())
    lengths = np.where(lists.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    made = np.full(len(lists), np.nan)
    for length in set(lengths.tolist()) - {0}:  # rows of one length at once
        at = np.flatnonzero(lengths == length)
        found = np.sort(values[starts[at, None] + np.arange(length)], axis=1)
        middle = found[:, [(length - 1) // 2, length // 2]]
        made[at] = middle.mean(axis=1)
    held = (lengths > 0).tolist()
    return [m if has else None for m, has in zip(made.tolist(), held, strict=True)]


def _none(value: Any) -> bool:
    return not isinstance(value, list | np.ndarray) or len(value) == 0


def known(column: list[Any]) -> list[Any]:
    """What of a column is not null."""
    return [value for value in column if value is not None]


def median(column: list[Any]) -> float | None:
    """The median of what is known, None where nothing is."""
    numbers = known(column)
    return float(np.median(numbers)) if numbers else None


def agreed(column: list[Any]) -> Any:
    """The one value of a column, or null where the repetitions differ."""
    return column[0] if len(set(column)) == 1 else None
