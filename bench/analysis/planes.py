"""Rows as runs over model size and data size: what one surface may hold.

A surface holds runs of one family that differ in the model's size, in the data's size
and in their seeds, and in nothing else that a cell declares. Models of two patch sizes
are two surfaces: a larger patch has as many parameters and sees less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.demo import is_demo
from bench.analysis.key import ACCURACIES, key_columns, need, plain, require_one_key
from bench.analysis.repetitions import SETTINGS, newest
from bench.analysis.scaling import BEHIND, telling, trained
from bench.analysis.surface import Plane
from bench.errors import ResultsError, unknown
from bench.units import training_flop

SIZES = ("param_count", "macs", "training_flop")
DATA = ("unique_images", "images_seen")
_OF_FLOP = BEHIND["images_seen"]
_SHOWN = ("family", "patch", "framework")
_WITH_PATCH = ("mixer", "vit")


@dataclass(frozen=True)
class Grid:
    """The runs of one surface, and what it is called."""

    label: str
    plane: Plane
    demo: bool
    """Whether a model of it is of a demo size."""


def grids(
    rows: pd.DataFrame,
    data: str = "unique_images",
    size: str = "param_count",
    y: str = "top1",
    group: Sequence[str] = (),
) -> list[Grid]:
    """The surfaces of measured training rows.

    Args:
        rows: record rows.
        data: one of `DATA`.
        size: one of `SIZES`; `training_flop` is 6 x MACs x images seen.
        y: an accuracy column; its error is 1 - y.
        group: columns that tell surfaces apart; by default all settings but the
            model's size and the data's.

    Raises:
        ResultsError: an unknown column, or a group that holds several keys.
    """
    asked = (("--x", data, DATA), ("--size", size, SIZES), ("--y", y, ACCURACIES))
    for option, given, allowed in asked:
        if given not in allowed:
            raise ResultsError(f"{option}: {unknown('column', given, allowed)}")
    need(rows, (*_behind(size), data, y, "status", "source", "mode"), "a surface")
    by = _columns(data, size, y, group)
    done = _sized(trained(rows, data, y), size)
    if done.empty:
        return []
    parts = [part for _, part in done.groupby(by, dropna=False, sort=False)]
    for part in parts if group else ():
        require_one_key(part, y)
    named = list(group) or _naming(done, by)
    return [
        Grid(
            _label(part, named),
            _plane(newest(part), data, y),
            any(map(is_demo, part["model"].unique())),
        )
        for part in parts
    ]


def _behind(size: str) -> tuple[str, ...]:
    return ("macs", "images_seen") if size == "training_flop" else (size,)


def _sized(rows: pd.DataFrame, size: str) -> pd.DataFrame:
    """Rows whose model's size is known, with it and the patch as columns."""
    known = rows[rows[list(_behind(size))].notna().all(axis=1)]
    values = [known[name].to_numpy(float) for name in _behind(size)]
    made = values[0]
    if size == "training_flop":
        made = np.array([training_flop(*one) for one in zip(*values, strict=True)])
    return known.assign(model_size=made, patch=[*map(_patch, known.to_dict("records"))])


def _patch(row: dict[Any, Any]) -> str:
    """`16` of `Mixer-B/16`; of a ResNet the stroke is part of its width."""
    name = str(row["model"])
    return name.partition("/")[2] if row["family"] in _WITH_PATCH else ""


def _columns(data: str, size: str, y: str, group: Sequence[str]) -> list[str]:
    moved = {*BEHIND[data], "model", *(_OF_FLOP if size == "training_flop" else ())}
    settings = [name for name in SETTINGS if name not in moved]
    known = ["family", "patch", *settings, "environment_id", *key_columns(y)]
    for name in group:
        if name not in known:
            raise ResultsError(f"--group: {unknown('column', name, known)}")
    return list(dict.fromkeys(group or known))


def _naming(rows: pd.DataFrame, by: Sequence[str]) -> list[str]:
    differ = [name for name in by if rows[name].nunique(dropna=False) > 1]
    return telling(rows, list(dict.fromkeys((*_SHOWN, *differ))), _SHOWN)


def _label(part: pd.DataFrame, named: Sequence[str]) -> str:
    first = part.iloc[0]
    values = [(name, plain(first[name])) for name in named]
    return ", ".join(
        str(value) if name in ("family", "framework") else f"{name}={value}"
        for name, value in values
        if not (name == "patch" and value == "")
    )


def _plane(part: pd.DataFrame, data: str, y: str) -> Plane:
    subset_seed, seed = (
        part[name].fillna(0).to_numpy(np.int64) for name in ("subset_seed", "seed")
    )
    return Plane(
        size=part["model_size"].to_numpy(float),
        data=part[data].to_numpy(float),
        error=1 - part[y].to_numpy(float),
        subset_seed=subset_seed,
        seed=seed,
    )
