"""Few-shot linear probes by least squares, after big_vision's protocol.

A few images per class are drawn; frozen features are standardised with their mean and
deviation; ridge regression to targets of -1 and +1 has a closed form. Accuracy is over
the target's whole test split, or over the part of it that the cell asks for. Two
baselines stand beside the network: raw pixels, and the same network at its initial
weights.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from PIL import Image

from bench.data import Classes, Dataset, Picks, Pixels, shots, shuffle, to_float
from bench.data.shots import draw, support_of
from bench.data.view import View
from bench.errors import DataError

__all__ = ["CURVE_SHOTS", "Target", "draw", "raw_pixels", "ridge", "rows", "support_of"]

L2 = 2.0**10
BIAS = 100.0
"""A constant feature this large is a bias that the penalty hardly touches."""
CURVE_SHOTS = 5
"""Of the paper's curves: linear 5-shot."""
PIXEL_SIDE = 32
"""Raw pixels of a larger image are averaged to this side: at 224 px the 25 shots of
1,000 classes would be 30 GB."""
_READ = 64

Features = Float[np.ndarray, "images width"]
Matrix = Float64[np.ndarray, "images width"]
Targets = Float64[np.ndarray, "images classes"]
Solution = Float64[np.ndarray, "width classes"]
Probed = tuple[Features, Picks]
"""Features, and the positions of their images in the split."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A transfer task: where shots come from, and what they are tested on."""

    dataset: Dataset
    pool: Picks
    """Positions in `train` that shots are drawn from, in order."""
    support: View
    """Those of them that some episode draws, in order; all can be read."""
    test: View
    preprocess: str
    """How images of both became the network's input, in words."""

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def labels(self) -> Classes:
        """Of the pool."""
        labels: Classes = self.dataset.train.labels[self.pool]
        return labels


def target_of(
    dataset: Dataset,
    image_size: int,
    pixels: shuffle.Permutation | None = None,
    examples: int | None = None,
    preprocess: str | None = None,
) -> Target:
    """The task that a data set makes.

    Only images that are drawn are read. One that is skipped as bad leaves the pool, and
    shots are drawn from the rest.
    """
    labels = dataset.train.labels
    pool = support_of(labels)
    while True:
        picks = pool[shots.drawn(labels[pool])]
        support = View(
            split=dataset.train, picks=picks, image_size=image_size, pixels=pixels
        )
        bad = np.setdiff1d(picks, _readable(support))
        if not len(bad):
            break
        pool = np.setdiff1d(pool, bad)
    test = View(
        split=dataset.test,
        picks=shots.tested(dataset.test.labels, examples),
        image_size=image_size,
        pixels=pixels,
    )
    return Target(
        dataset=dataset,
        pool=pool,
        support=support,
        test=test,
        preprocess=preprocess or dataset.eval_preprocess,
    )


def _readable(view: View) -> Picks:
    """Positions of the images that can be read; a small view keeps what it reads."""
    if view.split.fit is None:  # made, not stored: nothing can be damaged
        return view.picks
    return np.concatenate([positions for _, positions in view.batches(_READ)])


def raw_pixels(images: Pixels) -> Features:
    """The image itself as features: what any representation has to beat."""
    if images.shape[1] > PIXEL_SIDE:
        images = np.stack([_averaged(image) for image in images])
    return to_float(images).reshape(len(images), -1)


def _averaged(image: np.ndarray) -> np.ndarray:
    size = (PIXEL_SIDE, PIXEL_SIDE)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def rows(
    target: Target,
    support: Probed,
    test: Probed,
    baseline: str | None,
    shots_tried: tuple[int, ...] = shots.SHOTS,
) -> Rows:
    """One row per number of shots and seed; `baseline` None is the trained network."""
    if not np.array_equal(support[1], target.support.picks):
        raise DataError(
            f"probe {target.name}: a shot that could be read before cannot be now; "
            "mend its folder"
        )
    labels = target.dataset.test.labels[test[1]]
    facts = {
        "n_test": len(labels),
        "chance": float(np.bincount(labels).max() / len(labels)),
        "preprocess": target.preprocess,
    }
    return [
        {
            "dataset": target.name,
            "shots": count,
            "seed": seed,
            "accuracy": _accuracy(target, support[0], test[0], labels, picks),
            "baseline": baseline,
            **facts,
        }
        for count, seed, picks in shots.episodes(target.labels, shots_tried)
    ]


def curve_points(found: Rows) -> Rows:
    """One linear 5-shot accuracy for each target: the median over the draws."""
    names = dict.fromkeys(row["dataset"] for row in found)
    return [
        {
            "dataset": name,
            "accuracy": statistics.median(
                row["accuracy"]
                for row in found
                if (row["dataset"], row["shots"]) == (name, CURVE_SHOTS)
            ),
        }
        for name in names
    ]


def _accuracy(
    target: Target, support: Features, test: Features, labels: Classes, picks: Picks
) -> float:
    known = target.labels[picks]
    places = np.searchsorted(target.support.picks, target.pool[picks])
    train, held_out = standardised(support[places], test)
    onehot = np.eye(int(known.max()) + 1)[known]
    scores = held_out @ ridge(train, 2 * onehot - 1, L2)
    return float(np.mean(scores.argmax(axis=1) == labels))


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
