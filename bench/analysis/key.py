"""The comparability key: which columns must agree before two numbers may be compared.

No frontier, ratio, average or bold face spans two keys. Accuracy depends on what was
learned and on what it was tested; speed on the machine and on how it was timed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Int

from bench.errors import ResultsError, unknown

ACCURACIES = ("top1", "real_top1", "avg5_top1", "vtab19")
SPEEDS = ("img_per_sec_core", "img_per_sec")
COSTS = (
    "core_days",
    "core_days_measured",
    "core_days_extrapolated",
    "train_img_per_sec_core",
)

_EVALUATION = ("eval_dataset", "eval_split", "eval_preprocess")
_WHERE = ("machine_id", "machine", "core_kind")
_COLUMNS = {
    **dict.fromkeys(
        ACCURACIES, ("source", *_EVALUATION, "pretrain_dataset", "dtype", "protocol")
    ),
    **dict.fromkeys(
        SPEEDS,
        ("source", *_WHERE, "mode", "dtype", "track", "input", "protocol"),
    ),
    **dict.fromkeys(COSTS, ("source", *_WHERE, "dtype", "protocol")),
}


def key_columns(*metrics: str, across: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns that must agree for all of `metrics`, less those named in `across`.

    >>> key_columns("core_days", across=("protocol",))
    ('source', 'machine_id', 'machine', 'core_kind', 'dtype')
    """
    for metric in metrics:
        if metric not in _COLUMNS:
            raise ResultsError(unknown("metric", metric, _COLUMNS))
    union = dict.fromkeys(name for metric in metrics for name in _COLUMNS[metric])
    return tuple(name for name in union if name not in across)


def need(rows: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Refuse rows that lack a column, in one line."""
    absent = [name for name in columns if name not in rows.columns]
    if absent:
        raise ResultsError(
            f"{what} needs the columns {', '.join(absent)}; "
            "read the rows with bench.read_results"
        )


def equal(
    rows: pd.DataFrame, column: str, value: str | float | bool
) -> pd.Series[bool]:
    """Where `column` is `value`, as plain booleans: null equals nothing."""
    return rows[column].eq(value).fillna(False).astype(bool)


def kept(rows: pd.DataFrame, mask: pd.Series[bool]) -> pd.DataFrame:
    """`rows[mask]`, or `rows` where it keeps all: two hundred columns take long."""
    return rows if mask.all() else rows[mask]


def imported(rows: pd.DataFrame) -> pd.Series[bool]:
    """Where a row's figures are others', taken in by `mixer-bench import`."""
    ours = rows["source"].isin(("measured", "published")) | rows["source"].isna()
    return ~ours.astype(bool)


def keys(rows: pd.DataFrame, *metrics: str, across: Sequence[str] = ()) -> pd.DataFrame:
    """The distinct keys among `rows`, one per line, in order of appearance."""
    columns = list(key_columns(*metrics, across=across))
    need(rows, columns, "the comparability key")
    return rows[columns].drop_duplicates().reset_index(drop=True)


def by_key(
    rows: pd.DataFrame, *metrics: str, across: Sequence[str] = ()
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each key as a dict with the rows that share it, in order of appearance."""
    columns = list(key_columns(*metrics, across=across))
    need(rows, columns, "the comparability key")
    if rows.empty:
        return
    for _, part in rows.groupby(columns, dropna=False, sort=False):
        first = part.iloc[0]
        yield {name: plain(first[name]) for name in columns}, part


def numbered(rows: pd.DataFrame, by: Sequence[str]) -> Int[np.ndarray, " rows"]:
    """The group of each row, counted from 0 in order of appearance; nulls are equal.

    As `groupby(by, dropna=False, sort=False).ngroup()`, at a fraction of its time: most
    columns of a record hold one value.
    """
    number = np.zeros(len(rows), dtype=np.int64)
    for name in by:
        codes, values = pd.factorize(rows[name], use_na_sentinel=False)
        if len(values) > 1:
            number, _ = pd.factorize(number * len(values) + codes)
    return number


def require_one_key(
    rows: pd.DataFrame, *metrics: str, across: Sequence[str] = ()
) -> None:
    """Refuse rows of several keys; say which columns differ and in which values."""
    found = keys(rows, *metrics, across=across)
    if len(found) <= 1:
        return
    differ = [
        f"{name} ({', '.join(_values(found[name]))})"
        for name in found.columns
        if found[name].nunique(dropna=False) > 1
    ]
    raise ResultsError(
        f"{' and '.join(metrics)} of these rows cannot be compared: they differ in "
        f"{'; '.join(differ)}; keep one value of each"
    )


def plain(value: Any) -> Any:
    """`value`, with every kind of null turned into None."""
    if value is None or isinstance(value, str):  # most of what is asked: no long way
        return value
    if isinstance(value, list | dict) or not pd.api.types.is_scalar(value):
        return value
    return None if pd.isna(value) else value


def values(column: pd.Series[Any]) -> list[Any]:
    """A column as a list in which every kind of null is None."""
    dtype = column.dtype
    if isinstance(dtype, pd.ArrowDtype) and not pa.types.is_timestamp(
        dtype.pyarrow_dtype
    ):
        found: list[Any] = pa.array(column).to_pylist()
        return found
    if dtype == np.float64:
        return [None if value != value else value for value in column.tolist()]
    return [plain(value) for value in column.tolist()]


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Each row as a dict in which every kind of null is None.

    A record has some two hundred columns: column by column is faster than `to_dict`.
    """
    columns = [values(rows[name]) for name in rows.columns]
    names = [str(name) for name in rows.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: pd.Series[Any]) -> list[str]:
    return ["none" if plain(v) is None else str(v) for v in column.unique()]
