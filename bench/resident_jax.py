"""Training images that stay on the device as bytes, in jax. Twin of `resident_torch`.

A byte has 256 values, so the host's own floats are looked up: dividing here could round
otherwise.
"""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from bench.backend import Floats, Labels, Picks, Pixels
from bench.network_jax import compiled

Images = Float[Array, "batch height width 3"]
ClassIds = Int[Array, "batch"]
AllIds = Int[Array, "images"]
Chosen = Int[Array, "batch"]
Table = Float[Array, "256"]


class Held:
    """Images and labels, taken out by position."""

    def __init__(
        self,
        images: Pixels,
        labels: Labels,
        floats: Floats,
        device: jax.Device,
        batch_size: int,
    ) -> None:
        if floats.dtype == np.float64:
            jax.config.update("jax_enable_x64", True)
        self._device = device
        given = images, labels.astype(np.int32), floats
        self._held = jax.block_until_ready(jax.device_put(given, device))
        picks = self._put(np.zeros(batch_size, int))
        self._take = compiled(_taken, "float32", *self._held, picks).call

    def batch(self, picks: Picks) -> tuple[Images, ClassIds]:
        """These images as floats, and their labels, on the device."""
        made: tuple[Images, ClassIds] = self._take(*self._held, self._put(picks))
        return made

    def _put(self, picks: Picks) -> Chosen:
        return jax.device_put(picks.astype(np.int32), self._device)


def _taken(
    images: UInt8[Array, "images height width 3"],
    labels: AllIds,
    floats: Table,
    picks: Chosen,
) -> tuple[Images, ClassIds]:
    found = images.at[picks].get(mode="promise_in_bounds")
    return floats.at[found].get(mode="promise_in_bounds"), labels[picks]
