"""Fixed permutations of an image's pixels: the paper's probe of inductive bias.

MLP-Mixer, section 4.3 and Figure 4: one permutation serves every image, in training
and in evaluation. The channels of a pixel stay together.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from bench.data import Pixels
from bench.errors import StudyError, unknown

KINDS = ("none", "patch_pixel", "global")

PAPER_PATCH = 16
DEMO_PATCH = 4

Permutation = Int64[np.ndarray, "pixels"]


def patch_for(image_size: int, model_patch: int | None) -> int:
    """Side of the patches that `patch_pixel` permutes.

    A model's own patch, so that its stem sees whole permuted patches. A ResNet has
    none: it gets the paper's 16, or 4 below 64 px where 16 would leave few patches.
    """
    if model_patch is not None:
        return model_patch
    return PAPER_PATCH if image_size >= 4 * PAPER_PATCH else DEMO_PATCH


def permutation(kind: str, image_size: int, patch: int, seed: int) -> Permutation:
    """Flat pixel positions: output pixel i is input pixel `permutation[i]`."""
    if kind not in KINDS:
        raise StudyError(unknown("shuffle", kind, KINDS))
    identity = np.arange(image_size**2)
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    if kind == "global":
        return rng.permutation(identity)
    if kind == "patch_pixel":
        return _patch_pixel(identity.reshape(image_size, image_size), patch, rng)
    return identity


def _patch_pixel(
    grid: Int64[np.ndarray, "size size"], patch: int, rng: np.random.Generator
) -> Permutation:
    """Permute the patches, and the pixels inside all patches by one permutation."""
    size = len(grid)
    if size % patch:
        raise StudyError(
            f"shuffle patch_pixel needs patches of {patch} px to divide the image; "
            f"{size} px is not a multiple of {patch}"
        )
    side = size // patch
    patches = _swap_middle(grid.reshape(side, patch, side, patch))
    flat = patches.reshape(side**2, patch**2)
    flat = flat[rng.permutation(side**2)][:, rng.permutation(patch**2)]
    return _swap_middle(flat.reshape(side, side, patch, patch)).reshape(-1)


def _swap_middle(blocks: np.ndarray) -> np.ndarray:
    return blocks.transpose(0, 2, 1, 3)


def apply(images: Pixels, order: Permutation) -> Pixels:
    """Every image with its pixels in that order."""
    flat = images.reshape(len(images), -1, images.shape[-1])
    return flat[:, order].reshape(images.shape)
