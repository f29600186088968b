"""Repeated rows as one: the median over repetitions and seeds, with its interval.

A repetition that was tried several times counts once, by its last attempt. Each row
made here keeps the runs behind its numbers and the attempts that gave them.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bench import record
from bench.analysis.certificate import shared_outputs
from bench.analysis.columns import agreed, known, median, sample_medians
from bench.analysis.key import key_columns, need, numbered, records, values
from bench.analysis.stats import repetition_interval
from bench.specs import fields_of

Part = dict[str, list[Any]]
"""The rows of one group, column by column; a null is None."""
MIN_REPETITIONS = 5
"""With fewer fresh processes no interval is given: it would be too narrow."""

_SEEDS = ("seed", "subset_seed")
_NO_SETTING = (*_SEEDS, "recipe", "mode", "data_dir", "probe_dir")
SETTINGS = tuple(name for name in fields_of("pretrain") if name not in _NO_SETTING)
"""What a pretrain cell declares, less its seeds, the name of its recipe, and folders:
a fingerprint says what they hold."""

SPEED_ADDED = ("n", "low", "high")
SPEED_LISTS = ("rates", "speed_attempts", "sittings")
"""What `speed_rows` adds to the record's columns: numbers, and the runs behind them."""
TRAIN_ADDED = (
    *("n_train", "top1_low", "top1_high"),
    *("core_days_extrapolated_low", "core_days_extrapolated_high"),
)
TRAIN_LISTS = ("top1_runs", "core_days_runs", "train_attempts")
"""What `training_rows` adds, likewise."""
_ADDED_NUMBERS = (*SPEED_ADDED, *TRAIN_ADDED, "core_days", "train_batch_size")

_MEDIANS_OF_SPEED = (
    "img_per_sec",
    "img_per_sec_core",
    "ms_per_image_batch1",
    "peak_memory_bytes",
)
_MEDIANS_OF_TRAINING = (
    "top1",
    "real_top1",
    "core_days_finetune",
    "core_days_search",
    "core_days_measured",
    "core_days_extrapolated",
    "train_img_per_sec_core",
)
_SUMMARISED = tuple(
    dict.fromkeys(
        (
            *_MEDIANS_OF_SPEED,
            *_MEDIANS_OF_TRAINING,
            *("batch_size", "git_dirty", "attempt_id", "cores", "fewshot"),
            *("dtype", "probe_outputs", "sitting_id"),
        )
    )
)
"""Columns that a summary reads from every row of its group."""


