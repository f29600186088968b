"""Settings that only some rows of a table share: each gets a column of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from bench.analysis.join import TRAIN_SETTINGS
from bench.analysis.key import equal, plain
from bench.report.markup import DASH
from bench.specs import fields_of

_SHOWN = (
    *("mode", "model", "framework", "image_size", "batch_size", "dtype", "track"),
    *("variant", "peer"),
)
"""Fields of a cell that have a column, or a place in the heading, of their own."""

_BOTH = tuple(
    name
    for name in fields_of("infer")
    if name in fields_of("pretrain") and name not in (*_SHOWN, "device")
)
_SWEEP = ("sweep_min", "sweep_max")  # the batch that came of it has a column
_OF_SPEED = (
    *(n for n in fields_of("infer") if n not in (*_SHOWN, *_BOTH, *_SWEEP)),
    "batch_rule",
)
_DATA_SIZE = ("data_examples", "data_fraction")
_TITLES = {
    "num_classes": "classes",
    "tokens_mlp_dim": "D_S",
    "unique_images": "train images",
    "total_steps": "steps",
    "total_epochs": "epochs",
    "train_batch_size": "train batch",
}
"""Titles of settings that are not called by their own name."""


def varying_settings(models: pd.DataFrame) -> list[str]:
    """Settings that tell these rows apart and so need a column."""
    trained = models[models["n_train"].notna()]
    timed = models[equal(models, "source", "measured") & models["n"].notna()]
    differ = [
        *_differing(models[equal(models, "source", "measured")], _BOTH),
        *_differing(timed, _OF_SPEED),
        *dict.fromkeys(
            name
            for _, part in trained.groupby("train_mode", dropna=False, sort=False)
            for name in _differing(part, ("unique_images", *TRAIN_SETTINGS))
        ),
    ]
    told = trained["unique_images"].notna().all()  # how many images, however asked
    return [name for name in differ if not (told and name in _DATA_SIZE)]


_NAME = ("model", "framework", "peer", "image_size", "batch_size", "unique_images")


def told_by_the_name(models: pd.DataFrame, varying: Iterable[str]) -> list[str]:
    """Settings of training that never differ between rows of equal name.

    A note can tell them: a recipe's learning rate for each family, say.
    """
    trained = models[models["n_train"].notna()]
    named = trained.groupby(list(_NAME), dropna=False)
    return [
        name
        for name in varying
        if name in TRAIN_SETTINGS
        and not (named[name].nunique(dropna=False) > 1).any()
        and trained["model"].nunique() > 1
    ]


def settings_notes(models: pd.DataFrame, varying: Iterable[str]) -> list[str]:
    """`learning rate: 0.01 (Mixer-XXS/4), 0.005 (ViT-XXS/4).` for each such setting."""
    trained = models[models["n_train"].notna()]
    notes = []
    for name in told_by_the_name(models, varying):
        parts = []
        for value, part in trained.groupby(name, dropna=False, sort=True):
            who = dict.fromkeys(map(_named, part.to_dict("records")))
            parts.append(f"{setting(plain(value))} ({', '.join(who)})")
        notes.append(f"{title_of(name)}: {', '.join(parts)}.")
    return notes


def _named(row: Mapping[Any, Any]) -> str:
    return f"{row['model']} {row['framework']}"


def setting(value: Any) -> str:
    """A setting's value in a table."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:g}"
    return DASH if value is None else str(value)


def _differing(rows: pd.DataFrame, names: Iterable[str]) -> list[str]:
    return [name for name in names if rows[name].nunique(dropna=False) > 1]


def title_of(name: str) -> str:
    """The column title of a setting."""
    return _TITLES.get(name, name.replace("_", " "))
