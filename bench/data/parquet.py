"""Parquet with encoded images, sharded as model hubs export it.

`train-00000-of-00004.parquet` and its like lie in `data_dir` or in `data/` below it.
One column holds the images: binary, or a struct of `bytes` and `path`; one holds an
integer label. Class names come from the hub's metadata, or else the labels count up
to their largest. Without a labelled `test`, the validation split is reported.

Row groups are read as they are needed and the last few are kept, so shards with small
row groups (hubs write 100 images or so) serve random order best.
"""

from __future__ import annotations

import functools
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.data import Classes, Dataset, Decoded, Picks, Source, Split, stored
from bench.errors import DataError

LABELS = ("label", "labels", "fine_label", "class")
IMAGES = ("image", "img", "jpg", "png")
KEPT_BYTES = 512 * 2**20
"""Row groups kept in memory, encoded."""
_SHARD = re.compile(r"(train|validation|valid|val|test)(-\d+-of-\d+)?(-\w+)?\.parquet")
_SPLIT_OF = {"valid": "validation", "val": "validation"}


def build(image_size: int, source: Source) -> Dataset:
    """Three splits; encoded images stay on disk until they are asked for."""
    root = stored.resolved(source.folder)
    skips = stored.Skips(source.on_bad_image)
    fit, words = stored.fitting(source, "resmall-crop", image_size)
    shards = _shards(root)
    classes = _class_count(root, shards)
    tables = {n: _Table.open(root, part, classes, skips) for n, part in shards.items()}
    train = tables["train"]
    selecting, reported, called = _evaluated(root, tables)

    def picked(table: _Table, picks: Picks | None = None) -> Split:
        chosen = np.arange(len(table.labels)) if picks is None else picks
        return stored.split(table.labels, chosen, table.read, fit)

    kept, held = (None, None) if selecting else stored.held_out(train.labels)
    return Dataset(
        name=stored.named(source),
        image_size=image_size,
        classes=classes,
        train=picked(train, kept),
        val=picked(selecting or train, held),
        test=picked(reported),
        test_split=called,
        eval_preprocess=words,
        skipped=skips.found,
    )


def fingerprint(source: Source) -> str:
    """Of every shard."""
    root = stored.resolved(source.folder)
    return stored.fingerprint(
        root, [p for part in _shards(root).values() for p in part]
    )


def _shards(root: Path) -> dict[str, list[Path]]:
    """Split -> its files, in the order of their numbers."""
    found: dict[str, list[Path]] = {}
    for path in sorted([*root.glob("*.parquet"), *root.glob("data/*.parquet")]):
        match = _SHARD.fullmatch(path.name)
        if match is None:
            raise DataError(
                f"{path}: its name tells no split; use train-00000-of-00001.parquet, "
                "validation-... or test-..."
            )
        found.setdefault(_SPLIT_OF.get(match[1], match[1]), []).append(path)
    for part, paths in found.items():
        _check_complete(part, paths)
    if "train" not in found or len(found) == 1:
        raise DataError(
            f"data_dir {root}: holds parquet of {', '.join(found) or 'no split'}; "
            "train and one of validation, test are needed"
        )
    return found


def _check_complete(part: str, paths: list[Path]) -> None:
    """All of `-00000-of-00004` to `-00003-of-00004` are there, once."""
    numbers = [re.search(r"-(\d+)-of-(\d+)", path.name) for path in paths]
    counted = [(int(m[1]), int(m[2])) for m in numbers if m]
    wanted = [(i, len(paths)) for i in range(len(paths))]
    if counted != wanted and (counted or len(paths) > 1):
        raise DataError(
            f"{paths[0].parent}: the {part} files {', '.join(p.name for p in paths)} "
            "are not all that their names announce; download the missing ones"
        )


def _evaluated(
    root: Path, tables: dict[str, _Table]
) -> tuple[_Table | None, _Table, str]:
    """What selects (None: part of train), what is reported, and its name.

    Hubs export tests without labels as -1 throughout; such a split is no test.
    """
    test, validation = tables.get("test"), tables.get("validation")
    if test is not None and test.labelled:
        return validation, test, "test"
    if validation is None or not validation.labelled:
        raise DataError(f"data_dir {root}: neither test nor validation has labels")
    return None, validation, "validation"


def _class_count(root: Path, shards: dict[str, list[Path]]) -> int:
    """From the hub's metadata, or one more than the largest training label."""
    path = shards["train"][0]
    schema = _opened(path).schema_arrow
    _, label = _columns(path, schema)
    names = _names(path, schema, label)
    if names:
        return len(names)
    largest = max(int(np.max(_labels(path), initial=-1)) for path in shards["train"])
    if largest < 1:
        raise DataError(f"{root}: the training labels name fewer than two classes")
    return largest + 1


