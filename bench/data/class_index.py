"""Which label a class folder has: a class index file, or the sorted folder names.

The index comes in the forms people have: Keras's `imagenet_class_index.json`, a plain
list in `class_index.json`, Kaggle's `LOC_synset_mapping.txt`, `synset_words.txt`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import DataError

NAMES = (
    "class_index.json",
    "imagenet_class_index.json",
    "LOC_synset_mapping.txt",
    "synset_words.txt",
)


def of(root: Path, folders: Sequence[str]) -> tuple[str, ...]:
    """The class folders in the order of their labels.

    Raises:
        DataError: an index file is damaged, or it and the folders disagree.
    """
    found = [root / name for name in NAMES if (root / name).is_file()]
    if not found:
        return tuple(sorted(folders))
    first, *others = [_read(path) for path in found]
    for path, other in zip(found[1:], others, strict=True):
        if other != first:
            raise DataError(f"{found[0]} and {path.name} disagree; keep the right one")
    _check(found[0], first, folders)
    return first


def _check(path: Path, classes: tuple[str, ...], folders: Sequence[str]) -> None:
    absent = sorted(set(classes) - set(folders))
    if absent:
        raise DataError(
            f"{path}: lists class {absent[0]} (label {classes.index(absent[0])}), "
            f"which has no folder in train ({len(absent)} missing); add it or mend "
            "the index"
        )
    strange = sorted(set(folders) - set(classes))
    if strange:
        raise DataError(
            f"{path}: does not list train/{strange[0]} ({len(strange)} not listed); "
            "add it or remove the folder"
        )


def _read(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8")
        names = _of_json(path, text) if path.suffix == ".json" else _of_lines(text)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is not a class index; see the forms known") from error
    for name in names:
        if not name or name in (".", "..") or "/" in name or "\\" in name:
            raise DataError(f"{path}: {name!r} is not the name of a class folder")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: lists {twice} twice; keep one")
    return names


def _of_lines(text: str) -> tuple[str, ...]:
    """`n01440764 tench, Tinca tinca`, a line per class."""
    return tuple(line.split()[0] for line in text.splitlines() if line.strip())


def _of_json(path: Path, text: str) -> tuple[str, ...]:
    """A list of folders, or label -> folder or [folder, word]."""
    value = json.loads(text)
    if isinstance(value, list):
        return tuple(_folder(path, one) for one in value)
    if not isinstance(value, dict):
        raise DataError(f"{path}: must be a list of folders or label -> folder")
    wanted = [str(label) for label in range(len(value))]
    if set(value) != set(wanted):
        absent = next(label for label in wanted if label not in value)
        raise DataError(f"{path}: label {absent} is missing; labels count from 0 up")
    return tuple(_folder(path, value[label]) for label in wanted)


def _folder(path: Path, entry: Any) -> str:
    name = entry[0] if isinstance(entry, list) and entry else entry
    if not isinstance(name, str):
        raise DataError(f"{path}: {entry!r} is not the name of a class folder")
    return name
