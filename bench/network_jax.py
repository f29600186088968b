"""A network in jax as pure state, and functions of it compiled ahead of time.

Parameters travel as a flat list of arrays: a list is the cheapest tree to hand to a
compiled step, and its order is that of the canonical names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.monitoring
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from bench import models, probe
from bench.backend import Weights
from bench.gradients_jax import Params
from bench.models import ModelSpec
from bench.models.noise_jax import Noise

PRECISION = {
    "float32": "highest",
    "float64": "highest",
    "tf32": "tensorfloat32",
    "bfloat16": "default",
    "float16": "default",
}
"""What `jax_default_matmul_precision` must be for the dtype to mean what it says."""


@dataclass(frozen=True)
class Network:
    """A network split into what is static and its parameters on the device."""

    spec: ModelSpec
    dtype: str
    graph: Any
    tree: Any
    names: list[str]
    """Canonical name of each parameter."""
    params: Params
    device: jax.Device

    def module(self, params: Params) -> nnx.Module:
        return nnx.merge(self.graph, jax.tree.unflatten(self.tree, params))

    def logits(
        self,
        params: Params,
        images: Float[Array, "batch height width 3"],
        noise: Noise | None = None,
    ) -> Float[Array, "batch classes"]:
        return self.module(params)(images, noise)

    def features(
        self, params: Params, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch width"]:
        return self.module(params).features(images)

    def dump(self, params: Params) -> dict[str, np.ndarray]:
        dumped: dict[str, np.ndarray] = models.twin(self.spec, "jax").dump(
            self.module(params)
        )
        return dumped


def put(array: np.ndarray, device: jax.Device) -> Array:
    """A copy on the device: the caller may reuse its buffer at once.

    The transfer reads the buffer later, even where jax is told not to alias it.
    """
    return jax.device_put(array.copy(), device)


def split(spec: ModelSpec, weights: Weights, dtype: str, device: jax.Device) -> Network:
    """Build the network and take it apart; float64 switches jax to 64 bits."""
    if probe.check_dtype(dtype) == "float64":
        jax.config.update("jax_enable_x64", True)
    twin = models.twin(spec, "jax")
    module = twin.build(spec, weights, dtype=dtype)
    graph, state = nnx.split(module)
    canonical = twin.canonical_names(module)
    names = [canonical[path] for path, _ in nnx.to_flat_state(state)]
    leaves, tree = jax.tree.flatten(state)
    assert len(leaves) == len(names), "a parameter without a canonical name"
    return Network(
        spec, dtype, graph, tree, names, jax.device_put(leaves, device), device
    )


class _CacheHits:
    """Counts the programs that jax read from its compilation cache."""

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_listener(self._on_event)

    def _on_event(self, event: str, **rest: Any) -> None:
        self.count += event.endswith("/compilation_cache/cache_hits")


_HITS = _CacheHits()


@dataclass(frozen=True)
class Compiled:
    """A function compiled for the shapes of its arguments, and what that cost."""

    call: Callable[..., Any]
    seconds: float
    cached: bool
    """An earlier process had compiled it: `seconds` are not those of a cold compile."""


def compiled(
    function: Callable[..., Any],
    dtype: str,
    *arguments: Any,
    donate: Sequence[int] = (),
) -> Compiled:
    """The function compiled for these arguments.

    Compiled ahead of the first call, so that compiling and running never mix; called
    with other shapes it refuses instead of compiling again.
    """
    began, hits = time.perf_counter(), _HITS.count
    with jax.default_matmul_precision(PRECISION[dtype]):
        lowered = jax.jit(function, donate_argnums=tuple(donate)).lower(*arguments)
        built = lowered.compile()
    return Compiled(built, time.perf_counter() - began, _HITS.count > hits)