def speed_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per cell, machine and environment: the median over its repetitions.

    `n` counts repetitions: of several attempts at one, the newest. The value is the
    median of the repetitions' medians. `low` and `high` are the interval over fresh
    processes, null with fewer than `MIN_REPETITIONS`.
    """
    where = ("cell_id", "machine_id", "environment_id", "protocol")
    by = list(dict.fromkeys([*where, *key_columns("img_per_sec_core")]))
    return _per_group(rows, by, _summarise_speed)


def training_rows(rows: pd.DataFrame, also: tuple[str, ...] = ()) -> pd.DataFrame:
    """One row per trained setting: the median over its seeds and repetitions.

    `also` names further columns that tell settings apart.
    """
    where = ("machine_id", "environment_id", "protocol")
    key = key_columns("top1", "core_days")
    by = list(dict.fromkeys(["mode", *SETTINGS, *where, *key, *also]))
    return _per_group(rows, by, _summarise_training)


def _per_group(rows: pd.DataFrame, by: list[str], summarise: Any) -> pd.DataFrame:
    if rows.empty:
        return rows
    need(rows, (*by, *_SEEDS, "repetition", "finished_at"), "the join")
    rows = newest(rows, by)
    number = numbered(rows, by)
    parts = _parts(rows, number)
    firsts = records(rows[~pd.Series(number, rows.index).duplicated()])
    made = [
        {**first, **summarise(part)} for first, part in zip(firsts, parts, strict=True)
    ]
    return typed(pd.DataFrame(made, dtype=object))


def _parts(rows: pd.DataFrame, number: np.ndarray) -> list[Part]:
    """What is summarised of each group, in order of its number."""
    columns: dict[str, list[Any]] = {
        name: values(rows[name]) if name in rows else [None] * len(rows)
        for name in _SUMMARISED
    }
    columns["sample"] = sample_medians(rows)
    members: dict[int, list[int]] = {}
    for at, group in enumerate(number.tolist()):
        members.setdefault(group, []).append(at)
    return [
        {name: [column[at] for at in group] for name, column in columns.items()}
        for group in members.values()
    ]


def newest(rows: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """The last attempt at each repetition: however often tried, it counts once."""
    item = list(dict.fromkeys([*by, "cell_id", *_SEEDS, "repetition"]))
    finished = rows["finished_at"].reset_index(drop=True)
    by_age = finished.sort_values(na_position="first", kind="stable").index.to_numpy()
    again = pd.Series(numbered(rows, item)[by_age]).duplicated(keep="last").to_numpy()
    return rows.iloc[np.sort(by_age[~again])] if again.any() else rows


def _summarise_speed(part: Part) -> dict[str, Any]:
    low, high = _interval(part)
    return {
        **{name: median(part[name]) for name in _MEDIANS_OF_SPEED},
        "batch_size": agreed(part["batch_size"]),
        "probe_outputs": shared_outputs(part["probe_outputs"], part["dtype"][0]),
        "git_dirty": any(part["git_dirty"]),
        "n": len(part["attempt_id"]),
        "low": low,
        "high": high,
        "rates": part["img_per_sec_core"],
        "speed_attempts": part["attempt_id"],
        "sittings": _sittings(part["sitting_id"]),
    }


def _summarise_training(part: Part) -> dict[str, Any]:
    full, top1 = known(part["core_days_extrapolated"]), known(part["top1"])
    low, high = repetition_interval([[value] for value in full]) or (None, None)
    days = zip(part["core_days_measured"], part["core_days_extrapolated"], strict=True)
    return {
        **{name: median(part[name]) for name in _MEDIANS_OF_TRAINING},
        "fewshot": [entry for each in known(part["fewshot"]) for entry in each] or None,
        "n_train": len(part["attempt_id"]),
        "top1_low": min(top1, default=None),
        "top1_high": max(top1, default=None),
        "core_days_extrapolated_low": low,
        "core_days_extrapolated_high": high,
        "top1_runs": part["top1"],
        "core_days_runs": [
            spent if spent is not None else all_ for spent, all_ in days
        ],
        "train_attempts": part["attempt_id"],
    }


def _sittings(each: list[str | None]) -> list[str | None]:
    """Where a row was timed: not where less than half as much as in its chief sitting.

    A row may be held against those of its sittings; one stray process does not count.

    >>> _sittings(["a"] * 5 + ["b"] * 5 + ["c"] * 2)
    ['a', 'b']
    """
    counts = collections.Counter(each)
    return [one for one, n in counts.items() if 2 * n >= max(counts.values())]


def _interval(part: Part) -> tuple[float | None, float | None]:
    """Interval of images/s/core over repetitions; samples are seconds per step."""
    if len(part["sample"]) < MIN_REPETITIONS:
        return None, None
    if any(one is None for one in part["sample"]):
        return None, None  # rows of elsewhere may hold only their median
    each = zip(part["sample"], part["cores"], part["batch_size"], strict=True)
    cost = [[sample * (cores / batch)] for sample, cores, batch in each]
    found = repetition_interval(cost)  # core-seconds per image: the rate is 1 / it
    return (None, None) if found is None else (1 / found[1], 1 / found[0])


def typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Numbers as float64 with NaN for missing, everything else as objects."""
    made = {}
    for name in rows.columns:
        plainly = values(rows[name])
        if name in _ADDED_NUMBERS or _is_number(str(name)):
            column = np.array(plainly, dtype=float)  # None becomes NaN
        else:
            column = np.empty(len(plainly), dtype=object)
            column[:] = plainly
        made[name] = pd.Series(column, rows.index, dtype=column.dtype)
    return pd.DataFrame(made, index=rows.index)


@functools.cache
def _is_number(name: str) -> bool:
    if name not in record.COLUMNS:
        return False
    kind = record.SCHEMA.field(name).type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
