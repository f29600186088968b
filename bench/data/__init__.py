"""The data sets. One file each, imported by name, late.

Images are uint8 until a batch is made; `to_float` gives the range that every released
model expects. Selection looks at `val`; reported numbers come from `test`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from bench.errors import StudyError, unknown

DATASETS = ("digits", "fractals", "fractals-unseen")

Pixels = UInt8[np.ndarray, "images height width 3"]
Classes = Int64[np.ndarray, "images"]
Picks = Int64[np.ndarray, "picks"]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Labels of a split, and its images on demand: only a subset need be made."""

    labels: Classes
    make: Callable[[Picks], Pixels]
    """Positions in `labels` -> their images."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, picks: Picks) -> tuple[Pixels, Classes]:
        """The images and labels at these positions."""
        return self.make(picks), self.labels[picks]

    def all(self) -> tuple[Pixels, Classes]:
        """Every image and label, in order."""
        return self.take(np.arange(len(self)))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Three disjoint splits of square images with one label each."""

    name: str
    image_size: int
    classes: int
    train: Split
    val: Split
    """For learning curves and selection."""
    test: Split
    """For reported numbers only."""
    eval_preprocess: str
    """How `val` and `test` images become the model's input, in words."""


def load(name: str, image_size: int) -> Dataset:
    """The data set of that name at `image_size` pixels a side."""
    if name not in DATASETS:
        raise StudyError(unknown("dataset", name, DATASETS))
    module: Any = importlib.import_module(f"bench.data.{name.replace('-', '_')}")
    dataset: Dataset = module.build(image_size)
    return dataset


def to_float(images: Pixels) -> Float32[np.ndarray, "images height width 3"]:
    """Bytes to [-1, 1], as every released Mixer, ViT and BiT expects."""
    scaled: np.ndarray = images.astype(np.float32)
    scaled -= np.float32(127.5)
    scaled /= np.float32(127.5)
    return scaled
