"""ResNet v1 with group norm, in the form of the ViT authors' released code.

Post-activation: a group norm after each convolution, also on the shortcut, and a ReLU
after the sum. The ResNet rows of the ViT and Mixer papers that were trained with Adam
may be this form or BiT's; the papers do not say.

Epsilons are big_vision's: 1e-5 added to the standard deviation of a kernel, 1e-6
inside the root of a group norm. (Scenic uses 1e-10 inside the root and 1e-4.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.models.resnet import BLOCKS, ResNetSpec, Unit
from bench.models.spec import Tensor, Tensors, dense, listed_name, norm, under

PREFIX = "ResNetV1"
OPTIONS: tuple[str, ...] = ()

WEIGHT_EPS = 1e-5
GROUP_NORM_EPS = 1e-6

VARIANTS = {
    # name: (depth, channels of the stem = 64 x width factor)
    "R50x1": (50, 64),
}

LISTED = tuple(f"{PREFIX}-{size}" for size in VARIANTS)


def same_border(size: int, window: int, stride: int) -> tuple[int, int]:
    """Cells before and after an axis so that it gives size / stride, rounded up."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True, kw_only=True)
class ResNetV1Spec(ResNetSpec):
    """One ResNet v1 at one resolution; its convolutions are BiT's."""

    family: ClassVar[str] = "resnet_v1"
    unit_format: ClassVar[str] = "unit{}"
    aliases: ClassVar[tuple[tuple[str, str], ...]] = ()

    def tensors(self) -> Tensors:
        table = _conv("conv_root", 7, 3, self.stem_width)
        table |= under("gn_root", norm(self.stem_width))
        for name, unit in self.units():
            table |= under(name, _unit(unit))
        return table | under("head", dense(self.width, self.num_classes, "zeros"))


def _conv(name: str, size: int, inputs: int, outputs: int) -> Tensors:
    return {f"{name}/kernel": Tensor((size, size, inputs, outputs), "lecun_normal")}


def _unit(unit: Unit) -> Tensors:
    table: Tensors = {}
    if unit.projects:
        table |= _conv("conv_proj", 1, unit.inputs, unit.outputs)
        table |= under("gn_proj", norm(unit.outputs))
    table |= _conv("conv1", 1, unit.inputs, unit.middle)
    table |= under("gn1", norm(unit.middle))
    table |= _conv("conv2", 3, unit.middle, unit.middle)
    table |= under("gn2", norm(unit.middle))
    table |= _conv("conv3", 1, unit.middle, unit.outputs)
    # a scale of zero makes a fresh unit the identity, up to its ReLU
    table["gn3/scale"] = Tensor((unit.outputs,), "zeros")
    table["gn3/bias"] = Tensor((unit.outputs,), "zeros")
    return table


def printed(text: str) -> str:
    """`resnetv1-r50x1` -> `ResNetV1-R50x1`."""
    return listed_name(text, LISTED)


def spec(text: str, *, image_size: int, num_classes: int) -> ResNetV1Spec:
    """The spec of `ResNetV1-R50x1`, the one size."""
    name = printed(text)
    depth, stem_width = VARIANTS[name.removeprefix(f"{PREFIX}-")]
    return ResNetV1Spec(
        name=name,
        image_size=image_size,
        num_classes=num_classes,
        blocks=BLOCKS[depth],
        stem_width=stem_width,
    )
