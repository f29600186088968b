"""Items made ahead of their use by threads, in order: grain does the work.

Decoding and resizing release Python's lock, so threads suffice. What an item is
depends on its number alone; the threads change when it is made, never its bytes.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from bench import cores
from bench.errors import MissingPackage

AHEAD_BYTES = 256 * 2**20
"""Finished items that may wait for their use, all together ..."""
AHEAD_BATCHES = 4
"""... but no more than so many batches."""
_FOREVER = 2**40

T = TypeVar("T")


def check_installed() -> None:
    """Refuse to stream without grain, in one line."""
    if importlib.util.find_spec("grain") is None:
        raise MissingPackage("grain", extra="data")


def ordered(
    make: Callable[[int], T], first: int, count: int, ahead: int
) -> Iterator[T]:
    """Items number `first` and up, each made while up to `ahead` wait for their use."""
    grain = _grain()
    numbers = grain.MapDataset.range(first, first + count)
    threads = min(_threads(), ahead)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
    made: Iterator[T] = iter(numbers.map(make).to_iter_dataset(options))
    return made


def _grain() -> Any:
    check_installed()
    return importlib.import_module("grain")


def _threads() -> int:
    return max(1, round(cores.usable().count))


class Ahead(Generic[T]):
    """Batches of items by step. Steps in a row are made ahead; any may be asked for."""

    def __init__(
        self, make: Callable[[int], T], batch_size: int, item_bytes: int
    ) -> None:
        _grain()  # a second or so, better now than while training waits
        self._make, self._size = make, batch_size
        self._ahead = max(1, min(AHEAD_BATCHES * batch_size, AHEAD_BYTES // item_bytes))
        self._items: Any = None
        self._next = 0

    def batch(self, step: int) -> list[T]:
        """The items of one step: numbers `step * batch_size` and up."""
        if self._items is None or step != self._next:
            self.close()
            first = step * self._size
            self._items = ordered(self._make, first, _FOREVER, self._ahead)
        made = [next(self._items) for _ in range(self._size)]
        self._next = step + 1
        return made

    def close(self) -> None:
        """Stop making items."""
        if self._items is not None:
            self._items.close()
            self._items = None
