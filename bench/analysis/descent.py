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

from bench.analysis.key import equal, numbered, plain, values
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
_WHERE = ("machine_id", "environment_id", "protocol")
_LEFT = ("cell_id", *_WHERE, "weights_sha256")
_STARTED_FROM = ("parent_cell_id", *_WHERE, "init_weights_sha256")


def roots(pretrained: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """Pretrain rows with `lineage`: the same for every seed of one setting."""
    names = [*settings, *_WHERE]
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
    found = _roots_of(tuned, parents)
    made = tuned.assign(lineage=_lineages(tuned, parents, found))
    for name in FROM_ROOT:
        made[name] = _inherited(tuned, parents, found, name)
    if "fewshot" in tuned.columns:
        own = tuned["fewshot"]
        made["fewshot"] = own.where(
            own.notna(), _inherited(tuned, parents, found, "fewshot")
        )
    one_rate = made["learning_rates"].isna()
    return made.assign(learning_rate=made["learning_rate"].where(one_rate))


Places = list[int | None]
"""For each finetune row the place of its parent among the pretrain rows."""


def _roots_of(tuned: pd.DataFrame, parents: pd.DataFrame) -> Places:
    """The newest attempt that left the weights which each row started from."""
    finished = parents["finished_at"].reset_index(drop=True)
    by_age = finished.sort_values(na_position="first", kind="stable").index
    left = _rows(parents, _LEFT)
    newest = {left[at]: at for at in by_age if None not in left[at]}
    return [newest.get(key) for key in _rows(tuned, _STARTED_FROM)]


def _rows(rows: pd.DataFrame, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(values(rows[name]) for name in names), strict=True))


def _lineages(tuned: pd.DataFrame, parents: pd.DataFrame, found: Places) -> list[str]:
    known = list(parents["lineage"])
    starts = _rows(tuned, ("parent_cell_id", "init_sha256", *_WHERE))
    return [
        short_hash([cell or file, *map(str, where)]) if at is None else known[at]
        for at, (cell, file, *where) in zip(found, starts, strict=True)
    ]


def _inherited(
    tuned: pd.DataFrame, parents: pd.DataFrame, found: Places, name: str
) -> pd.Series[Any]:
    column = values(parents[name])
    from_root = [None if at is None else column[at] for at in found]
    return pd.Series(from_root, tuned.index, dtype=object)


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
