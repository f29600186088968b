"""Batches in an order that depends only on (seed, step): the same bytes everywhere.

Epoch e is a permutation drawn from (seed, e). A batch is always full: where an epoch
ends inside it, the next one goes on. Any step can be made without those before it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from bench.data import Classes, Picks, Pixels, to_float
from bench.errors import StudyError, unknown

AUGMENTS = ("none", "flip")

# Draws of different purpose never share a stream. From 1: numpy drops final zeros.
_ORDER, _FLIP = 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Loader:
    """A training set that hands out one batch per step."""

    images: Pixels
    labels: Classes
    batch_size: int
    seed: int
    augment: str = "none"

    def __post_init__(self) -> None:
        if self.augment not in AUGMENTS:
            raise StudyError(unknown("augment", self.augment, AUGMENTS))

    def picks(self, step: int) -> Picks:
        """Positions of the images of a step's batch."""
        count = len(self.labels)
        position = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epoch, place = np.divmod(position, count)
        return np.concatenate(
            [
                _epoch_order(self.seed, int(number), count)[place[epoch == number]]
                for number in range(epoch[0], epoch[-1] + 1)
            ]
        )

    def batch(
        self, step: int
    ) -> tuple[Float32[np.ndarray, "batch height width 3"], Classes]:
        """Images in [-1, 1] and labels of one step."""
        picks = self.picks(step)
        images = self.images[picks]
        if self.augment == "flip":
            images = self._flipped(images, step)
        return to_float(images), self.labels[picks]

    def _flipped(self, images: Pixels, step: int) -> Pixels:
        """Mirror about half of the batch, left to right."""
        draw = np.random.default_rng([self.seed, step, _FLIP]).random(len(images))
        mirrored = (draw < 0.5)[:, None, None, None]
        return np.where(mirrored, images[:, :, ::-1], images)


@functools.lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, count: int) -> Picks:
    """Cached, as an epoch serves many steps."""
    return np.random.default_rng([seed, epoch, _ORDER]).permutation(count)
