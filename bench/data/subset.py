"""Which training images a cell may use. Every subset is the head of one fixed order.

So 1 % lies inside 3 % inside 10 % by construction, for one `subset_seed`, and the
subset does not change when `seed` (weights, data order) does.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from bench.data import Classes
from bench.errors import StudyError, unknown

KINDS = ("random", "stratified", "balanced")

Order = Int64[np.ndarray, "picks"]


def choose(
    labels: Classes,
    kind: str,
    *,
    examples: int | None = None,
    fraction: float | None = None,
    seed: int = 0,
) -> Order:
    """Positions of the subset, in the order of its growth.

    Neither `examples` nor `fraction` means every image. `balanced` gives each class
    the same number of images, give or take one.
    """
    if kind not in KINDS:
        raise StudyError(unknown("subset", kind, KINDS))
    count = _count(len(labels), examples, fraction)
    if kind == "balanced":
        _check_balanced(labels, count)
    return order(labels, kind, seed)[:count]


def order(labels: Classes, kind: str, seed: int) -> Order:
    """The order whose heads are the subsets of `kind`.

    stratified: an image that is the r-th of its n-image class sorts at (r + 1/2) / n,
    so every head holds each class in its share, within one image or so.
    balanced: it sorts at r, so that the classes take turns.
    """
    shuffled = np.random.default_rng([seed, len(labels)]).permutation(len(labels))
    if kind == "random":
        return shuffled
    rank, size = _rank_in_class(labels[shuffled])
    key = rank if kind == "balanced" else (rank + 0.5) / size
    return shuffled[np.argsort(key, kind="stable")]


def _rank_in_class(labels: Classes) -> tuple[np.ndarray, np.ndarray]:
    """For each image, how many of its class come before it, and its class's size."""
    grouped = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    rank = np.empty(len(labels), dtype=np.int64)
    rank[grouped] = np.arange(len(labels)) - starts[labels[grouped]]
    return rank, sizes[labels]


def _count(available: int, examples: int | None, fraction: float | None) -> int:
    if examples is not None and fraction is not None:
        raise StudyError(
            f"data_examples {examples} and data_fraction {fraction} are both given; "
            "give one of them"
        )
    if fraction is not None:
        return _of_fraction(available, fraction)
    if examples is None:
        return available
    if not 1 <= examples <= available:
        raise StudyError(
            f"data_examples {examples} is not possible; the training split has "
            f"{available} images, so give 1 to {available}"
        )
    return examples


def _of_fraction(available: int, fraction: float) -> int:
    if not 0 < fraction <= 1:
        raise StudyError(f"data_fraction {fraction} is not possible; give (0, 1]")
    count = round(fraction * available)
    if count == 0:
        raise StudyError(
            f"data_fraction {fraction} of {available} images is none; "
            f"give at least {1 / available:.2g}"
        )
    return count


def _check_balanced(labels: Classes, count: int) -> None:
    sizes = np.bincount(labels)
    present = np.flatnonzero(sizes)
    smallest = present[np.argmin(sizes[present])]
    most = int(sizes[smallest]) * len(present)
    if count > most:
        raise StudyError(
            f"a balanced subset of {count} images is not possible; class {smallest} "
            f"has only {sizes[smallest]}, so give at most {most} or subset: stratified"
        )
