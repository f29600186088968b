"""Run by test_parity in a process of its own: jax with float64 switched on.

Writes `case/what` arrays: float64 logits, features and gradients, float32 logits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from network_cases import CASES, IN_FLOAT32, images_of, probe_of

from bench import models
from bench.models import ModelSpec, weights


def built(spec: ModelSpec, dtype: str) -> tuple[nnx.State, Callable[..., nnx.Module]]:
    network = models.twin(spec, "jax").build(spec, weights.random(spec, 1), dtype=dtype)
    graph, state = nnx.split(network)
    return state, lambda state: nnx.merge(graph, state)


def float32_logits(spec: ModelSpec) -> Array:
    state, merged = built(spec, "float32")
    images = jnp.asarray(images_of(spec), jnp.float32)
    return jax.jit(lambda state, images: merged(state)(images))(state, images)


def in_float64(spec: ModelSpec) -> Iterator[tuple[str, Array | np.ndarray]]:
    state, merged = built(spec, "float64")

    @jax.jit
    @partial(jax.grad, has_aux=True)
    def run(
        state: nnx.State, images: Array, probe: Array
    ) -> tuple[Array, tuple[Array, Array]]:
        network = merged(state)
        features, logits = network.features(images), network(images)
        return jnp.sum(logits * probe), (features, logits)

    gradient, (features, logits) = run(state, images_of(spec), probe_of(spec))
    yield "features", features
    yield "float64", logits
    for name, array in models.twin(spec, "jax").dump(gradient).items():
        yield f"gradient/{name}", array


def everything() -> Iterator[tuple[str, Array | np.ndarray]]:
    for case, spec in CASES.items():
        for what, array in in_float64(spec):
            yield f"{case}/{what}", array
    for case, spec in IN_FLOAT32.items():
        yield f"{case}/float32", float32_logits(spec)


if __name__ == "__main__":
    np.savez(sys.argv[1], **{name: np.asarray(array) for name, array in everything()})
