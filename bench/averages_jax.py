"""Weights averaged over the steps (Polyak), in jax. Twin of `averages_torch`."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax

from bench.gradients_jax import Params
from bench.network_jax import Network, compiled


class Average:
    """An average that follows the parameters, `factor` of it staying in each step."""

    def __init__(self, start: Network, factor: float) -> None:
        """Start at the parameters of a network."""
        self._device = start.device
        self.params: Params = self._own(start.params)
        step, given = partial(_nearer, factor=factor), (start.params, start.params)
        self._step = compiled(step, start.dtype, *given, donate=[0])
        self.compile_s: float = self._step.seconds
        self.compile_cached: bool = self._step.cached

    def follow(self, params: Params) -> None:
        """One more step."""
        self.params = self._step.call(self.params, params)

    def put(self, arrays: Any) -> None:
        """Become these."""
        self.params = self._own(arrays)

    def _own(self, arrays: Any) -> Params:
        """Copies, as a step donates them."""
        copied = jax.device_put(arrays, self._device, may_alias=False)
        made: Params = jax.block_until_ready(copied)
        return made


def _nearer(average: Params, params: Params, factor: float) -> Params:
    return [a + (1 - factor) * (p - a) for a, p in zip(average, params, strict=True)]
