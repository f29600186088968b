"""What opening a prepared set needs of every record, kept between processes.

Labels (and file names, where they are asked for) stand inside the records, and a
tfrecord has no index of its own: the first opening of a split walks all of its shards.
What it found lies in the user's cache folder from then on, and is taken from there
while every shard has the size and the time of writing that it had.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from bench import compile_cache
from bench.data import Classes, example, prepared, shards
from bench.data.prepared import Prepared, Shard
from bench.data.tfrecord import Damaged
from bench.errors import DataError
from bench.identity import short_hash

UNREADABLE = -2
"""Label of a record whose label, or name, could not be read."""
FORMAT = 1
"""Raised when what is kept changes its meaning."""
SETTLED_S = 2.0
"""A shard written less than this ago may be written again within one clock tick."""

Places = Int64[np.ndarray, "records 2"]
Stamp = list[list[Any]]


@dataclass(frozen=True, eq=False)
class Index:
    """The records of one split, in order through its shards."""

    labels: Classes
    names: tuple[str, ...]
    """File name of each record; none where none were asked for."""
    problems: dict[int, str]
    """Record -> why its label or its name cannot be read."""
    places: Places
    """Offset and length of each record in its shard; none where the shard knows."""


def of(
    about: Prepared, split: str, files: Sequence[shards.File], name: str | None = None
) -> Index:
    """The index of a split; with `name`, that feature as the file name of each record.

    Each of `files` can give single records afterwards.

    Raises:
        DataError: a shard is not whole, or holds another number of records.
    """
    listed = about.splits[split]
    path, stamp = _kept_at(listed, about.label, name), _stamp(listed)
    found = _kept(path, stamp)
    if found is None:
        found = _walked(about, split, files, name)
        if all(time.time_ns() - written > SETTLED_S * 1e9 for *_, written in stamp):
            _keep(path, stamp, found)
    if len(found.places):
        ends = np.cumsum([shard.examples for shard in listed])[:-1]
        for file, places in zip(files, np.split(found.places, ends), strict=True):
            file.places = places
    return found


# Walking the shards ----------------------------------------------------------


@dataclass
class _Seen:
    """What a walk has found so far."""

    labels: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)

    def add(self, record: memoryview, label: str, name: str | None) -> None:
        """One more record."""
        value, called = UNREADABLE, ""
        try:
            called = "" if name is None else _text(record, name)
            value = example.integer(record, label)
        except Damaged as error:
            self.problems[len(self.labels)] = str(error)
        self.labels.append(value)
        if name is not None:
            self.names.append(called)


def _text(record: memoryview, name: str) -> str:
    return example.blob(record, name).decode("utf-8", "replace")


def _walked(
    about: Prepared, split: str, files: Sequence[shards.File], name: str | None
) -> Index:
    seen = _Seen()
    for shard, file in zip(about.splits[split], files, strict=True):
        before = len(seen.labels)
        try:
            for record in file.walk():
                seen.add(record, about.label, name)
        except Damaged as error:
            raise DataError(f"{shard.path}: {error}; {_AGAIN}") from error
        held = len(seen.labels) - before
        if held != shard.examples:
            raise DataError(
                f"{shard.path}: holds {held:,} records, {prepared.INFO} says "
                f"{shard.examples:,}; {_AGAIN}"
            )
    places = [file.places for file in files if len(file.places)]
    return Index(
        np.array(seen.labels, dtype=np.int64),
        tuple(seen.names),
        seen.problems,
        np.concatenate(places) if places else np.empty((0, 2), dtype=np.int64),
    )


_AGAIN = "copy or prepare it again"


# Keeping ---------------------------------------------------------------------


def _stamp(listed: Sequence[Shard]) -> Stamp:
    """What would differ had a shard been written again."""
    return [[shard.examples, *_written(shard.path)] for shard in listed]


def _written(path: Path) -> Iterator[int]:
    held = path.stat()
    yield from (held.st_size, held.st_mtime_ns)


def _kept_at(listed: Sequence[Shard], label: str, name: str | None) -> Path:
    """One file for a split, so that a set prepared anew replaces its old index."""
    what = [[str(shard.path) for shard in listed], label, name]
    return compile_cache.home() / "shards" / f"{short_hash(what)}.npz"


def _kept(path: Path, stamp: Stamp) -> Index | None:
    """The index at `path`, if it is of these shards as they are now."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            facts = json.loads(str(held["facts"]))
            labels, places = held["labels"], held["places"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        _log.warning("%s: cannot be read (%s); the shards are walked", path, error)
        return None
    if facts["format"] != FORMAT or facts["stamp"] != stamp:
        return None
    problems = {int(row): problem for row, problem in facts["problems"].items()}
    return Index(labels, tuple(facts["names"]), problems, places)


def _keep(path: Path, stamp: Stamp, found: Index) -> None:
    """Write the index, whole or not at all. Where that cannot be, the next opening
    walks the shards again."""
    facts = {
        "format": FORMAT,
        "stamp": stamp,
        "names": found.names,
        "problems": found.problems,
    }
    part = path.with_name(f"{path.stem}-{uuid.uuid4().hex}.tmp.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            part, facts=json.dumps(facts), labels=found.labels, places=found.places
        )
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        _log.warning(
            "%s: cannot keep the labels of a data set: %s; set XDG_CACHE_HOME",
            path,
            error.strerror,
        )


_log = logging.getLogger(__name__)
