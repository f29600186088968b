"""The only join: one row per model with its cost, its accuracy and its speed.

A model row takes core-days from the pretrain row at its root, accuracies from that row
or from a finetune row that descends from it, and throughput from the speed rows of the
same model, image size, framework, dtype, machine, environment and protocol. A missing
part stays missing: it is never taken from somewhere else.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bench import record
from bench.analysis.ablations import PAPERS
from bench.analysis.certificate import shared_outputs
from bench.analysis.columns import agreed, known, median, sample_medians
from bench.analysis.descent import descended, roots, with_avg5
from bench.analysis.key import (
    equal,
    kept,
    key_columns,
    need,
    numbered,
    records,
    values,
)
from bench.analysis.stats import repetition_interval
from bench.specs import TRAINING_MODES, fields_of

NESTED = (
    *("samples", "fewshot", "printed", "environment"),
    *("probe_outputs", "probe_reference"),
)
"""The nested columns that the join reads or hands on."""
Part = dict[str, list[Any]]
"""The rows of one group, column by column; a null is None."""
MIN_REPETITIONS = 5
"""With fewer fresh processes no interval is given: it would be too narrow."""

_JOIN = (
    "model",
    "image_size",
    "framework",
    "dtype",
    "pool",
    "tokens_mlp_dim",
    *PAPERS,
    "peer",
    "machine_id",
    "environment_id",
    "protocol",
    "source",
)
_COMMON = (
    *("family", "param_count", "macs", "tokens", "machine", "device_kind"),
    *("device_name", "core_kind", "cores", "environment", "git_sha", "git_dirty"),
)
_SPEED = (
    "mode",
    "track",
    "num_classes",
    "device",
    "batch_size",
    "batch_rule",
    "sweep_min",
    "sweep_max",
    "variant",
    "layout",
    "peer_version",
    "loss",
    "optimizer",
    "probe_outputs",
    "probe_reference",
    "input",
    "parallelism",
    "effective_precision",
    "product_dtype",
    "img_per_sec",
    "img_per_sec_core",
    "ms_per_image_batch1",
    "peak_memory_bytes",
)
_TRAIN = (
    "dataset",
    "pretrain_dataset",
    "eval_dataset",
    "eval_split",
    "eval_preprocess",
    "n_eval",
    "chance",
    "top1",
    "real_top1",
    "avg5_top1",
    "fewshot",
    "unique_images",
    "images_seen",
    "epochs",
    "core_days_measured",
    "core_days_extrapolated",
    "train_img_per_sec_core",
    "core_days_finetune",
    "core_days_search",
    "learning_rates",
    "dev_fraction",
    "polyak",
    "init_report",
)
_PUBLISHED = (
    "table",
    "run_id",
    "printed_model",
    "printed",
    "regime",
    "pretrain_epochs",
    "vtab19",
    "core_days_halfwidth",
    "bibkey",
    "citation",
    "note",
)
_SEEDS = ("seed", "subset_seed")
_OF_BOTH = ("device", "batch_size")  # timing and training each have their own

_NO_SETTING = (*_SEEDS, "recipe", "mode", "data_dir", "probe_dir")
SETTINGS = tuple(name for name in fields_of("pretrain") if name not in _NO_SETTING)
"""What a pretrain cell declares, less its seeds, the name of its recipe, and folders:
a fingerprint says what they hold."""
_SPEED_ADDED = ("n", "low", "high")
_TRAIN_ADDED = (
    *("n_train", "top1_low", "top1_high"),
    *("core_days_extrapolated_low", "core_days_extrapolated_high"),
)
_TRAIN_WORDS = ("train_mode", "lineage", "avg5_missing")
_OF_FINETUNE = ("lineage", "learning_rates", "dev_fraction", "init_sha256", "polyak")
_SPEED_LISTS = ("rates", "speed_attempts", "sittings")
_TRAIN_LISTS = ("top1_runs", "core_days_runs", "train_attempts")
TRAIN_SETTINGS = tuple(
    f"train_{name}" if name in _OF_BOTH else name
    for name in SETTINGS
    if name not in (*_JOIN, *_TRAIN)
)
"""Columns of a model row that hold the settings of its training."""
_ADDED_NUMBERS = (*_SPEED_ADDED, *_TRAIN_ADDED, "core_days", "train_batch_size")
_ALL_TRAIN = (*_TRAIN, *TRAIN_SETTINGS, *_TRAIN_ADDED, *_TRAIN_LISTS, *_TRAIN_WORDS)
_ALL_SPEED = (*_SPEED, *_SPEED_ADDED, *_SPEED_LISTS)
MODEL_COLUMNS = tuple(
    dict.fromkeys((*_JOIN, *_COMMON, *_ALL_TRAIN, *_ALL_SPEED, *_PUBLISHED))
)
"""Columns of a model row, beside `core_days` and `core_days_kind`."""

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


def once(rows: pd.DataFrame) -> pd.DataFrame:
    """Published rows with each run counted once: the first table that quotes it."""
    again = rows["run_id"].notna() & rows.duplicated("run_id")
    return rows[~again.astype(bool)]


def model_rows(rows: pd.DataFrame, mode: str = "infer") -> pd.DataFrame:
    """One row per model: cost, accuracy, and speed in `mode` (infer or train).

    Adds to the record's columns: `n` speed repetitions with their interval `low` and
    `high`, `n_train` training runs with `top1_low` and `top1_high` (their range), and
    `core_days` with `core_days_kind` (measured, else extrapolated). Behind each number
    stand its runs: `rates`, `top1_runs`, `core_days_runs`, and the attempts that gave
    them, `speed_attempts` and `train_attempts`, and the `sittings` of the former.
    """
    need(rows, (*_JOIN, "status", "role", "cell_id"), "the join")
    done, mine = equal(rows, "status", "ok"), equal(rows, "source", "measured")
    published = _published(rows[done & ~mine], mode)
    cells = done & mine & ~equal(rows, "role", "anchor")
    speed = speed_rows(kept(rows, cells & equal(rows, "mode", mode)))
    train = lineages(kept(rows, cells & rows["mode"].isin(TRAINING_MODES).astype(bool)))
    parts = [_joined(train, speed), published]
    full = [_picked(part, MODEL_COLUMNS) for part in parts if not part.empty]
    both = (
        pd.concat(full, ignore_index=True) if full else _picked(parts[1], MODEL_COLUMNS)
    )
    return typed(_with_core_days(both))


def speed_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per cell, machine and environment: the median over its repetitions.

    `n` counts repetitions: of several attempts at one, the newest. The value is the
    median of the repetitions' medians. `low` and `high` are the interval over fresh
    processes, null with fewer than `MIN_REPETITIONS`.
    """
    where = ("cell_id", "machine_id", "environment_id", "protocol")
    by = list(dict.fromkeys([*where, *key_columns("img_per_sec_core")]))
    return _per_group(rows, by, _summarise_speed)


