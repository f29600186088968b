"""The binary form of CIFAR: records of label bytes, then 3 planes of 32 x 32 pixels.

The files are mapped, not loaded. Their lengths are known, so a cut file is told from a
whole one even where the cut falls between two records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from bench.data import Classes, Dataset, Decoded, Picks, Source, Split, stored
from bench.errors import DataError

SIDE = 32
_PIXELS = 3 * SIDE * SIDE

Records = UInt8[np.ndarray, "images bytes"]


@dataclass(frozen=True, kw_only=True)
class Form:
    """One of the two data sets, as its page describes the files."""

    name: str
    folder: str
    train: tuple[str, ...]
    test: str
    classes: int
    label_bytes: int
    """Label bytes before the pixels; the last is the label used."""
    images_per_file: int
    test_images: int


def build(form: Form, image_size: int, source: Source) -> Dataset:
    """The three splits; images stay on disk until they are asked for."""
    folder = _folder(form, source)
    skips = stored.Skips(source.on_bad_image)
    fit, words = stored.fitting(source, "resize", image_size)
    parts = [_records(form, folder / n, form.images_per_file) for n in form.train]
    train = _usable(form, form.train, parts, skips)
    tests = _records(form, folder / form.test, form.test_images)
    test = _usable(form, (form.test,), [tests], skips)
    kept, val = stored.held_out(train.labels)

    def picked(whole: _Images, picks: Picks) -> Split:
        return stored.split(whole.labels, picks, whole.read, fit)

    return Dataset(
        name=form.name,
        image_size=image_size,
        classes=form.classes,
        train=picked(train, kept),
        val=picked(train, val),
        test=picked(test, np.arange(len(test.labels))),
        eval_preprocess=f"32 px, {words}",
        skipped=skips.found,
    )


def fingerprint(form: Form, source: Source) -> str:
    """Of the files that the data set consists of."""
    folder = _folder(form, source)
    names = (*form.train, form.test)
    return stored.fingerprint(folder, [stored.existing(folder, n) for n in names])


@dataclass(frozen=True)
class _Images:
    labels: Classes
    read: Callable[[int], Decoded]


def _folder(form: Form, source: Source) -> Path:
    root = stored.resolved(source.folder)
    return root / form.folder if (root / form.folder).is_dir() else root


def _records(form: Form, path: Path, images: int) -> Records:
    """The file as one row per image, mapped into memory."""
    stored.existing(path.parent, path.name)
    length, size = form.label_bytes + _PIXELS, path.stat().st_size
    if size != images * length:
        raise DataError(
            f"{path}: has {size:,} bytes, {form.name} has {images * length:,} here "
            f"({images:,} records of {length:,}): cut short, or another file; "
            "download it again"
        )
    mapped = np.memmap(path, dtype=np.uint8, mode="r")
    return mapped.reshape(images, length)


def _usable(
    form: Form, names: tuple[str, ...], parts: list[Records], skips: stored.Skips
) -> _Images:
    """The records whose label is one of the classes."""
    known: list[Classes] = []
    for name, part in zip(names, parts, strict=True):
        labels = part[:, form.label_bytes - 1].astype(np.int64)
        for position in np.flatnonzero(labels >= form.classes):
            skips.refuse(
                f"{name} record {position}",
                f"label {labels[position]} is not one of 0 to {form.classes - 1}",
            )
        known.append(labels)
    labels = np.concatenate(known)
    usable = np.flatnonzero(labels < form.classes)
    sizes = np.cumsum([len(part) for part in parts])

    def read(position: int) -> Decoded:
        place = int(usable[position])
        part = int(np.searchsorted(sizes, place, side="right"))
        record = parts[part][place - int(sizes[part])]  # counted from the file's end
        planes = record[form.label_bytes :].reshape(3, SIDE, SIDE)
        return np.ascontiguousarray(planes.transpose(1, 2, 0))

    return _Images(labels[usable], read)
