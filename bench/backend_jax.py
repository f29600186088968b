"""jax on one device: pure state, compiled ahead of time. Twin of `backend_torch`.

A network is split once; what is timed is an executable over a list of arrays, never a
live nnx module. TF32 is off unless the dtype says so.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bench import compile_cache, cores, hlo, models, probe, variants
from bench.backend import (
    PROBE_CLASSES,
    PROBE_IMAGES,
    PROBE_LOSSES,
    Features,
    Floats,
    Images,
    Labels,
    Logits,
    Pixels,
    Weights,
)
from bench.errors import StudyError, unknown
from bench.learner_jax import JaxLearner, Update
from bench.models import ModelSpec
from bench.network_jax import PRECISION, Network, compiled, put, split
from bench.recipes.recipe import Recipe
from bench.resident_jax import Held

DTYPES = {
    "float32": jnp.float32,
    "tf32": jnp.float32,
    "bfloat16": jnp.bfloat16,
    "float16": jnp.float16,
    "float64": jnp.float64,
}


WORTH_KEEPING_S = 0.1
"""Programs that compile faster than this are compiled again, not kept."""


class _Compilations:
    """Counts every program that XLA compiles in this process."""

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._on_event)

    def _on_event(self, event: str, duration: float, **rest: Any) -> None:
        self.count += event.endswith("backend_compile_duration")


_COMPILATIONS = _Compilations()


def open_backend(device: str = "auto") -> JaxBackend:
    """The backend on `device`; auto is the first device that jax finds."""
    # XLA's thread pool follows the affinity mask but not a cgroup quota; it reads this
    # once, when the cpu client is made. torch gets the same number of threads.
    os.environ["NPROC"] = str(cores.threads())
    _keep_programs()
    return JaxBackend(_find(device))


def _keep_programs() -> None:
    """Read programs compiled by earlier processes, and leave ours to later ones."""
    place = compile_cache.folder("jax")
    jax.config.update("jax_compilation_cache_dir", place and str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_KEEPING_S)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # A damaged entry costs a compilation, which compile_cached tells; jax would print.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation")


def _find(device: str) -> jax.Device:
    first: jax.Device = jax.devices()[0]
    here = {_kind(first): first, "cpu": jax.devices("cpu")[0]}
    if device == "auto":
        return first
    if device not in here:
        raise StudyError(f"{unknown('device', device, ['auto', *here])} (for jax here)")
    return here[device]


def _kind(device: jax.Device) -> str:
    if device.platform != "gpu":
        return str(device.platform)
    return "rocm" if "rocm" in device.client.platform_version.lower() else "cuda"


class JaxModel:
    """A network with weights, numpy in and numpy out."""

    def __init__(self, network: Network):
        self._network = network
        self._logits = jax.jit(network.logits)
        self._features = jax.jit(network.features)

    def predict(self, images: Images) -> Logits:
        return self._run(self._logits, images)

    def features(self, images: Images) -> Features:
        return self._run(self._features, images)

    def state_dict(self) -> dict[str, np.ndarray]:
        return self._network.dump(self._network.params)

    def _run(self, forward: Callable[..., Array], images: Images) -> np.ndarray:
        with jax.default_matmul_precision(PRECISION[self._network.dtype]):
            given = put(images, self._network.device)
            return np.asarray(forward(self._network.params, given))


class _Timed:
    """What both kinds of step share: the barrier, the checksum, the counter."""

    variant: str
    layout = "NHWC"
    products: str | None
    compile_s: float
    compile_cached: bool

    def __init__(self, spec: ModelSpec, variant: str | None) -> None:
        twin = models.twin(spec, "jax")
        self.attention: str | None = twin.attention_kernel() if spec.attends else None
        self.variant = variant or variants.DEFAULT["jax"]
        # Every output since the last barrier: nothing promises that programs which do
        # not depend on each other end in the order in which they were started.
        self._pending: list[Any] = []
        self._sum = jax.jit(_one_of_each)

    def barrier(self) -> None:
        jax.block_until_ready(self._pending)
        del self._pending[:-1]

    def checksum(self) -> float:
        return float(self._sum(self._pending[-1]))

    def compilations(self) -> int:
        return _COMPILATIONS.count


def _one_of_each(outputs: Any) -> Array:
    """One number of each output: a whole one is ready, or none of it is."""
    firsts = [leaf.ravel()[0] for leaf in jax.tree.leaves(outputs)]
    return jnp.stack([first.astype(jnp.float32) for first in firsts]).sum()


class _Infer(_Timed):
    """Forward passes over one resident batch."""

    def __init__(self, network: Network, images: Array, variant: str | None):
        super().__init__(network.spec, variant)
        self._arguments = (network.params, images)
        built = compiled(network.logits, network.dtype, *self._arguments)
        self._forward = built.call
        self.products = hlo.products_of(built.call)
        self.compile_s, self.compile_cached = built.seconds, built.cached

    def enqueue(self) -> None:
        self._pending.append(self._forward(*self._arguments))

    def outputs(self) -> list[float]:
        logits = self._pending[-1][:PROBE_IMAGES, :PROBE_CLASSES]
        return [float(value) for value in np.asarray(logits).ravel()]


class _Train(_Timed):
    """Optimiser steps on one resident batch."""

    def __init__(
        self,
        spec: ModelSpec,
        update: Update,
        images: Array,
        labels: Array,
        rate: float,
        variant: str | None,
    ):
        super().__init__(spec, variant)
        self._losses: list[Array] = []
        self._update, self._batch, self._rate = update, (images, labels), rate
        self.compile_s, self.compile_cached = update.compile_s, update.compile_cached
        self.products = hlo.products_of(update.program())

    def enqueue(self) -> None:
        loss = self._update(*self._batch, self._rate)
        # Each state is donated to the next step, so only the last one exists; it
        # depends on all before it.
        self._pending = [(self._update.state, loss)]
        if len(self._losses) < PROBE_LOSSES:
            self._losses.append(loss)

    def outputs(self) -> list[float]:
        return [float(loss) for loss in self._losses]


class JaxBackend:
    """Everything that is asked of jax on one device."""

    name = "jax"

    def __init__(self, device: jax.Device):
        self._device = device
        self.device_kind = _kind(device)
        self.device_name = _device_name(device)

    def model(self, spec: ModelSpec, weights: Weights, *, dtype: str) -> JaxModel:
        return JaxModel(split(spec, weights, dtype, self._device))

    def infer(
        self,
        spec: ModelSpec,
        weights: Weights,
        images: Images,
        *,
        dtype: str,
        variant: str | None = None,
        peer: str | None = None,
    ) -> _Infer:
        assert peer is None, "no peer is written in jax; studies refuses it"
        network = split(spec, weights, dtype, self._device)
        return _Infer(network, self._put(images), variant)

    def train(
        self,
        spec: ModelSpec,
        weights: Weights,
        images: Images,
        labels: Labels,
        recipe: Recipe,
        *,
        dtype: str,
        variant: str | None = None,
        peer: str | None = None,
    ) -> _Train:
        assert peer is None, "no peer is written in jax; studies refuses it"
        network = split(spec, weights, probe.check_trainable(dtype), self._device)
        batch = self._put(images), self._put(labels.astype(np.int32))
        update = Update(network, recipe, *batch)
        return _Train(spec, update, *batch, recipe.learning_rate, variant)

    def learner(
        self,
        spec: ModelSpec,
        weights: Weights,
        recipe: Recipe,
        *,
        batch_size: int,
        dtype: str,
    ) -> JaxLearner:
        network = split(spec, weights, probe.check_trainable(dtype), self._device)
        return JaxLearner(network, recipe, batch_size)

    def hold(
        self, images: Pixels, labels: Labels, floats: Floats, batch_size: int
    ) -> Held:
        return Held(images, labels, floats, self._device, batch_size)

    def matmul_rate(self, size: int, dtype: str) -> float:
        kind = self._dtype(dtype)
        operands = [self._put(m.astype(kind)) for m in probe.factors(size)]
        multiply = compiled(jnp.matmul, dtype, *operands).call
        pending: list[Array] = []

        def barrier() -> None:
            jax.block_until_ready(pending)
            pending.clear()

        return probe.product_rate(
            size, lambda: pending.append(multiply(*operands)), barrier
        )

    def copy_rate(self) -> float:
        given = self._put(np.ones(probe.COPY_BYTES // 4, np.float32))
        # A negation, as XLA would hand a mere copy through; it reads and writes alike.
        negate = compiled(jnp.negative, "float32", given).call
        pending: list[Array] = []

        def barrier() -> None:
            jax.block_until_ready(pending)
            pending.clear()

        return probe.copy_rate(lambda: pending.append(negate(given)), barrier)

    def effective_precision(self, dtype: str) -> str:
        kind = self._dtype(dtype)

        def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            a, b = (self._put(matrix.astype(kind)) for matrix in (left, right))
            with jax.default_matmul_precision(PRECISION[dtype]):
                return np.asarray(jnp.matmul(a, b)).astype(np.float64)

        return probe.precision_of(multiply)

    def convolution_precision(self, dtype: str) -> str:
        kind = self._dtype(dtype)

        def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            # A 1 x 1 convolution: rows are pixels, columns of `right` are channels out.
            image, kernel = (self._put(m.astype(kind)) for m in (left, right))
            with jax.default_matmul_precision(PRECISION[dtype]):
                made = jax.lax.conv_general_dilated(
                    image[None, :, None],
                    kernel[None, None],
                    (1, 1),
                    "VALID",
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                )
            return np.asarray(made)[0, :, 0].astype(np.float64)

        return probe.precision_of(multiply)

    def reset_peak_memory(self) -> bool:
        return self.device_kind == "cpu" and probe.reset_peak_rss()

    def peak_memory(self) -> tuple[int, str]:
        stats = self._device.memory_stats()
        if stats is None:
            return probe.peak_rss()
        return stats["peak_bytes_in_use"], "device peak in use (jax memory_stats)"

    def is_out_of_memory(self, error: BaseException) -> bool:
        return probe.is_memory_error(error)

    def _dtype(self, dtype: str) -> Any:
        if probe.check_dtype(dtype) == "float64":
            jax.config.update("jax_enable_x64", True)
        return DTYPES[dtype]

    def _put(self, array: np.ndarray) -> Array:
        return put(array, self._device)


def _device_name(device: jax.Device) -> str:
    if device.platform != "cpu":
        return str(device.device_kind)
    return cores.topology().name or "cpu"