def lineages(measured: pd.DataFrame) -> pd.DataFrame:
    """One row per trained setting, pre-training and fine-tuning, with its lineage."""
    pretrained = roots(kept(measured, equal(measured, "mode", "pretrain")), SETTINGS)
    tuned = descended(measured[equal(measured, "mode", "finetune")], pretrained)
    parts = [training_rows(pretrained), training_rows(tuned, _OF_FINETUNE)]
    full = [part for part in parts if not part.empty]
    both = pd.concat(full, ignore_index=True) if full else parts[0]
    return with_avg5(both.rename(columns={"mode": "train_mode"}), (*_JOIN, "lineage"))


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
        "sittings": list(dict.fromkeys(part["sitting_id"])),
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


def _joined(train: pd.DataFrame, speed: pd.DataFrame) -> pd.DataFrame:
    """Full outer join: a part that was not measured is null."""
    if train.empty and speed.empty:
        return train
    on = list(_JOIN)
    renamed = train.rename(columns={name: f"train_{name}" for name in _OF_BOTH})
    left = _picked(renamed, (*_JOIN, *_COMMON, *_ALL_TRAIN))
    right = _picked(speed, (*_JOIN, *_COMMON, *_ALL_SPEED))
    both = left.merge(right, on=on, how="outer", suffixes=("", "_of_speed"))
    for name in _COMMON:  # the trained model's own head counts, not the timed one's
        other = both.pop(f"{name}_of_speed")
        both[name] = both[name].where(both[name].notna(), other)
    return both


def _picked(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    return rows.reindex(columns=list(columns)).astype(object)


def _published(rows: pd.DataFrame, mode: str) -> pd.DataFrame:
    """Published and imported rows are model rows already.

    The papers' throughput is inference; an imported accuracy stands there, too.
    """
    rows = once(rows)
    wanted = equal(rows, "mode", mode)
    if mode == "infer":
        wanted |= rows["mode"].isin(TRAINING_MODES).astype(bool)
    found = rows[wanted]
    attempts = pd.Series([[name] for name in found["attempt_id"]], found.index)
    return found.assign(train_attempts=attempts)


def _with_core_days(rows: pd.DataFrame) -> pd.DataFrame:
    measured, guessed = rows["core_days_measured"], rows["core_days_extrapolated"]
    kind = np.select(
        [measured.notna(), guessed.notna()], ["measured", "extrapolated"], ""
    )
    # the copy is one block for each dtype: pandas warns of a hundred single columns
    return rows.copy().assign(core_days=_core_days(rows), core_days_kind=kind)


def _core_days(rows: pd.DataFrame) -> pd.Series[Any]:
    """Measured core-days, else those extrapolated."""
    measured = rows["core_days_measured"]
    return measured.where(measured.notna(), rows["core_days_extrapolated"])


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