def _names(path: Path, schema: pa.Schema, label: str) -> list[str] | None:
    """Class names as hubs note them in the file; None where there are none."""
    try:
        held: Any = json.loads((schema.metadata or {}).get(b"huggingface", b"null"))
    except ValueError as error:
        raise DataError(
            f"{path}: its hub metadata is not JSON; get it again"
        ) from error
    for key in ("info", "features", label, "names"):
        held = held.get(key) if isinstance(held, dict) else None
    return held if isinstance(held, list) else None


@dataclass(frozen=True)
class _Table:
    """The usable rows of one split, over all its shards."""

    root: Path
    paths: list[Path]
    labels: Classes
    rows: Classes
    """Number of each usable row, counted through the shards."""
    groups: Classes
    """First row of each row group, and one past the last."""
    places: list[tuple[int, int]]
    """Shard and number in it of each row group."""
    kept: _Kept
    skips: stored.Skips
    labelled: bool

    @classmethod
    def open(
        cls, root: Path, paths: list[Path], classes: int, skips: stored.Skips
    ) -> _Table:
        labels = np.concatenate([_labels(path) for path in paths])
        labelled = bool((labels >= 0).any())
        sizes, places = [0], []
        for shard, path in enumerate(paths):
            about = _opened(path).metadata
            for group in range(about.num_row_groups):
                sizes.append(about.row_group(group).num_rows)
                places.append((shard, group))
        usable = (labels >= 0) & (labels < classes)
        for row in np.flatnonzero(~usable) if labelled else ():
            problem = f"label {labels[row]} is not one of 0 to {classes - 1}"
            skips.refuse(f"{paths[0].name.split('-')[0]} row {row}", problem)
        rows = np.flatnonzero(usable)
        return cls(
            root,
            paths,
            labels[rows],
            rows,
            np.cumsum(sizes),
            places,
            _Kept(KEPT_BYTES),
            skips,
            labelled,
        )

    def read(self, position: int) -> Decoded | None:
        row = int(self.rows[position])
        group = int(np.searchsorted(self.groups, row, side="right")) - 1
        shard, number = self.places[group]
        path = self.paths[shard]
        column = self.kept.column(path, number)
        entry = column[row - int(self.groups[group])].as_py()
        where = f"{path} row group {number} row {row - int(self.groups[group])}"
        return self.skips.decoded(where, functools.partial(_bytes, entry, self.root))


class _Kept:
    """The row groups read last, within a budget. Threads may share it."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._columns: OrderedDict[tuple[Path, int], pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()

    def column(self, path: Path, group: int) -> pa.ChunkedArray:
        key = (path, group)
        with self._lock:
            if key in self._columns:
                self._columns.move_to_end(key)
                return self._columns[key]
        file = _opened(path)
        image, _ = _columns(path, file.schema_arrow)
        try:
            made = file.read_row_group(group, columns=[image]).column(0)
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{path}: row group {group} is damaged; get the file again"
            ) from error
        with self._lock:
            self._columns[key] = made
            while len(self._columns) > 1 and self._bytes() > self._budget:
                self._columns.popitem(last=False)
        return made

    def _bytes(self) -> int:
        return sum(column.nbytes for column in self._columns.values())


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: is not a whole parquet file; get it again") from error


def _columns(path: Path, schema: pa.Schema) -> tuple[str, str]:
    """Names of the image and of the label column."""

    def only(what: str, usual: Sequence[str], fitting: list[str]) -> str:
        named = [name for name in usual if name in fitting]
        if named or len(fitting) == 1:
            return (named or fitting)[0]
        raise DataError(
            f"{path}: {len(fitting)} columns could be the {what} "
            f"({', '.join(fitting) or 'none'}); name it {usual[0]}"
        )

    images = [field.name for field in schema if _holds_images(field.type)]
    labels = [field.name for field in schema if pa.types.is_integer(field.type)]
    return only("image", IMAGES, images), only("label", LABELS, labels)


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        return "bytes" in names and _holds_images(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _labels(path: Path) -> Classes:
    file = _opened(path)
    _, label = _columns(path, file.schema_arrow)
    column = file.read(columns=[label]).column(0)
    filled: np.ndarray = column.fill_null(-1).to_numpy().astype(np.int64)
    return filled


def _bytes(entry: Any, root: Path) -> bytes:
    """The encoded image: in the row, or in a file below the root that it names."""
    held = entry if isinstance(entry, dict) else {"bytes": entry}
    if held["bytes"] is None and held.get("path"):
        path = root / str(held["path"])
        if not stored.bounded(path, root):
            raise OSError(f"{held['path']!r} lies outside of data_dir")
        return path.read_bytes()
    encoded: bytes | None = held["bytes"]
    return encoded or b""
