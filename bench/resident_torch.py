"""Training images that stay on the device as bytes, in torch. Twin of `resident_jax`.

A byte has 256 values, so the host's own floats are looked up: dividing here could round
otherwise.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bench.backend import Floats, Labels, Picks, Pixels

Images = Float[Tensor, "batch height width 3"]
ClassIds = Int[Tensor, "batch"]


class Held:
    """Images and labels, taken out by position."""

    def __init__(
        self,
        images: Pixels,
        labels: Labels,
        floats: Floats,
        device: torch.device,
    ) -> None:
        self._images, self._labels, self._floats = (
            torch.tensor(array, device=device) for array in (images, labels, floats)
        )

    def batch(self, picks: Picks) -> tuple[Images, ClassIds]:
        """These images as floats, and their labels, on the device."""
        chosen = torch.tensor(picks, device=self._images.device)
        found = self._images[chosen]
        floats = self._floats.index_select(0, found.flatten().int())
        return floats.reshape(found.shape), self._labels[chosen]
