"""Batches in an order that depends only on (seed, step): the same bytes everywhere.

Epoch e is a permutation drawn from (seed, e). A batch is always full: where an epoch
ends inside it, the next one goes on. Any step can be made without those before it.

Images that fit are held as bytes and taken out in one go. Others are read one by one
ahead of their step, and so are those that need a generator each (crops, RandAugment).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from bench.data import (
    Classes,
    Decoded,
    Picks,
    Pixels,
    Split,
    augment,
    shuffle,
    stream,
    to_float,
)
from bench.data.augment import Augmentation
from bench.errors import DataError

# Draws of different purpose never share a stream. From 1: numpy drops final zeros.
_ORDER, _FLIP, _IMAGE, _MIXUP = 1, 2, 3, 4


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Training images that stay where they are until their step comes."""

    split: Split
    picks: Picks

    def image(self, position: int) -> Decoded | None:
        """One image of the subset; None if it was skipped as bad."""
        return self.split.make(self.picks[position : position + 1])[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Loader:
    """A training set that hands out one batch per step."""

    images: Pixels | Stored
    labels: Classes
    batch_size: int
    seed: int
    classes: int
    image_size: int
    how: Augmentation = field(default_factory=Augmentation)
    pixels: shuffle.Permutation | None = None
    """One order of the pixels for every image, applied after all augmentation."""

    def __post_init__(self) -> None:
        if self._is_one_by_one:
            _ = self._ahead

    def picks(self, step: int) -> Picks:
        """Positions of the images of a step's batch."""
        first = step * self.batch_size
        position = np.arange(first, first + self.batch_size)
        epoch, place = np.divmod(position, len(self.labels))
        return np.concatenate(
            [
                self._epoch(int(number))[place[epoch == number]]
                for number in range(epoch[0], epoch[-1] + 1)
            ]
        )

    def batch(
        self, step: int
    ) -> tuple[Float32[np.ndarray, "batch height width 3"], Classes | augment.Soft]:
        """Images in [-1, 1] and labels of one step; with mixup, shares of classes."""
        if self._is_one_by_one:
            images, labels = self._one_by_one(step)
        else:
            images, labels = self._held(step)
        if self.pixels is not None:
            images = shuffle.apply(images, self.pixels)
        if not self.how.mixup:
            return to_float(images), labels
        rng = np.random.default_rng([self.seed, step, _MIXUP])
        given = (to_float(images), labels, self.classes)
        return augment.mixed(*given, self.how.mixup, rng)

    def close(self) -> None:
        """Stop reading ahead."""
        if self._is_one_by_one:
            self._ahead.close()

    @functools.cached_property
    def bad(self) -> set[int]:
        """Positions of the images that were found to be bad so far."""
        return set()

    @property
    def _is_one_by_one(self) -> bool:
        return isinstance(self.images, Stored) or self.how.per_image

    def _held(self, step: int) -> tuple[Pixels, Classes]:
        assert not isinstance(self.images, Stored)
        picks = self.picks(step)
        images = self.images[picks]
        if self.how.augment == "flip":
            images = self._flipped(images, step)
        return images, self.labels[picks]

    def _epoch(self, number: int) -> Picks:
        return _epoch_order(self.seed, number, len(self.labels))

    def _flipped(self, images: Pixels, step: int) -> Pixels:
        """Mirror about half of the batch, left to right."""
        draw = np.random.default_rng([self.seed, step, _FLIP]).random(len(images))
        mirrored = (draw < 0.5)[:, None, None, None]
        return np.where(mirrored, images[:, :, ::-1], images)

    @functools.cached_property
    def _ahead(self) -> stream.Ahead[tuple[Decoded, int]]:
        item_bytes = 3 * self.image_size**2
        return stream.Ahead(self._item, self.batch_size, item_bytes)

    def _one_by_one(self, step: int) -> tuple[Pixels, Classes]:
        images, labels = zip(*self._ahead.batch(step), strict=True)
        return np.stack(images), np.array(labels, dtype=np.int64)

    def _item(self, number: int) -> tuple[Decoded, int]:
        """The image shown as the `number`-th since the start, and its label."""
        epoch, place = divmod(number, len(self.labels))
        image, position = self._usable(int(self._epoch(epoch)[place]))
        rng = np.random.default_rng([self.seed, number, _IMAGE])
        made = augment.training(image, self.how, self.image_size, rng)
        return made, int(self.labels[position])

    def _usable(self, position: int) -> tuple[Decoded, int]:
        """The image at a position or, where it is bad, the next good one."""
        count = len(self.labels)
        for candidate in range(position, position + count):
            image = self._stored(candidate % count)
            if image is not None:
                return image, candidate % count
            self.bad.add(candidate % count)
        raise DataError(f"none of the {count} training images can be read")

    def _stored(self, position: int) -> Decoded | None:
        if not isinstance(self.images, Stored):
            held: Decoded = self.images[position]
            return held
        image, fit = self.images.image(position), self.images.split.fit
        if image is None or fit is None or self.how.cuts:
            return image
        return fit(image)


@functools.lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, count: int) -> Picks:
    """Cached, as an epoch serves many steps."""
    return np.random.default_rng([seed, epoch, _ORDER]).permutation(count)
