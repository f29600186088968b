"""What every family says about a network before any framework builds it."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np

from bench.errors import StudyError, unknown

LAYER_NORM_EPS = 1e-6  # the Flax default, which the released networks were trained with


@dataclass(frozen=True)
class Tensor:
    """Shape of one parameter and the name of its initialiser in `weights.INITIALISERS`.

    `input_axes` counts the leading axes that a product contracts over; None is all
    but the last, right for dense (in, out) and convolution (H, W, I, O) kernels. The
    first `copies` axes number layers that stand side by side, each with its own fans.
    """

    shape: tuple[int, ...]
    init: str
    input_axes: int | None = None
    copies: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def fans(self) -> tuple[int, int]:
        """Sizes of the contracted and of the produced axes."""
        shape = self.shape[self.copies :]
        cut = len(shape) - 1 if self.input_axes is None else self.input_axes
        return math.prod(shape[:cut]), math.prod(shape[cut:])


Tensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class ModelSpec(ABC):
    """A network in numbers. Frozen: equal specs are the same network."""

    family: ClassVar[str]
    aliases: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Patterns that turn other names in circulation into the canonical ones."""
    attends: ClassVar[bool] = False
    """Whether its twins say how they attend, by `attention_kernel`."""

    name: str
    image_size: int
    num_classes: int

    def __post_init__(self) -> None:
        for field in ("image_size", "num_classes"):
            value = getattr(self, field)
            if value < 1:
                raise StudyError(f"{self.name}: {field} {value}; it must be 1 or more")

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of pre-logits features."""

    @property
    @abstractmethod
    def tokens(self) -> int | None:
        """Sequence length, class token included; None where there is no sequence."""

    @property
    @abstractmethod
    def macs(self) -> int:
        """Multiply-accumulates of the matrix products and convolutions, per image."""

    @property
    @abstractmethod
    def branches(self) -> int:
        """Residual branches: what stochastic depth may drop."""

    @abstractmethod
    def tensors(self) -> Tensors:
        """Canonical name -> tensor, in the order of the network."""

    @property
    def param_count(self) -> int:
        """Trainable numbers, head included."""
        return sum(tensor.size for tensor in self.tensors().values())

    @property
    def adam_bytes(self) -> int:
        """What training holds before any activation: weight, gradient, two moments."""
        return 4 * 4 * self.param_count  # each in float32

    def adapted(self, name: str, array: np.ndarray) -> np.ndarray:
        """A tensor of a foreign file in the shape used here, where that is exact."""
        wanted = self.tensors()[name].shape

        def long_axes(shape: tuple[int, ...]) -> list[int]:
            return [n for n in shape if n != 1]

        # (1, 1, 1, C) group norms, (width, classes) heads of 1x1 convolutions
        if long_axes(array.shape) == long_axes(wanted):
            return array.reshape(wanted)
        return array

    def unstacked(self, name: str, array: np.ndarray) -> dict[str, np.ndarray]:
        """A tensor of a foreign file, taken apart where the file stacks blocks."""
        return {name: array}

    def head(self) -> tuple[str, ...]:
        """Names of the tensors that depend on the number of classes."""
        other = replace(self, num_classes=self.num_classes + 1).tensors()
        return tuple(n for n, t in self.tensors().items() if other[n].shape != t.shape)


@dataclass(frozen=True, kw_only=True)
class PatchSpec(ModelSpec):
    """A network over a square grid of square patches."""

    patch_size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_size < 1:
            raise StudyError(f"{self.name}: the patch must be 1 pixel or more")
        if self.image_size % self.patch_size:
            below = self.image_size // self.patch_size * self.patch_size
            near = [n for n in (below, below + self.patch_size) if n]
            raise StudyError(
                f"{self.name}: patch {self.patch_size} does not divide image_size "
                f"{self.image_size}; nearest that work: {', '.join(map(str, near))}"
            )

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size

    def patch_kernel(self) -> tuple[int, int, int, int]:
        """Shape of the stem, as the convolution of the released files."""
        return (self.patch_size, self.patch_size, 3, self.width)


T = TypeVar("T")


def under(prefix: str, tensors: Mapping[str, T]) -> dict[str, T]:
    """The same tensors one level down."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def scope(prefix: str, table: Mapping[str, T]) -> dict[str, T]:
    """What stands below `prefix`, without it; the inverse of `under`."""
    start = f"{prefix}/"
    return {
        name.removeprefix(start): value
        for name, value in table.items()
        if name.startswith(start)
    }


def dense(inputs: int, outputs: int, init: str = "lecun_normal") -> Tensors:
    """A dense layer whose bias starts at zero."""
    return {
        "kernel": Tensor((inputs, outputs), init),
        "bias": Tensor((outputs,), "zeros"),
    }


def norm(width: int, scale: str = "scale", bias: str = "bias") -> Tensors:
    """A layer norm or group norm, the identity at first."""
    return {scale: Tensor((width,), "ones"), bias: Tensor((width,), "zeros")}


def squeezed(text: str) -> str:
    """A model name without case and separators; `/` stays, it divides in `x1/4`."""
    return re.sub(r"[-_\s]", "", text).lower()


def size_and_patch(
    text: str, prefix: str, sizes: Iterable[str], listed: Iterable[str]
) -> tuple[str, int]:
    """Split `mixer_b16`, `Mixer-B/16`, ... into the printed size and the patch."""
    match = re.fullmatch(rf"{prefix.lower()}([a-z]+)/?(\d+)", squeezed(text))
    printed = {size.lower(): size for size in sizes}
    if match is None or match[1] not in printed:
        raise StudyError(unknown("model", text, listed))
    return printed[match[1]], int(match[2])


def listed_name(text: str, listed: Iterable[str]) -> str:
    """The printed form of `bit_r50x1`, for families whose sizes are all listed."""
    known = {squeezed(name): name for name in listed}
    if squeezed(text) not in known:
        raise StudyError(unknown("model", text, known.values()))
    return known[squeezed(text)]
