"""Few-shot linear probes by least squares, after big_vision's protocol.

A few images per class are drawn; frozen features are standardised with their mean and
deviation; ridge regression to targets of -1 and +1 has a closed form. Accuracy is over
the target's whole test split. Two baselines stand beside the network: raw pixels, and
the same network at its initial weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64

from bench.data import Classes, Pixels, to_float
from bench.errors import StudyError

SHOTS = (1, 5, 10, 25)
SEEDS = (0, 1, 2)
L2 = 2.0**10
BIAS = 100.0
"""A constant feature this large is a bias that the penalty hardly touches."""
SUPPORT, SUPPORT_PER_CLASS = 1_000, 65
"""Shots are drawn from this many training images of the target at least, and from this
many of each class: big_vision draws from the first 65,000 of ImageNet."""

Features = Float[np.ndarray, "images width"]
Matrix = Float64[np.ndarray, "images width"]
Targets = Float64[np.ndarray, "images classes"]
Solution = Float64[np.ndarray, "width classes"]
Picks = Int64[np.ndarray, "picks"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A transfer task: where shots come from, and what they are tested on."""

    name: str
    support: Pixels
    support_labels: Classes
    test: Pixels
    test_labels: Classes


def raw_pixels(images: Pixels) -> Features:
    """The image itself as features: what any representation has to beat."""
    return to_float(images).reshape(len(images), -1)


def rows(
    target: Target, support: Features, test: Features, baseline: str | None
) -> list[dict[str, Any]]:
    """One row per number of shots and seed; `baseline` None is the trained network."""
    return [
        {
            "dataset": target.name,
            "shots": shots,
            "seed": seed,
            "accuracy": _accuracy(target, support, test, picks),
            "baseline": baseline,
        }
        for shots, seed, picks in _episodes(target)
    ]


def _episodes(target: Target) -> Iterator[tuple[int, int, Picks]]:
    for shots in SHOTS:
        for seed in SEEDS:
            yield shots, seed, draw(target.support_labels, shots, seed)


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


def _classes(labels: Classes) -> range:
    return range(int(labels.max()) + 1)


def _accuracy(target: Target, support: Features, test: Features, picks: Picks) -> float:
    known = target.support_labels[picks]
    train, held_out = standardised(support[picks], test)
    onehot = np.eye(len(_classes(target.support_labels)))[known]
    scores = held_out @ ridge(train, 2 * onehot - 1, L2)
    return float(np.mean(scores.argmax(axis=1) == target.test_labels))


def standardised(support: Features, test: Features) -> tuple[Matrix, Matrix]:
    """Both scaled by the support's statistics, with the constant feature appended."""
    mean = support.mean(axis=0, dtype=np.float64)
    deviation = support.std(axis=0, dtype=np.float64) + 1e-5

    def scaled(features: Features) -> Matrix:
        return np.pad(
            (features - mean) / deviation, ((0, 0), (0, 1)), constant_values=BIAS
        )

    return scaled(support), scaled(test)


def ridge(x: Matrix, y: Targets, l2: float) -> Solution:
    """The weights w that minimise |x w - y|^2 + l2 |w|^2.

    With G = x'x, w = (G + l2)^-1 x'y; with G = xx', w = x' (G + l2)^-1 y. Both are the
    same w; the smaller G is the cheaper one, and `eigh` makes its inverse stable.
    """
    if x.shape[1] <= x.shape[0]:
        return _solve(x.T @ x, x.T @ y, l2)
    solution: np.ndarray = x.T @ _solve(x @ x.T, y, l2)
    return solution


def _solve(gram: np.ndarray, right: np.ndarray, l2: float) -> np.ndarray:
    """(gram + l2 I)^-1 right, for a symmetric gram."""
    values, vectors = np.linalg.eigh(gram)
    solution: np.ndarray = vectors @ ((vectors.T @ right) / (values + l2)[:, None])
    return solution
