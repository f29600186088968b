"""Columns of many rows, taken whole rather than value by value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa


def sample_medians(rows: pd.DataFrame) -> list[float | None]:
    """The median of each row's samples, None for a row without any, or not all."""
    if "samples" not in rows:
        return [None] * len(rows)
    column = rows["samples"]
    if not isinstance(column.dtype, pd.ArrowDtype):
        return [_known(np.median(one)) if _some(one) else None for one in column]
    lists = pa.chunked_array(pa.array(column)).combine_chunks()
    values = lists.values.to_numpy(zero_copy_only=False)  # a null is NaN
    starts, lengths = lists.offsets.to_numpy()[:-1], np.diff(lists.offsets.to_numpy())
    lengths = np.where(lists.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    made = np.full(len(lists), np.nan)
    for length in set(lengths.tolist()) - {0}:  # rows of one length at once
        at = np.flatnonzero(lengths == length)
        found = np.sort(values[starts[at, None] + np.arange(length)], axis=1)
        middle = found[:, [(length - 1) // 2, length // 2]].mean(axis=1)
        made[at] = np.where(np.isnan(found[:, -1]), np.nan, middle)  # NaN sorts last
    return [_known(one) for one in made.tolist()]


def _some(value: Any) -> bool:
    return isinstance(value, list | np.ndarray) and len(value) > 0


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


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
