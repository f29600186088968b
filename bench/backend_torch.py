"""torch on one device: eager, as people run it. Twin of `backend_jax`.

Eager is the protocol's policy for every family; `variants_torch` holds the tuned
track's. TF32 is off unless the dtype says so. Images come as NHWC; the ResNets copy
them to NCHW in the step, as torch's group norm is one-pass in channels_last, and their
rows say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import cores, models, peers, probe, variants, variants_torch
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
from bench.learner_torch import TorchLearner, Update, on_device
from bench.models import ModelSpec
from bench.recipes.recipe import Recipe
from bench.resident_torch import Held

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


def open_backend(device: str = "auto") -> TorchBackend:
    """The backend on `device`; auto is the accelerator that torch finds, else cpu."""
    here = [*_accelerators(), "cpu"]
    kind = here[0] if device == "auto" else device
    if kind not in here:
        raise StudyError(
            f"{unknown('device', device, ['auto', *here])} (for torch here)"
        )
    torch.set_num_threads(cores.threads())
    return TorchBackend(torch.device(kind))


def _accelerators() -> list[str]:
    """The one that this torch drives: cuda (ROCm too), xpu, mps, or one plugged in."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return [] if found is None else [found.type]


def build(
    spec: ModelSpec,
    weights: Weights,
    dtype: str,
    device: torch.device,
    peer: str | None = None,
) -> nn.Module:
    """The network on the device, with TF32 switched as the dtype says."""
    _switch_tf32(probe.check_dtype(dtype) == "tf32")
    twin = models.twin(spec, "torch") if peer is None else peers.twin(peer)
    module: nn.Module = twin.build(spec, weights, dtype=dtype)
    return module.to(device)


