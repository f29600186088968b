"""What a framework must be able to do, and how to get one. The twins do it.

One process uses one framework: jax and torch fight over threads and memory, so only
the parity tests load both. Nothing here imports either; `load` does, by name, late.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8, UInt32

from bench.errors import MissingPackage, StudyError, unknown
from bench.specs import PROBE_LOSSES as PROBE_LOSSES

if TYPE_CHECKING:
    from bench.models import ModelSpec
    from bench.recipes.recipe import Recipe

FRAMEWORKS = ("jax", "torch")
_PACKAGES = {"jax": ("jax", "flax", "optax"), "torch": ("torch",)}

Images = Float32[np.ndarray, "batch height width 3"]
Labels = Int[np.ndarray, "batch"]
SoftLabels = Float32[np.ndarray, "batch classes"]
"""Shares of the classes, as mixup makes them."""
Key = UInt32[np.ndarray, "2"]
"""What a step's dropout masks depend on; see `bench.models.noise`."""
Logits = Float32[np.ndarray, "batch classes"]
Features = Float32[np.ndarray, "batch width"]
Pixels = UInt8[np.ndarray, "images height width 3"]
Picks = Int[np.ndarray, "picks"]
Floats = Float[np.ndarray, "256"]
Weights = Mapping[str, np.ndarray]
"""Canonical name (as in the released files) -> array, float32."""


PROBE_IMAGES, PROBE_CLASSES = 4, 64


class Model(Protocol):
    """A network with weights, numpy in and numpy out."""

    def predict(self, images: Images) -> Logits: ...
    def features(self, images: Images) -> Features: ...
    def state_dict(self) -> dict[str, np.ndarray]: ...


class EventTimer(Protocol):
    """The device's own clock over one block. Read it after the barrier."""

    name: str

    def start(self) -> None:
        """Mark the time at which the device gets to the work that follows."""

    def stop(self) -> None:
        """Mark the time at which the device is through with the work before."""

    def seconds(self) -> float:
        """Between the two marks."""


class Workload(Protocol):
    """One step on resident data, built and ready to be timed.

    It may also offer `events`, an `EventTimer`; without one the host's clock is used.
    """

    variant: str
    """How the step was built: `jit`, `eager`, ..."""
    layout: str
    attention: str | None
    """How attention was computed; None in a network without it."""
    products: str | None
    """Dtypes of the products' operands in the compiled program; None where the
    framework does not tell."""
    compile_s: float | None
    """Trace and compile, apart from execution; None where nothing is compiled."""
    compile_cached: bool | None
    """Whether the program came from an earlier process; None as above."""

    def enqueue(self) -> None:
        """Start one step. On an asynchronous device this returns at once."""

    def barrier(self) -> None:
        """Return when everything enqueued is done: the whole output, not a part."""

    def checksum(self) -> float:
        """Read back one number that depends on every output of the last step."""

    def outputs(self) -> list[float]:
        """What the step computes, for comparison with another framework's.

        Logits of the first `PROBE_IMAGES` images and `PROBE_CLASSES` classes; of a
        training step, the losses of its first `PROBE_LOSSES` calls.
        """

    def compilations(self) -> int:
        """Compilations so far; a rise inside the window spoils the window."""


class Held(Protocol):
    """Training images on the device."""

    def batch(self, picks: Picks) -> tuple[Any, Any]:
        """The images and labels at these positions, as `Learner.step` takes them."""


class Learner(Protocol):
    """A network being trained."""

    compile_s: float
    """Seconds spent compiling so far; never part of the measured training time."""
    compile_cached: bool | None
    """Whether any program came from an earlier process; None: nothing is compiled."""

    def step(
        self,
        images: Images,
        labels: Labels | SoftLabels,
        learning_rate: float,
        key: Key | None = None,
    ) -> None:
        """One optimiser step, started but not waited for.

        Images and labels are numpy arrays, or on the device as `Held` gives them.

        A recipe with dropout or stochastic depth needs the step's key.
        """

    def barrier(self) -> None:
        """Return when every step is done."""

    def losses(self) -> list[float]:
        """Mean training loss of each step so far, oldest first. Waits."""

    def logits(self, images: Images) -> Logits: ...
    def features(self, images: Images) -> Features: ...
    def state_dict(self) -> dict[str, np.ndarray]: ...

    def snapshot(self) -> dict[str, np.ndarray]:
        """All that the steps to come depend on, and the losses so far. Waits.

        `weights/<canonical name>`, `optimizer/...` and `losses`.
        """

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Become the learner that was in this state; its images come again by step.

        Raises:
            UnfitCheckpoint: the state is of another optimiser; nothing has changed.
        """


class Backend(Protocol):
    """A framework on one device. `jax` and `torch` each have one twin."""

    name: str
    device_kind: str
    """cpu, cuda, ... what `device="auto"` became."""
    device_name: str

    def model(self, spec: ModelSpec, weights: Weights, *, dtype: str) -> Model: ...
    def infer(
        self,
        spec: ModelSpec,
        weights: Weights,
        images: Images,
        *,
        dtype: str,
        variant: str | None = None,
        peer: str | None = None,
    ) -> Workload: ...
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
    ) -> Workload: ...
    def learner(
        self,
        spec: ModelSpec,
        weights: Weights,
        recipe: Recipe,
        *,
        batch_size: int,
        dtype: str,
    ) -> Learner: ...
    def hold(
        self, images: Pixels, labels: Labels, floats: Floats, batch_size: int
    ) -> Held:
        """Images kept on the device; `floats` says what each byte becomes."""

    def matmul_rate(self, size: int, dtype: str) -> float:
        """FLOP/s of a size x size matrix product: a ceiling for every model."""

    def copy_rate(self) -> float:
        """Bytes per second of a copy in the device's memory, read and write counted."""

    def effective_precision(self, dtype: str) -> str:
        """What a matmul labelled `dtype` computes in: a probe against float64."""

    def convolution_precision(self, dtype: str) -> str:
        """The same of a convolution: other switches than the matmul's decide on it."""

    def reset_peak_memory(self) -> bool:
        """Start the peak again from here; False where that cannot be done."""

    def peak_memory(self) -> tuple[int, str]:
        """Peak bytes so far and the method that read them."""

    def is_out_of_memory(self, error: BaseException) -> bool: ...


def check_framework(name: str) -> None:
    """Refuse an unknown framework, and one that is not installed, in one line each."""
    if name not in FRAMEWORKS:
        raise StudyError(unknown("framework", name, FRAMEWORKS))
    for package in _PACKAGES[name]:
        if importlib.util.find_spec(package) is None:
            raise MissingPackage(package, extra=name)


def installed(name: str) -> bool:
    """Whether every package of a framework is there; imports none of them."""
    return all(importlib.util.find_spec(package) for package in _PACKAGES[name])


def load(name: str, device: str = "auto") -> Backend:
    """The backend of one framework on one device, imported now."""
    check_framework(name)
    module: Any = importlib.import_module(f"bench.backend_{name}")
    backend: Backend = module.open_backend(device)
    return backend
