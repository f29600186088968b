"""What a folder prepared by TensorFlow Datasets says of itself, in its two JSON files.

`dataset_info.json` names the splits, their shards and how many examples each holds;
`features.json` names the features. Both are written by `tensorflow_datasets`, which is
not needed to read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data import stored
from bench.errors import DataError

INFO, FEATURES = "dataset_info.json", "features.json"
FORMATS = ("array_record", "tfrecord")
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
"""Of shards, where the folder names none: older folders do not."""

Fields = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file, and how many examples it must hold."""

    path: Path
    examples: int


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A prepared folder."""

    root: Path
    name: str
    format: str
    splits: Mapping[str, tuple[Shard, ...]]
    image: str
    """Name of the feature that is the image ..."""
    label: str
    """... and of the one that is its class."""
    classes: int
    features: tuple[str, ...]
    """Names of all features."""


def read(root: Path) -> Prepared:
    """The folder's own description, checked against the files that are there.

    Raises:
        DataError: a file is missing or says something else than is needed.
    """
    if not (root / INFO).is_file():
        raise DataError(_without_info(root))
    info, features = _json(root / INFO), _features(root)
    form = str(info.get("fileFormat", "tfrecord"))
    if form not in FORMATS:
        raise DataError(
            f"{root / INFO}: fileFormat {form} is not read; prepare the set again with "
            f"file_format={' or '.join(FORMATS)}"
        )
    image, label = _keys(root, info, features)
    return Prepared(
        root=root,
        name=str(info.get("name", root.name)),
        format=form,
        splits=_splits(root, info, form),
        image=image,
        label=label,
        classes=_classes(root / FEATURES, label, features[label]),
        features=tuple(features),
    )


def _without_info(root: Path) -> str:
    """Which folder was meant, where one further down is a prepared one."""
    below = sorted(path.parent for path in root.glob(f"*/{INFO}"))
    below += sorted(path.parent for path in root.glob(f"*/*/{INFO}"))
    found = f"; did you mean {below[-1]}" if below else ""
    return (
        f"data_dir {root}: holds no {INFO}; give the folder of one version, as "
        f"cifar10/3.0.2{found}"
    )


def _json(path: Path) -> Fields:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: is not JSON; copy or prepare it again") from error
    if not isinstance(held, dict):
        raise DataError(f"{path}: is no mapping; copy or prepare it again")
    return held


def _features(root: Path) -> Fields:
    path = stored.existing(root, FEATURES)
    held: Any = _json(path)
    for key in ("featuresDict", "features"):
        held = held.get(key) if isinstance(held, dict) else None
    if not isinstance(held, dict):
        raise DataError(f"{path}: names no features; a set of images has several")
    return held


def _keys(root: Path, info: Fields, features: Fields) -> tuple[str, str]:
    """The features that are image and label: the supervised pair, or the only ones."""
    kinds = {"image": "image", "label": "classLabel"}
    named = _supervised(info)
    found = {}
    for position, (what, kind) in enumerate(kinds.items()):
        fitting = [
            name
            for name, feature in features.items()
            if isinstance(feature, dict) and kind in feature
        ]
        first = [*named[position : position + 1], what]
        chosen = [name for name in first if name in fitting]
        if not chosen and len(fitting) != 1:
            raise DataError(
                f"{root / FEATURES}: {len(fitting)} features could be the {what} "
                f"({', '.join(fitting) or 'none'} of {', '.join(features)}); one "
                f"{'Image' if what == 'image' else 'ClassLabel'} is needed"
            )
        found[what] = (chosen or fitting)[0]
    return found["image"], found["label"]


def _supervised(info: Fields) -> list[str]:
    """Names of input and target, where the set has a supervised pair."""
    held: Any = info
    for key in ("supervisedKeys", "tuple", "items"):
        held = held.get(key) if isinstance(held, dict) else None
    items = held if isinstance(held, list) else []
    return [str(one.get("featureKey")) for one in items if isinstance(one, dict)]


def _classes(path: Path, label: str, feature: Fields) -> int:
    classes = _count(path, f"{label}: numClasses", feature["classLabel"], "numClasses")
    if classes < 2:
        raise DataError(f"{path}: {label}: has {classes} classes; two are needed")
    return classes


def _count(path: Path, where: str, held: Any, key: str) -> int:
    """A 64-bit number, which protocol buffers write as text in JSON."""
    value = held.get(key) if isinstance(held, dict) else None
    return _number(path, where, value)


def _number(path: Path, where: str, value: Any) -> int:
    if not str(value).isdecimal():
        raise DataError(f"{path}: {where}: {value!r} is not a count")
    return int(str(value))


def _splits(root: Path, info: Fields, form: str) -> dict[str, tuple[Shard, ...]]:
    """Every split and its shards, all of which are there."""
    held = info.get("splits")
    listed = [one for one in held if isinstance(one, dict)] if held else []
    found = {}
    for split in listed:
        name = str(split.get("name"))
        lengths = split.get("shardLengths") or []
        counts = [_number(root / INFO, f"{name}: shardLengths", n) for n in lengths]
        names = _shard_names(root, info, split, form, len(counts))
        found[name] = tuple(
            Shard(path=_shard(root, one), examples=count)
            for one, count in zip(names, counts, strict=True)
        )
    return found


def _shard_names(
    root: Path, info: Fields, split: Fields, form: str, count: int
) -> list[str]:
    template = str(split.get("filepathTemplate") or _TEMPLATE)
    words = {
        "DATASET": str(info.get("name")),
        "SPLIT": str(split.get("name")),
        "FILEFORMAT": form,
        "NUM_SHARDS": f"{count:05d}",
    }
    names = []
    for index in range(count):
        made = template
        number = f"{index:05d}"
        own = {"SHARD_INDEX": number, "SHARD_X_OF_Y": f"{number}-of-{count:05d}"}
        for key, value in {**words, **own}.items():
            made = made.replace(f"{{{key}}}", value)
        names.append(made)
    if len(set(names)) < count or any("{" in name for name in names):
        raise DataError(
            f"{root / INFO}: filepathTemplate {template!r} is not understood; known: "
            "DATASET, SPLIT, FILEFORMAT, SHARD_INDEX, NUM_SHARDS, SHARD_X_OF_Y"
        )
    return names


def _shard(root: Path, name: str) -> Path:
    path = root / name
    if not stored.bounded(path, root):
        raise DataError(f"{path}: lies outside of data_dir; copy it there")
    if not path.is_file():
        raise DataError(
            f"{path}: is missing, and {INFO} lists it; copy or prepare the set again"
        )
    return path
