"""A folder of images: `train/<class>/...` and `val/<class>/...`, as ImageNet is kept.

The reported split is `val`, and part of `train` is held out for selection; with a
labelled `test` beside them, `val` selects and `test` is reported. ImageNet's flat
`val` is read with Kaggle's `LOC_val_solution.csv`. Labels: see `class_index`.
"""

from __future__ import annotations

import csv
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data import (
    Classes,
    Dataset,
    Decoded,
    Picks,
    Source,
    Split,
    class_index,
    real,
    stored,
)
from bench.errors import DataError

SUFFIXES = tuple(
    ".jpg .jpeg .jpe .png .webp .bmp .gif .tif .tiff .ppm .pgm .pbm".split()
)
SOLUTION = "LOC_val_solution.csv"
_LITTER = ("Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class _Files:
    """The images of one folder: paths below the root, and their labels."""

    root: Path
    names: tuple[str, ...]
    labels: Classes


def build(image_size: int, source: Source) -> Dataset:
    """Three splits of the folder; an image is read when it is asked for."""
    root = stored.resolved(source.folder)
    skips = stored.Skips(source.on_bad_image)
    fit, words = stored.fitting(source, "resmall-crop", image_size)
    classes = _classes(root)
    train = _files(root, "train", classes, skips)
    selecting, reported, called = _evaluated(root, classes, skips)

    def picked(files: _Files, picks: Picks | None = None) -> Split:
        chosen = np.arange(len(files.labels)) if picks is None else picks
        read = functools.partial(_read, files, skips)
        table = _accepted(files, classes, chosen) if files is reported else None
        return stored.split(files.labels, chosen, read, fit, table)

    kept, held = (None, None) if selecting else stored.held_out(train.labels)
    return Dataset(
        name=_name(source, classes, reported),
        image_size=image_size,
        classes=len(classes),
        train=picked(train, kept),
        val=picked(selecting or train, held),
        test=picked(reported),
        test_split=called,
        eval_preprocess=words,
        skipped=skips.found,
    )


def fingerprint(source: Source) -> str:
    """Of every image and of the files that say what its label is."""
    root = stored.resolved(source.folder)
    parts = [root / name for name in ("train", "val", "test")]
    beside = (*class_index.NAMES, SOLUTION, real.NAME)
    listed = [root / name for name in beside if (root / name).is_file()]
    return stored.fingerprint(root, [*listed, *_every_file(parts)])


def _every_file(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        for where, below, names in os.walk(folder):
            below[:] = [name for name in below if not name.startswith(".")]
            yield from (Path(where, n) for n in names if not _is_litter(n))


def _name(source: Source, classes: tuple[str, ...], reported: _Files) -> str:
    """`imagenet` for its validation set as a whole, else the folder's name."""
    ids = all(re.fullmatch(r"n\d{8}", one) for one in classes)
    whole = len(classes) == 1_000 and len(reported.labels) == 50_000
    return "imagenet" if ids and whole else stored.named(source)


def _classes(root: Path) -> tuple[str, ...]:
    folders = _folders(stored.existing(root, "train"))
    classes = class_index.of(root, folders)
    if len(classes) < 2:
        raise DataError(
            f"{root / 'train'}: has {len(classes)} class folders; images lie in "
            "train/<class>/, for two classes or more"
        )
    return classes


def _evaluated(
    root: Path, classes: tuple[str, ...], skips: stored.Skips
) -> tuple[_Files | None, _Files, str]:
    """What selects (None: part of train), what is reported, and its name."""
    has_test = (root / "test").is_dir() and bool(_folders(root / "test"))
    if not has_test:
        stored.existing(root, "val")
        return None, _files(root, "val", classes, skips), "validation"
    selecting = None
    if (root / "val").is_dir():
        selecting = _files(root, "val", classes, skips)
    return selecting, _files(root, "test", classes, skips), "test"


def _files(
    root: Path, part: str, classes: tuple[str, ...], skips: stored.Skips
) -> _Files:
    """Every image of a split, sorted by class and name."""
    folders = _folders(root / part)
    if part == "val" and not folders:
        return _solved(root, classes, skips)
    for strange in sorted(set(folders) - set(classes)):
        raise DataError(
            f"{root / part / strange}: is not a class of train; remove it or add it "
            "there"
        )
    names: list[str] = []
    labels: list[int] = []
    for label, one in enumerate(classes):
        found = _images(root, f"{part}/{one}", skips) if one in folders else []
        if not found and part == "train":
            raise DataError(f"{root / part / one}: has no image; every class needs one")
        names += found
        labels += [label] * len(found)
    if not names:
        raise DataError(f"{root / part}: has no image in any class folder")
    return _Files(root, tuple(names), np.array(labels, dtype=np.int64))


def _solved(root: Path, classes: tuple[str, ...], skips: stored.Skips) -> _Files:
    """A flat `val`, each image's class from Kaggle's table."""
    path = root / SOLUTION
    if not path.is_file():
        raise DataError(
            f"{root / 'val'}: has no class folders; sort its images into val/<class>/ "
            f"or put {SOLUTION} into {root}"
        )
    found, table = _images(root, "val", skips), _solutions(path)
    numbers = {one: label for label, one in enumerate(classes)}
    labels = []
    for name in found:
        solution = table.get(Path(name).stem)
        one = solution.split()[0] if solution and solution.split() else None
        if one not in numbers:
            raise DataError(
                f"{path}: {Path(name).stem}: class {one} is not a class of train"
                if one
                else f"{path}: has no class for {name}; download it again"
            )
        labels.append(numbers[one])
    if not found:
        raise DataError(f"{root / 'val'}: has no image")
    return _Files(root, tuple(found), np.array(labels, dtype=np.int64))


def _solutions(path: Path) -> dict[str, str | None]:
    """Name of an image, without its ending -> its class and boxes."""
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            table = csv.DictReader(lines)
            if table.fieldnames != ["ImageId", "PredictionString"]:
                raise DataError(
                    f"{path}: the first line must be ImageId,PredictionString"
                )
            return {row["ImageId"]: row["PredictionString"] for row in table}
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: is not a table; download it again") from error


def _folders(folder: Path) -> list[str]:
    """Names of the class folders. A linked one could hold anything, unseen."""
    with os.scandir(folder) as entries:
        found = [e for e in entries if e.is_dir() and not e.name.startswith(".")]
    for entry in found:
        if entry.is_symlink():
            raise DataError(
                f"{entry.path}: is a link; a class needs a real folder of its own"
            )
    return sorted(entry.name for entry in found)


def _images(root: Path, below: str, skips: stored.Skips) -> list[str]:
    """Names of the images in one folder, below the root."""
    found = []
    with os.scandir(root / below) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if _is_litter(entry.name):
                continue
            name = f"{below}/{entry.name}"
            problem = _problem(entry, root)
            if problem:
                skips.refuse(str(root / name), problem)
            else:
                found.append(name)
    return found


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name in _LITTER


def _problem(entry: os.DirEntry[str], root: Path) -> str | None:
    """Why a file cannot be an image of this set, without opening it."""
    if entry.is_symlink() and not stored.bounded(Path(entry.path), root):
        return "is a link out of data_dir"
    if not entry.is_file():
        return "is no file, and images lie directly in their class folder"
    if not entry.name.lower().endswith(SUFFIXES):
        return f"is no image by its name ({', '.join(SUFFIXES)})"
    return None


def _read(files: _Files, skips: stored.Skips, position: int) -> Decoded | None:
    path = files.root / files.names[position]
    return skips.decoded(str(path), path.read_bytes)


def _accepted(
    files: _Files, classes: tuple[str, ...], picks: Picks
) -> real.Accepted | None:
    """ReaL's labels, where the folder brings them for the reported split."""
    path = files.root / real.NAME
    if not path.is_file():
        return None
    return real.accepted(path, [Path(files.names[i]).name for i in picks], classes)
