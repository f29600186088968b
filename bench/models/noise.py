"""Dropout and stochastic depth: one integer hash, so that both twins draw equal bits.

A bit depends on (seed, step, number of the mask in the forward pass, place of the
example in the batch, index inside the example) and on nothing else. So a batch that
is taken in parts drops what the whole batch would, and no step needs the one before.

Dropout stands where the papers and the code released with them put it. ViT (appendix
B.1): after every dense layer except query, key and value, behind the activation where
there is one, and after adding the position embeddings. Mixer: in both of its MLPs as
in ViT's; the released code has none, and every published choice is 0. ResNets: on the
pooled features, which is timm's place; the papers' ResNets use none. Kept values are
divided by the share that is kept.

Stochastic depth drops a residual branch for an example. Its rate rises linearly from 0
at the first branch to the given one at the last (MLP-Mixer appendix B says so of the
MLPs; the released code takes one rate per block instead). What is kept is **not**
rescaled, as in the released code; evaluation keeps every branch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt32

Key = UInt32[np.ndarray, "2"]

# A 32-bit finaliser: xor-shift, multiply, xor-shift, multiply, xor-shift. Multipliers
# by TheIronBorn, found with Wellons' hash-prospector (bias 0.11).
MULTIPLIERS = (0x21F0AAAD, 0x735A2D97)
SHIFTS = (16, 15, 15)
GOLDEN = 0x9E3779B9
"""2^32 over the golden ratio: spreads the numbers of the masks over 32 bits."""
LEVELS = 65536
"""Of one draw: a hash of 32 bits serves two elements."""

_STREAM = 101  # apart from the streams of the data loader


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How much is dropped, and over how many residual branches."""

    dropout: float
    stochastic_depth: float
    branches: int

    def depth_rate(self, branch: int) -> float:
        """Of the 0-based branch."""
        return self.stochastic_depth * branch / max(1, self.branches - 1)


def key(seed: int, step: int) -> Key:
    """What distinguishes one step's masks from every other's; given as data."""
    return np.random.SeedSequence([seed, step, _STREAM]).generate_state(2)


def limit(rate: float) -> int:
    """A draw from 0 to 65535 below this drops its element."""
    return min(LEVELS - 1, round(rate * LEVELS))


def kept_share(rate: float) -> float:
    """What dropping at `rate` leaves, exactly: `rate` in steps of 1/65536."""
    return 1 - limit(rate) / LEVELS


def words(number: int) -> tuple[int, int]:
    """Two 32-bit words of their own for each mask of a forward pass."""
    first, second = ((2 * number + i) * GOLDEN & 0xFFFFFFFF for i in (1, 2))
    return first, second
