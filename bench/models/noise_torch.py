"""The masks of one forward pass, in torch. Twin of `noise_jax`.

torch has no arithmetic on unsigned 32 bits. Signed products keep the same low bits;
a right shift copies the sign, so that it is cut off after each.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor

from bench.models.noise import (
    LEVELS,
    MULTIPLIERS,
    SHIFTS,
    Key,
    Rates,
    kept_share,
    limit,
    words,
)

__all__ = ["Noise", "branched", "dropped"]

Words = Int32[Tensor, "..."]
"""32 bits each."""


class Noise:
    """Hands out one mask after another; made anew for every forward pass.

    Args:
      key: two words of (seed, step).
      first: place in the batch of the first example given.
    """

    def __init__(self, rates: Rates, key: Key, first: int) -> None:
        self._rates, self._key, self._first = rates, key, first
        self._masks = self._branches = 0

    def dropped(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Elements to zero, the others made larger."""
        rate = self._rates.dropout
        if not rate:
            return x
        mask = self._kept(x.shape, rate, x.device)
        return torch.where(mask, x * (1 / kept_share(rate)), 0)

    def branched(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Whole examples to zero, in the branch that comes next."""
        rate = self._rates.depth_rate(self._branches)
        self._branches += 1
        if not rate:
            return x
        shape = (len(x), *(1 for _ in x.shape[1:]))
        return torch.where(self._kept(shape, rate, x.device), x, 0)

    def _kept(
        self, shape: tuple[int, ...], rate: float, device: torch.device
    ) -> Bool[Tensor, "batch ..."]:
        batch, count = shape[0], math.prod(shape[1:])
        one, two = self._row_keys(batch, device)
        index = torch.arange(-(-count // 2), dtype=torch.int32, device=device)
        draws = hashed(index[None], one[:, None], two[:, None])
        # halves of a signed number are signed: 0 to 65535 is -32768 to 32767 here
        halves = draws.view(torch.int16).bitwise_xor_(-LEVELS // 2)
        return (halves[:, :count] >= limit(rate) - LEVELS // 2).reshape(shape)

    def _row_keys(self, batch: int, device: torch.device) -> tuple[Words, Words]:
        """Two words for each example, of the mask that comes next."""
        first = self._first
        place = torch.arange(first, first + batch, dtype=torch.int32, device=device)
        pairs = zip(self._key, words(self._masks), strict=True)
        a, b = (_signed(int(key) ^ word) for key, word in pairs)
        self._masks += 1
        return hashed(place, a, b), hashed(place, b, a)


def hashed(
    x: Words,
    one: Words | int,
    two: Words | int,
) -> Words:
    """32 bits from an index and two key words, which enter at different depths.

    With one word only, masks of different keys would be each other's permutations.
    """
    (a, b), (s, t, u) = MULTIPLIERS, SHIFTS
    x = x ^ one
    _shifted_in(x, s).mul_(a).bitwise_xor_(two)
    _shifted_in(x, t).mul_(b)
    return _shifted_in(x, u)


def _shifted_in(x: Words, bits: int) -> Words:
    """x ^= x >> bits, without the copies of the sign."""
    return x.bitwise_xor_((x >> bits).bitwise_and_(2 ** (32 - bits) - 1))


def _signed(word: int) -> int:
    """The signed number with the bits of an unsigned one."""
    return int(np.uint32(word).view(np.int32))


def dropped(
    x: Float[Tensor, "batch ..."], noise: Noise | None
) -> Float[Tensor, "batch ..."]:
    """Dropout while training with it; `x` itself otherwise."""
    return x if noise is None else noise.dropped(x)


def branched(
    x: Float[Tensor, "batch ..."], noise: Noise | None
) -> Float[Tensor, "batch ..."]:
    """A residual branch under stochastic depth; `x` itself without."""
    return x if noise is None else noise.branched(x)
