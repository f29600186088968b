"""Columns of many rows, taken whole rather than value by value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa


def sample_arrays(rows: pd.DataFrame) -> pd.Series[Any]:
    """The samples of each row as an array: a list of floats is ten times as large."""
    if "samples" not in rows:
        return pd.Series([None] * len(rows), rows.index, dtype=object)  # else NaN
    column = rows["samples"]
    if not isinstance(column.dtype, pd.ArrowDtype):
        return column.astype(object).where(column.notna(), None)
    lists = pa.chunked_array(pa.array(column)).combine_chunks()
    values = lists.values.to_numpy(zero_copy_only=False)
    ends = lists.offsets.to_numpy()
    made = np.empty(len(lists), dtype=object)
    for row, held in enumerate(lists.is_valid().to_numpy(zero_copy_only=False)):
        made[row] = values[ends[row] : ends[row + 1]] if held else None
    return pd.Series(made, rows.index, dtype=object)


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
