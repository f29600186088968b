"""Any record of a shard, by its number: array_record and tfrecord behind one face.

array_record (the package that grain reads with) is found late: a tfrecord needs no
package at all. Records are read by several threads at once.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int64

from bench.data import tfrecord
from bench.data.tfrecord import Damaged
from bench.errors import MissingPackage

_RANDOM_ACCESS = "readahead_buffer_size:0,max_parallelism:0"
"""What the package's own page says for reading records one by one."""
_TOGETHER = 64
"""Records that a walk reads at once."""
Places = Int64[np.ndarray, "records 2"]
"""Offset and length of each record."""
_NOWHERE: Places = np.empty((0, 2), dtype=np.int64)
_OPEN = 256
"""array_record files kept open: a process may often have no more than 1,024."""


class File(Protocol):
    """One shard."""

    path: Path
    places: Places
    """Where its records lie; empty in a format that has an index of its own."""

    def walk(self) -> Iterator[memoryview]:
        """Every record in order; finds `places`, without which no `record` is read.

        Raises:
            Damaged: the file is not whole.
        """

    def record(self, number: int) -> bytes:
        """One record, its checksum verified.

        Raises:
            Damaged: it is not what was written.
        """


def opened(form: str, path: Path) -> File:
    """The shard at `path`, which is of that format."""
    if form == "tfrecord":
        return Tfrecord(path)
    if importlib.util.find_spec("array_record") is None:
        raise MissingPackage("array_record", extra="tfds")
    return ArrayRecord(path)


class Tfrecord:
    """A tfrecord file; where its records lie is known after one whole walk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places = _NOWHERE

    def walk(self) -> Iterator[memoryview]:
        """Lengths are verified here; the data, of which labels alone are needed, is
        verified when it is read."""
        found = []
        for frame in tfrecord.frames(self.path):
            found.append((frame.offset, len(frame.data)))
            yield frame.data
        self.places = np.array(found, dtype=np.int64).reshape(-1, 2)

    def record(self, number: int) -> bytes:
        offset, length = self.places[number].tolist()
        return tfrecord.read(self.path, offset, length)


class ArrayRecord:
    """An array_record file, which brings its index and checks what it reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places = _NOWHERE
        self._written_ns = path.stat().st_mtime_ns

    def walk(self) -> Iterator[memoryview]:
        reader = self._reader()
        count = reader.num_records()
        for first in range(0, count, _TOGETHER):
            last = min(first + _TOGETHER, count)
            for data in _checked(reader, first, last):
                yield memoryview(data)

    def record(self, number: int) -> bytes:
        (data,) = _checked(self._reader(), [number])
        return data

    def _reader(self) -> Any:
        return _reader(self.path, self._written_ns)


def _checked(reader: Any, *which: Any) -> list[bytes]:
    try:
        found: list[bytes] = reader.read(*which)
    except (RuntimeError, IndexError) as error:
        raise Damaged(f"is damaged: {' '.join(str(error).split())}") from error
    if not all(found):  # a file without its end gives empty records, and no error
        raise Damaged("is damaged: has an empty record")
    return found


@functools.lru_cache(maxsize=_OPEN)
def _reader(path: Path, written_ns: int) -> Any:
    """One that is open already, unless the file was written again since."""
    module = importlib.import_module("array_record.python.array_record_module")
    return module.ArrayRecordReader(str(path), _RANDOM_ACCESS)
