"""The masks of one forward pass, in jax. Twin of `noise_torch`."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, UInt32

from bench.models.noise import MULTIPLIERS, SHIFTS, Rates, kept_share, limit, words

__all__ = ["Noise", "branched", "dropped"]

Words = UInt32[Array, "..."]
"""32 bits each."""


class Noise:
    """Hands out one mask after another; made anew for every forward pass.

    Args:
      key: two words of (seed, step).
      first: place in the batch of the first example given.
    """

    def __init__(self, rates: Rates, key: Words, first: Words | int) -> None:
        self._rates, self._key, self._first = rates, key, first
        self._masks = self._branches = 0

    def dropped(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """Elements to zero, the others made larger."""
        rate = self._rates.dropout
        if not rate:
            return x
        mask = self._kept(x.shape, rate)
        return jnp.where(mask, x * (1 / kept_share(rate)), 0)

    def branched(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """Whole examples to zero, in the branch that comes next."""
        rate = self._rates.depth_rate(self._branches)
        self._branches += 1
        if not rate:
            return x
        mask = self._kept((len(x), *(1 for _ in x.shape[1:])), rate)
        return jnp.where(mask, x, 0)

    def _kept(self, shape: tuple[int, ...], rate: float) -> Bool[Array, "batch ..."]:
        batch, count = shape[0], math.prod(shape[1:])
        one, two = self._row_keys(batch)
        index = jnp.arange(-(-count // 2), dtype=jnp.uint32)
        draws = hashed(index[None], one[:, None], two[:, None])
        halves = jax.lax.bitcast_convert_type(draws, jnp.uint16).reshape(batch, -1)
        return (halves[:, :count] >= jnp.uint16(limit(rate))).reshape(shape)

    def _row_keys(self, batch: int) -> tuple[Words, Words]:
        """Two words for each example, of the mask that comes next."""
        place = jnp.arange(batch, dtype=jnp.uint32) + jnp.uint32(self._first)
        a, b = (self._key[i] ^ jnp.uint32(w) for i, w in enumerate(words(self._masks)))
        self._masks += 1
        return hashed(place, a, b), hashed(place, b, a)


def hashed(x: Words, one: Words, two: Words) -> Words:
    """32 bits from an index and two key words, which enter at different depths.

    With one word only, masks of different keys would be each other's permutations.
    """
    (a, b), (s, t, u) = map(jnp.uint32, MULTIPLIERS), map(jnp.uint32, SHIFTS)
    x = x ^ one
    x = (x ^ (x >> s)) * a ^ two
    x = (x ^ (x >> t)) * b
    return x ^ (x >> u)


def dropped(
    x: Float[Array, "batch ..."], noise: Noise | None
) -> Float[Array, "batch ..."]:
    """Dropout while training with it; `x` itself otherwise."""
    return x if noise is None else noise.dropped(x)


def branched(
    x: Float[Array, "batch ..."], noise: Noise | None
) -> Float[Array, "batch ..."]:
    """A residual branch under stochastic depth; `x` itself without."""
    return x if noise is None else noise.branched(x)
