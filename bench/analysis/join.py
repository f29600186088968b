"""The only join: one row per model with its cost, its accuracy and its speed.

A model row takes core-days from the pretrain row at its root, accuracies from that row
or from a finetune row that descends from it, and throughput from the speed rows of the
same model, image size, framework, dtype, machine, environment and protocol. A missing
part stays missing: it is never taken from somewhere else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.ablations import PAPERS
from bench.analysis.descent import descended, roots, with_avg5
from bench.analysis.key import equal, kept, need
from bench.analysis.repetitions import (
    SETTINGS,
    SPEED_ADDED,
    SPEED_LISTS,
    TRAIN_ADDED,
    TRAIN_LISTS,
    speed_rows,
    training_rows,
    typed,
)
from bench.specs import TRAINING_MODES

NESTED = (
    *("samples", "fewshot", "printed", "environment"),
    *("probe_outputs", "probe_reference"),
)
"""The nested columns that the join reads or hands on."""
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
_OF_BOTH = ("device", "batch_size")  # timing and training each have their own

_TRAIN_WORDS = ("train_mode", "lineage", "avg5_missing")
_OF_FINETUNE = ("lineage", "learning_rates", "dev_fraction", "init_sha256", "polyak")
TRAIN_SETTINGS = tuple(
    f"train_{name}" if name in _OF_BOTH else name
    for name in SETTINGS
    if name not in (*_JOIN, *_TRAIN)
)
"""Columns of a model row that hold the settings of its training."""
_ALL_TRAIN = (*_TRAIN, *TRAIN_SETTINGS, *TRAIN_ADDED, *TRAIN_LISTS, *_TRAIN_WORDS)
_ALL_SPEED = (*_SPEED, *SPEED_ADDED, *SPEED_LISTS)
MODEL_COLUMNS = tuple(
    dict.fromkeys((*_JOIN, *_COMMON, *_ALL_TRAIN, *_ALL_SPEED, *_PUBLISHED))
)
"""Columns of a model row, beside `core_days` and `core_days_kind`."""


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


def lineages(measured: pd.DataFrame) -> pd.DataFrame:
    """One row per trained setting, pre-training and fine-tuning, with its lineage."""
    pretrained = roots(kept(measured, equal(measured, "mode", "pretrain")), SETTINGS)
    tuned = descended(measured[equal(measured, "mode", "finetune")], pretrained)
    parts = [training_rows(pretrained), training_rows(tuned, _OF_FINETUNE)]
    full = [part for part in parts if not part.empty]
    both = pd.concat(full, ignore_index=True) if full else parts[0]
    return with_avg5(both.rename(columns={"mode": "train_mode"}), (*_JOIN, "lineage"))


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
