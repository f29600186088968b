"""A folder that TensorFlow Datasets prepared, read without it and without TensorFlow.

`data_dir` is the folder of one version, as `cifar10/3.0.2`. Of its formats,
array_record has an index of its own; a tfrecord's is made by walking it once. Each
record is an example with an encoded image and a label. As with other sets on disk,
`test` is reported if it has labels, else `validation`; the labels of every record are
read when the set is first opened, and kept (`shard_index`). With `real.json` in the
folder, ReaL accuracy follows from the file names that TFDS keeps of ImageNet.
"""

from __future__ import annotations

import functools
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
    example,
    prepared,
    real,
    shard_index,
    shards,
    stored,
)
from bench.data.decode import BadImage
from bench.data.prepared import Prepared
from bench.data.tfrecord import Damaged
from bench.errors import DataError

SPLITS = ("train", "validation", "test")
WELL_KNOWN = {
    "imagenet2012": ("imagenet", {"train": 1_281_167, "validation": 50_000}),
    "cifar10": ("cifar10", {"train": 50_000, "test": 10_000}),
    "cifar100": ("cifar100", {"train": 50_000, "test": 10_000}),
}
"""Sets whose rows bear the name that the same images have in their other forms."""
FILE_NAME = "file_name"
"""The feature that ReaL's numbers stand in."""


def build(image_size: int, source: Source) -> Dataset:
    """Three splits; an image is read when it is asked for."""
    about = prepared.read(stored.resolved(source.folder))
    skips = stored.Skips(source.on_bad_image)
    fit, words = stored.fitting(source, "resmall-crop", image_size)
    tables = {
        name: _Table.open(about, name, skips)
        for name in SPLITS
        if about.splits.get(name)
    }
    if "train" not in tables:
        raise DataError(
            f"{about.root / prepared.INFO}: has splits {', '.join(about.splits)}; "
            "train and one of validation, test are needed"
        )
    train = tables["train"]
    selecting, reported, called = _evaluated(about, tables)

    def picked(table: _Table, picks: Picks | None = None) -> Split:
        chosen = np.arange(len(table.labels)) if picks is None else picks
        right = _accepted(about, table) if table is reported else None
        return stored.split(table.labels, chosen, table.read, fit, right)

    kept, held = (None, None) if selecting else stored.held_out(train.labels)
    return Dataset(
        name=_name(about, source),
        image_size=image_size,
        classes=about.classes,
        train=picked(train, kept),
        val=picked(selecting or train, held),
        test=picked(reported),
        test_split=called,
        eval_preprocess=words,
        skipped=skips.found,
    )


def fingerprint(source: Source) -> str:
    """Of the description, of every shard that is read, and of ReaL's labels."""
    about = prepared.read(stored.resolved(source.folder))
    files = [s.path for name in SPLITS for s in about.splits.get(name, ())]
    beside = [about.root / name for name in (prepared.INFO, prepared.FEATURES)]
    if (about.root / real.NAME).is_file():
        beside += [about.root / real.NAME, _class_names(about)]
    return stored.fingerprint(about.root, [*beside, *files])


def _name(about: Prepared, source: Source) -> str:
    """That of a set that everybody knows, if it is whole; else its own and its data."""
    name, sizes = WELL_KNOWN.get(about.name, ("", {}))
    counted = {
        s: sum(shard.examples for shard in about.splits[s]) for s in about.splits
    }
    if name and all(counted.get(split) == size for split, size in sizes.items()):
        return name
    known = source.fingerprint
    return (
        about.name if known is None else f"{about.name}@{known.partition('-')[2][:8]}"
    )


def _evaluated(
    about: Prepared, tables: dict[str, _Table]
) -> tuple[_Table | None, _Table, str]:
    """What selects (None: part of train), what is reported, and its name.

    Competitions hide the labels of their test, as -1 throughout; it is no test then.
    """
    test, validation = tables.get("test"), tables.get("validation")
    if test is not None and test.labelled:
        return validation, test, "test"
    if validation is None or not validation.labelled:
        raise DataError(
            f"data_dir {about.root}: neither test nor validation has labels"
        )
    return None, validation, "validation"


def _names_wanted(about: Prepared, split: str) -> str | None:
    """The feature with the file names, where ReaL's labels may be asked for them."""
    path = about.root / real.NAME
    if split == "train" or not path.is_file():
        return None
    if FILE_NAME not in about.features:
        raise DataError(
            f"{path}: finds its images by the feature {FILE_NAME}, and "
            f"{prepared.FEATURES} has {', '.join(about.features)}; remove {real.NAME}"
        )
    return FILE_NAME


def _accepted(about: Prepared, table: _Table) -> real.Accepted | None:
    """ReaL's labels of the usable records, where the folder brings them."""
    path = about.root / real.NAME
    if not path.is_file():
        return None
    listed = _class_names(about)
    classes = listed.read_text(encoding="utf-8").splitlines()
    if len(classes) != about.classes:
        raise DataError(
            f"{listed}: names {len(classes)} classes, {prepared.FEATURES} says "
            f"{about.classes}; copy or prepare it again"
        )
    return real.accepted(path, table.names, classes)


def _class_names(about: Prepared) -> Path:
    """The file with the classes in the order of their labels."""
    return stored.existing(about.root, f"{about.label}.labels.txt")


@dataclass(frozen=True)
class _Table:
    """The usable records of one split, over all its shards."""

    labels: Classes
    rows: Classes
    """Number of each usable record, counted through the shards."""
    first: Classes
    """Number of the first record of each shard, and one past the last."""
    files: list[shards.File]
    image: str
    names: tuple[str, ...]
    """File name of each usable record, where ReaL's labels need them."""
    skips: stored.Skips
    labelled: bool

    @classmethod
    def open(cls, about: Prepared, split: str, skips: stored.Skips) -> _Table:
        listed = about.splits[split]
        files = [shards.opened(about.format, shard.path) for shard in listed]
        index = shard_index.of(about, split, files, _names_wanted(about, split))
        labels = index.labels
        labelled = bool((labels >= 0).any())
        usable = (labels >= 0) & (labels < about.classes)
        rows = np.flatnonzero(usable)
        first = np.cumsum([0, *(shard.examples for shard in listed)])
        names = tuple(index.names[row] for row in rows) if index.names else ()
        table = cls(
            labels[rows],
            rows,
            first,
            files,
            about.image,
            names,
            skips,
            labelled,
        )
        for row in np.flatnonzero(~usable).tolist():
            problem = f"label {labels[row]} is not one of 0 to {about.classes - 1}"
            if labelled or row in index.problems:
                skips.refuse(table.where(row), index.problems.get(row, problem))
        return table

    def where(self, row: int) -> str:
        """The file of a record and its number in it, in words."""
        file, number = self._place(row)
        return f"{file.path} record {number}"

    def read(self, position: int) -> Decoded | None:
        row = int(self.rows[position])
        return self.skips.decoded(self.where(row), functools.partial(self._bytes, row))

    def _bytes(self, row: int) -> bytes:
        file, number = self._place(row)
        try:
            return example.blob(memoryview(file.record(number)), self.image)
        except Damaged as error:
            raise BadImage(str(error)) from error

    def _place(self, row: int) -> tuple[shards.File, int]:
        shard = int(np.searchsorted(self.first, row, side="right")) - 1
        return self.files[shard], row - int(self.first[shard])
