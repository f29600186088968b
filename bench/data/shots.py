"""Which images a few-shot probe draws and is tested on, after big_vision's protocol.

Labels alone decide it, so that a target can be checked before anything is read.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.data import Classes, Dataset, Picks, subset
from bench.errors import StudyError

SHOTS = (1, 5, 10, 25)
SEEDS = (0, 1, 2)
SUPPORT, SUPPORT_PER_CLASS = 1_000, 65
"""Shots are drawn from this many training images of the target at least, and from this
many of each class: big_vision draws from the first 65,000 of ImageNet."""
TEST_SEED = 0
"""Draws a part of a test split, the same one for every cell."""


def support_of(labels: Classes) -> Picks:
    """Positions of the training images that shots are drawn from.

    The first ones of each class, as a folder's images come class by class.
    """
    classes = len(_classes(labels))
    most = max(SUPPORT, SUPPORT_PER_CLASS * classes)
    if len(labels) <= most:
        return np.arange(len(labels))
    each = -(-most // classes)
    firsts = [np.flatnonzero(labels == one)[:each] for one in _classes(labels)]
    return np.sort(np.concatenate(firsts))


def draw(labels: Classes, shots: int, seed: int) -> Picks:
    """The first `shots` images of each class, each class in its own random order.

    So 5 shots contain the 1 shot of the same seed.
    """
    rng = np.random.default_rng(seed)
    orders = [
        rng.permutation(np.flatnonzero(labels == one)) for one in _classes(labels)
    ]
    fewest = min(len(order) for order in orders)
    if fewest < shots:
        raise StudyError(
            f"{shots} shots are not possible; the smallest class of the target has "
            f"{fewest} images to draw from; choose another probe"
        )
    return np.concatenate([order[:shots] for order in orders])


def episodes(
    labels: Classes, shots: tuple[int, ...] = SHOTS
) -> Iterator[tuple[int, int, Picks]]:
    """Shots, seed and picks of every draw."""
    for count in shots:
        for seed in SEEDS:
            yield count, seed, draw(labels, count, seed)


def drawn(labels: Classes) -> Picks:
    """Every image that some episode draws: no other needs to be read."""
    return np.unique(np.concatenate([picks for *_, picks in episodes(labels)]))


def tested(labels: Classes, examples: int | None) -> Picks:
    """Positions of the test images: all, or so many, each class in its share."""
    if examples is None:
        return np.arange(len(labels))
    return np.sort(subset.order(labels, "stratified", TEST_SEED)[:examples])


def check(dataset: Dataset, examples: int | None) -> None:
    """Refuse a target that cannot be probed, by its labels alone.

    Raises:
        StudyError: a class has too few images, or the test split has.
    """
    labels = dataset.train.labels
    draw(labels[support_of(labels)], max(SHOTS), SEEDS[0])
    if examples is not None and examples > len(dataset.test):
        raise StudyError(
            f"probe_examples {examples} is not possible; its test split has "
            f"{len(dataset.test)} images"
        )


def _classes(labels: Classes) -> range:
    return range(int(labels.max()) + 1)
