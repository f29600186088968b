"""Images of a split as a network is shown them where nothing is random.

A small view is made once and kept; a large one passes through in batches, made ahead
by threads. Images skipped as bad are absent.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.data import Picks, Pixels, Split, shuffle, stream
from bench.errors import DataError

RESIDENT_BYTES = 2**30
"""Images of one view that may stay in memory."""
_CHUNK = 64

Batch = tuple[Pixels, Picks]
"""Images, and their positions in the split."""


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """Some images of a split at the model's size, in their order."""

    split: Split
    picks: Picks
    image_size: int
    pixels: shuffle.Permutation | None = None

    @property
    def fits(self) -> bool:
        """Whether all of it may stay in memory."""
        return len(self.picks) * self._image_bytes <= RESIDENT_BYTES

    def batches(self, size: int) -> Iterator[Batch]:
        """All of it, at most `size` images at a time."""
        if not self.fits:
            yield from self._streamed(size)
            return
        images, positions = self.everything
        for start in range(0, len(images), size):
            yield images[start : start + size], positions[start : start + size]

    @functools.cached_property
    def everything(self) -> Batch:
        """All of it at once."""
        if self.split.fit is None:
            return self._part(self.picks)
        parts = list(self._streamed(_CHUNK))
        images, positions = (np.concatenate(kind) for kind in zip(*parts, strict=True))
        return images, positions

    @property
    def _image_bytes(self) -> int:
        return 3 * self.image_size**2

    def _streamed(self, size: int) -> Iterator[Batch]:
        starts = range(0, len(self.picks), size)

        def part(number: int) -> Batch:
            start = starts[number]
            return self._part(self.picks[start : start + size])

        used = 0
        ahead = max(1, stream.AHEAD_BYTES // (size * self._image_bytes))
        parts = stream.ordered(part, 0, len(starts), min(ahead, len(starts)))
        for images, positions in parts:
            used += len(positions)
            if len(positions):
                yield images, positions
        if not used:
            raise DataError(f"none of {len(self.picks)} images can be read")

    def _part(self, picks: Picks) -> Batch:
        made, fit = self.split.make(picks), self.split.fit
        if fit is None:
            images = np.asarray(made)
        else:
            good = [one is not None for one in made]
            fitted = [fit(one) for one in made if one is not None]
            picks, shape = picks[good], (0, self.image_size, self.image_size, 3)
            images = np.stack(fitted) if fitted else np.empty(shape, np.uint8)
        return (
            images if self.pixels is None else shuffle.apply(images, self.pixels)
        ), picks


def whole(
    split: Split, image_size: int, pixels: shuffle.Permutation | None = None
) -> View:
    """Every image of the split."""
    picks = np.arange(len(split))
    return View(split=split, picks=picks, image_size=image_size, pixels=pixels)
