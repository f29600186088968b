"""The data sets. One file each, imported by name, late.

Images are uint8 until a batch is made; `to_float` gives the range that every released
model expects. Selection looks at `val`; reported numbers come from `test`.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from bench.errors import DataError, StudyError, unknown

EMBEDDED = ("digits", "fractals", "fractals-unseen")
"""Made at the size asked for; they need no folder."""
ON_DISK = ("cifar10", "cifar100", "image-folder", "parquet", "tfds")
"""Read from a folder."""
DATASETS = EMBEDDED + ON_DISK

Decoded = UInt8[np.ndarray, "height width 3"]
Pixels = UInt8[np.ndarray, "images height width 3"]
Classes = Int64[np.ndarray, "images"]
Picks = Int64[np.ndarray, "picks"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a data set on disk lies, and how the study wants it read."""

    folder: Path
    on_bad_image: str = "error"
    evaluation: str | None = None
    """How stored images become square; None is the data set's usual way."""
    fingerprint: str | None = None
    """What the folder is known to hold; part of the name of a nameless set."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Labels of a split, and its images on demand: only what is needed is made."""

    labels: Classes
    make: Callable[[Picks], Pixels | Sequence[Decoded | None]]
    """Positions in `labels` -> their images; None for one skipped as bad."""
    fit: Callable[[Decoded], Decoded] | None = None
    """A stored image at the model's size. Absent: `make` gives that size itself."""
    accepted: Sequence[frozenset[int]] | None = None
    """All labels that are right for an image, where people looked again (ReaL)."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, picks: Picks) -> tuple[Pixels, Classes]:
        """Images that are made at the model's size, and their labels."""
        assert self.fit is None, "stored images have other sizes; use view.View"
        return np.asarray(self.make(picks)), self.labels[picks]

    def all(self) -> tuple[Pixels, Classes]:
        """Every image and label, in order."""
        return self.take(np.arange(len(self)))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Three disjoint splits with one label per image."""

    name: str
    """What rows call it: two data sets never share a name."""
    image_size: int
    classes: int
    train: Split
    val: Split
    """For learning curves and selection."""
    test: Split
    """For reported numbers only."""
    test_split: str = "test"
    """What the source calls the reported split."""
    eval_preprocess: str
    """How `val` and `test` images become the model's input, in words."""
    skipped: Callable[[], dict[str, str]] = dict
    """Images left out so far as bad: which, and why."""


def load(name: str, image_size: int, source: Source | None = None) -> Dataset:
    """The data set of that name at `image_size` pixels a side."""
    module = _module(name)
    if source is None and name in ON_DISK:
        raise StudyError(f"data_dir: dataset {name} needs the folder it is in")
    given = (image_size,) if source is None else (image_size, source)
    with _reading():
        dataset: Dataset = module.build(*given)
    return dataset


def fingerprint(name: str, source: Source) -> str:
    """What tells this folder's data from any other's, wherever the folder lies."""
    with _reading():
        found: str = _module(name).fingerprint(source)
    return found


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """A file that the system will not hand over is the user's to mend."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename}: cannot be read: {error.strerror}; mend or remove it"
        ) from error


def _module(name: str) -> Any:
    if name not in DATASETS:
        raise StudyError(unknown("dataset", name, DATASETS))
    return importlib.import_module(f"bench.data.{name.replace('-', '_')}")


def to_float(images: Pixels) -> Float32[np.ndarray, "images height width 3"]:
    """Bytes to [-1, 1], as every released Mixer, ViT and BiT expects."""
    scaled: np.ndarray = images.astype(np.float32)
    scaled -= np.float32(127.5)
    scaled /= np.float32(127.5)
    return scaled