def _switch_tf32(on: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def barrier_of(device: torch.device) -> Callable[[], None]:
    """What returns when the device is idle. On the cpu, eager steps end in order."""
    if device.type == "cpu":
        return lambda: None
    return lambda: torch.accelerator.synchronize()


class CudaEvents:
    """CUDA's own clock, on the stream that eager steps are queued to."""

    name = "cuda events"

    def __init__(self) -> None:
        self._first = torch.cuda.Event(enable_timing=True)
        self._last = torch.cuda.Event(enable_timing=True)

    def start(self) -> None:
        self._first.record()

    def stop(self) -> None:
        self._last.record()

    def seconds(self) -> float:
        return float(self._first.elapsed_time(self._last)) / 1e3


def events_of(device: torch.device) -> CudaEvents | None:
    """The device's own clock where it has one."""
    return CudaEvents() if device.type == "cuda" else None


class TorchModel:
    """A network with weights, numpy in and numpy out."""

    def __init__(self, spec: ModelSpec, module: nn.Module, device: torch.device):
        self._spec, self._module, self._device = spec, module, device

    def predict(self, images: Images) -> Logits:
        return self._run(self._module, images)

    def features(self, images: Images) -> Features:
        return self._run(self._module.features, images)

    def state_dict(self) -> dict[str, np.ndarray]:
        dumped: dict[str, np.ndarray] = models.twin(self._spec, "torch").dump(
            self._module
        )
        return dumped

    def _run(self, forward: Callable[[Tensor], Tensor], images: Images) -> np.ndarray:
        with torch.inference_mode():
            return forward(on_device(images, self._device)).cpu().numpy()


@dataclass(frozen=True)
class _How:
    """How a step is built: what its row says of it."""

    variant: str
    layout: str
    kernel: str | None = None
    """Of attention; null where nothing attends."""


class _Infer:
    """Forward passes over one resident batch."""

    products = None  # torch does not tell

    def __init__(self, module: nn.Module, images: Tensor, how: _How):
        self.variant, self.layout, self.attention = how.variant, how.layout, how.kernel
        self._forward = variants_torch.wrapped(module, how.variant)
        self._images = images
        self._logits = images.new_zeros(())
        self.barrier = barrier_of(images.device)
        self.events = events_of(images.device)
        built = variants_torch.first_call(how.variant, self._once)
        self.compile_s, self.compile_cached = built.seconds, built.cached

    def enqueue(self) -> None:
        with torch.inference_mode(), variants_torch.attention(self.variant):
            self._logits = self._forward(self._images)

    def _once(self) -> None:
        self.enqueue()
        self.barrier()

    def checksum(self) -> float:
        with torch.inference_mode():
            return float(self._logits.sum())

    def outputs(self) -> list[float]:
        logits = self._logits[:PROBE_IMAGES, :PROBE_CLASSES]
        return [float(value) for value in logits.flatten().tolist()]

    def compilations(self) -> int:
        return variants_torch.compilations()


class _Train:
    """Optimiser steps on one resident batch."""

    products = None  # torch does not tell

    def __init__(
        self, update: Update, images: Tensor, labels: Tensor, rate: float, how: _How
    ):
        self.variant, self.layout, self.attention = how.variant, how.layout, how.kernel
        self._update, self._batch, self._rate = update, (images, labels), rate
        update.objective = variants_torch.wrapped(update.objective, how.variant)
        self._loss = images.new_zeros(())
        self._losses: list[Tensor] = []
        self.barrier = barrier_of(images.device)
        self.events = events_of(images.device)
        built = variants_torch.first_call(how.variant, self._once)
        self.compile_s, self.compile_cached = built.seconds, built.cached

    def enqueue(self) -> None:
        with variants_torch.attention(self.variant):
            self._loss = self._update(*self._batch, self._rate)
        if len(self._losses) < PROBE_LOSSES:
            self._losses.append(self._loss.clone())

    def _once(self) -> None:
        self.enqueue()
        self.barrier()

    def checksum(self) -> float:
        # One number of each output: a whole one is ready, or none of it is.
        with torch.no_grad():
            firsts = [tensor.flatten()[0] for tensor in self._update.state()]
            return float(torch.stack([*firsts, self._loss]).sum())

    def outputs(self) -> list[float]:
        return [float(loss) for loss in self._losses]

    def compilations(self) -> int:
        return variants_torch.compilations()


class TorchBackend:
    """Everything that is asked of torch on one device."""

    name = "torch"

    def __init__(self, device: torch.device):
        self._device = device
        self.device_kind = device.type
        self.device_name = _device_name(device)

    def model(self, spec: ModelSpec, weights: Weights, *, dtype: str) -> TorchModel:
        module = build(spec, weights, dtype, self._device)
        return TorchModel(spec, module, self._device)

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
        module = build(spec, weights, dtype, self._device, peer).eval()
        how = self._how(spec, dtype, variant, peer, training=False)
        variants_torch.arrange(module, how.variant, training=False)
        batch = on_device(images, self._device)
        batch = variants_torch.resident(batch, spec.family, how.variant, peer)
        return _Infer(module, batch, how)

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
        update = self._update(spec, weights, recipe, dtype, peer)
        how = self._how(spec, dtype, variant, peer, training=True)
        variants_torch.arrange(update.module, how.variant, training=True)
        batch = on_device(images, self._device)
        batch = variants_torch.resident(batch, spec.family, how.variant, peer)
        wanted = on_device(labels, self._device)
        return _Train(update, batch, wanted, recipe.learning_rate, how)

    def learner(
        self,
        spec: ModelSpec,
        weights: Weights,
        recipe: Recipe,
        *,
        batch_size: int,
        dtype: str,
    ) -> TorchLearner:
        update = self._update(spec, weights, recipe, dtype)
        part = batch_size // recipe.accumulate
        return TorchLearner(spec, update, part, self._device, barrier_of(self._device))

    def hold(
        self, images: Pixels, labels: Labels, floats: Floats, batch_size: int
    ) -> Held:
        return Held(images, labels, floats, self._device)

    def _update(
        self,
        spec: ModelSpec,
        weights: Weights,
        recipe: Recipe,
        dtype: str,
        peer: str | None = None,
    ) -> Update:
        module = build(spec, weights, probe.check_trainable(dtype), self._device, peer)
        twin = models.twin(spec, "torch") if peer is None else peers.twin(peer)
        names = twin.canonical_names(module)
        return Update(module, names, recipe, spec.branches)

    def _how(
        self,
        spec: ModelSpec,
        dtype: str,
        variant: str | None,
        peer: str | None,
        *,
        training: bool,
    ) -> _How:
        """What the row says of a step; asked under the variant's own switches."""
        chosen = variant or variants.DEFAULT["torch"]
        layout = variants_torch.layout(spec.family, chosen, peer)
        if not spec.attends:
            return _How(chosen, layout)
        written_out = variants_torch.written_out_attention(chosen, DTYPES[dtype])
        if written_out:
            return _How(chosen, layout, written_out)
        twin = models.twin(spec, "torch") if peer is None else peers.twin(peer)
        with variants_torch.attention(chosen):
            kernel: str = twin.attention_kernel(
                spec, DTYPES[dtype], self._device, training=training
            )
        return _How(chosen, layout, kernel)

    def matmul_rate(self, size: int, dtype: str) -> float:
        _switch_tf32(probe.check_dtype(dtype) == "tf32")
        kind, device = DTYPES[dtype], self._device
        left, right = (
            torch.from_numpy(m).to(device, kind) for m in probe.factors(size)
        )
        out = torch.empty_like(left)
        with torch.inference_mode():
            return probe.product_rate(
                size, lambda: torch.mm(left, right, out=out), barrier_of(device)
            )

    def copy_rate(self) -> float:
        given = torch.ones(probe.COPY_BYTES // 4, device=self._device)
        out = torch.empty_like(given)
        return probe.copy_rate(lambda: out.copy_(given), barrier_of(self._device))

    def effective_precision(self, dtype: str) -> str:
        _switch_tf32(probe.check_dtype(dtype) == "tf32")

        def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            a, b = (torch.from_numpy(m).to(DTYPES[dtype]) for m in (left, right))
            product = a.to(self._device) @ b.to(self._device)
            return product.cpu().to(torch.float64).numpy()

        return probe.precision_of(multiply)

    def convolution_precision(self, dtype: str) -> str:
        _switch_tf32(probe.check_dtype(dtype) == "tf32")

        def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            # A 1 x 1 convolution: rows are pixels, columns of `right` are channels out.
            image, kernel = (
                torch.from_numpy(m.T.copy()).to(self._device, DTYPES[dtype])
                for m in (left, right)
            )
            made = F.conv2d(image[None, :, :, None], kernel[:, :, None, None])
            return made[0, :, :, 0].t().cpu().to(torch.float64).numpy()

        with torch.inference_mode():
            return probe.precision_of(multiply)

    def reset_peak_memory(self) -> bool:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return True
        return self._device.type == "cpu" and probe.reset_peak_rss()

    def peak_memory(self) -> tuple[int, str]:
        if self._device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self._device)
            return peak, "device peak allocated (torch.cuda.max_memory_allocated)"
        return probe.peak_rss()

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, torch.OutOfMemoryError) or probe.is_memory_error(error)


def _device_name(device: torch.device) -> str:
    if device.type in ("cuda", "xpu"):
        return str(getattr(torch, device.type).get_device_name(device))
    return cores.topology().name or device.type
