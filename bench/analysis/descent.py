"""Finetune rows and the pretrain rows that they come from.

A child belongs to a parent by three things: the parent's cell, the machine, environment
and protocol, and the hash of the weights that one left and the other started from.
Where no row is that parent, what it would tell stays missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.analysis.key import equal, numbered, plain
from bench.specs import short_hash

FIVE = ("ImageNet", "CIFAR-10", "CIFAR-100", "Pets", "Flowers")
"""The transfer sets whose mean MLP-Mixer prints as Avg 5."""
_ALSO = {
    "imagenet1k": "ImageNet",
    "imagenet2012": "ImageNet",
    "oxfordiiitpet": "Pets",
    "oxfordiiitpets": "Pets",
    "oxfordpets": "Pets",
    "flowers102": "Flowers",
    "oxfordflowers102": "Flowers",
}

FROM_ROOT = (
    "core_days_measured",
    "core_days_extrapolated",
    "train_img_per_sec_core",
    "unique_images",
    "images_seen",
    "epochs",
)
"""What a model row takes from pre-training: cost and data."""
_WHERE = ("machine_id", "environment_id", "protocol", "repetition")


def roots(pretrained: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """Pretrain rows with `lineage`: the same for every seed of one setting."""
    names = [*settings, *_WHERE[:3]]
    number = numbered(pretrained, names)
    firsts = pretrained.loc[~pd.Series(number).duplicated().to_numpy(), names]
    hashes = [
        short_hash([str(plain(value)) for value in row])
        for row in firsts.itertuples(index=False)
    ]
    return pretrained.assign(lineage=[hashes[group] for group in number])


def descended(tuned: pd.DataFrame, parents: pd.DataFrame) -> pd.DataFrame:
    """Finetune rows with the lineage, cost and data of their parents.

    Few-shot results are the parent's where the child has none. A rate that a search
    picked is a result, so it no longer tells two rows apart.
    """
    found = [_root_of(row, parents) for _, row in tuned.iterrows()]
    made = tuned.assign(lineage=[_lineage(*pair) for pair in _pairs(tuned, found)])
    for name in FROM_ROOT:
        made[name] = _column(tuned, found, name)
    if "fewshot" in tuned.columns:
        own = tuned["fewshot"]
        made["fewshot"] = own.where(own.notna(), _column(tuned, found, "fewshot"))
    one_rate = made["learning_rates"].isna()
    return made.assign(learning_rate=made["learning_rate"].where(one_rate))


def _pairs(
    tuned: pd.DataFrame, found: list[pd.Series[Any] | None]
) -> list[tuple[pd.Series[Any], pd.Series[Any] | None]]:
    rows = (row for _, row in tuned.iterrows())
    return list(zip(rows, found, strict=True))


def _root_of(row: pd.Series[Any], parents: pd.DataFrame) -> pd.Series[Any] | None:
    """The newest attempt that left the weights which this row started from."""
    if plain(row["parent_cell_id"]) is None or parents.empty:
        return None
    same = equal(parents, "cell_id", row["parent_cell_id"])
    for name in _WHERE[:3]:
        same &= equal(parents, name, row[name])
    same &= equal(parents, "weights_sha256", row["init_weights_sha256"])
    mine = parents[same].sort_values("finished_at", na_position="first", kind="stable")
    return None if mine.empty else mine.iloc[-1]


def _lineage(row: pd.Series[Any], root: pd.Series[Any] | None) -> str:
    if root is not None:
        return str(root["lineage"])
    start = plain(row["parent_cell_id"]) or plain(row["init_sha256"])
    return short_hash([start, *(str(plain(row[name])) for name in _WHERE[:3])])


def _column(
    tuned: pd.DataFrame, found: list[pd.Series[Any] | None], name: str
) -> pd.Series[Any]:
    values = [None if root is None else root[name] for root in found]
    return pd.Series(values, tuned.index, dtype=object)


# The mean of five -------------------------------------------------------------


def task_of(dataset: str | None) -> str | None:
    """Which of the five a data set is, whatever it is called.

    >>> task_of("cifar-10"), task_of("oxford_iiit_pet"), task_of("digits")
    ('CIFAR-10', 'Pets', None)
    """
    bare = re.sub(r"[^a-z0-9]", "", (dataset or "").lower())
    known = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in FIVE}
    return {**known, **_ALSO}.get(bare)


def with_avg5(trained: pd.DataFrame, within: Sequence[str]) -> pd.DataFrame:
    """Add `avg5_top1`, the mean of the five sets, and `avg5_missing`, their names.

    It stands in every row of a lineage with all five, each tested once; a lineage that
    lacks one has no mean. Rows without any of the five name nothing.
    """
    made = trained.assign(avg5_top1=None, avg5_missing=None)
    made = made.astype({"avg5_top1": object, "avg5_missing": object})
    if trained.empty:
        return made
    tuned = trained[equal(trained, "train_mode", "finetune")]
    for _, part in tuned.groupby(list(within), dropna=False, sort=False):
        mean, missing = avg5(_by_task(part))
        made.loc[part.index, "avg5_top1"] = mean
        made.loc[part.index, "avg5_missing"] = missing
    return made


def _by_task(part: pd.DataFrame) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for dataset, top1 in zip(part["eval_dataset"], part["top1"], strict=True):
        task = task_of(plain(dataset))
        if task is not None and plain(top1) is not None:
            found.setdefault(task, []).append(float(top1))
    return found


def avg5(found: Mapping[str, Sequence[float]]) -> tuple[float | None, str | None]:
    """The mean of the five accuracies, or the names of what is not there once.

    >>> avg5({"Pets": [0.9], "Flowers": [0.8, 0.7]})
    (None, 'ImageNet, CIFAR-10, CIFAR-100 missing; Flowers twice')
    """
    if not found:
        return None, None
    absent = [task for task in FIVE if task not in found]
    again = [task for task in FIVE if len(found.get(task, ())) > 1]
    if not absent and not again:
        return sum(found[task][0] for task in FIVE) / len(FIVE), None
    said = [f"{', '.join(absent)} missing"] if absent else []
    said += [f"{', '.join(again)} twice"] if again else []
    return None, "; ".join(said)
