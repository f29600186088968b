"""BiT: the pre-activation ResNet (v2) of Kolesnikov et al., 2020, arXiv 1912.11370.

Group norm and weight-standardised convolutions without bias. Published BiT numbers
belong to this form; the post-activation form of later code is `resnet_v1`.
Names are those of the released files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from bench.models.spec import ModelSpec, Tensor, Tensors, listed_name, norm, under

PREFIX = "BiT"
OPTIONS: tuple[str, ...] = ()

WEIGHT_EPS = 1e-10  # inside the root of the biased variance, as in the released code
GROUP_NORM_EPS = 1e-5

BLOCKS = {
    # depth: units in each of the four stages
    14: (1, 1, 1, 1),
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}

VARIANTS = {
    # name: (depth, channels of the stem = 64 x width factor)
    "R50x1": (50, 64),
    "R50x2": (50, 128),
    "R50x3": (50, 192),
    "R101x1": (101, 64),
    "R101x3": (101, 192),
    "R152x1": (152, 64),
    "R152x2": (152, 128),
    "R152x4": (152, 256),
    "R200x3": (200, 192),
    # demo sizes, which train on two CPU cores and keep the strided stem
    "R14x1/4": (14, 16),
    "R26x1/4": (26, 16),
}

LISTED = tuple(f"{PREFIX}-{size}" for size in VARIANTS)

EXPANSION = 4  # channels that leave a unit, over those of its 3x3 convolution


@dataclass(frozen=True)
class Unit:
    """One bottleneck; the stride sits on its 3x3 convolution."""

    inputs: int
    middle: int
    stride: int
    projects: bool
    """Whether the shortcut needs a 1x1 convolution: the first unit of a stage."""

    @property
    def outputs(self) -> int:
        return self.middle * EXPANSION


def num_groups(channels: int) -> int:
    """Groups of a group norm: 32, or fewer where a group would hold one channel only.

    R50x1 has at least two channels in a group; the narrow demo sizes keep to that,
    because one channel on a 1x1 map would be normalised to nothing.
    """
    return min(32, channels // 2)


def halved(size: int) -> int:
    """Side of a map after a stride of 2, in every padding used here."""
    return (size + 1) // 2


@dataclass(frozen=True, kw_only=True)
class ResNetSpec(ModelSpec):
    """One BiT at one resolution."""

    family: ClassVar[str] = "resnet"
    unit_format: ClassVar[str] = "unit{:02d}"
    aliases: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"/standardized_conv2d_\d+/", "/standardized_conv2d/"),
        # the names of big_vision's bit_paper
        (r"^root_block/conv_root/", "resnet/root_block/standardized_conv2d/"),
        (r"^(block\d/unit\d+)/conv_proj/", r"resnet/\1/a/proj/standardized_conv2d/"),
        *(
            rule
            for number, letter in enumerate("abc", 1)
            for rule in (
                (
                    rf"^(block\d/unit\d+)/conv{number}/",
                    rf"resnet/\1/{letter}/standardized_conv2d/",
                ),
                (
                    rf"^(block\d/unit\d+)/gn{number}/",
                    rf"resnet/\1/{letter}/group_norm/",
                ),
            )
        ),
        (r"^norm-pre-head/", "resnet/group_norm/"),
        (r"^head/", "resnet/head/conv2d/"),
        (r"/group_norm/scale$", "/group_norm/gamma"),
        (r"/group_norm/bias$", "/group_norm/beta"),
    )

    blocks: tuple[int, ...]
    stem_width: int

    @property
    def width(self) -> int:
        return list(self.units())[-1][1].outputs

    @property
    def tokens(self) -> None:
        return None

    def stages(self) -> dict[str, dict[str, Unit]]:
        """Stage name -> unit name -> bottleneck, from the image to the head."""
        stages: dict[str, dict[str, Unit]] = {}
        inputs = self.stem_width
        for stage, count in enumerate(self.blocks):
            units = stages.setdefault(f"block{stage + 1}", {})
            middle = self.stem_width * 2**stage
            for i in range(count):
                stride = 2 if i == 0 and stage else 1
                unit = Unit(inputs, middle, stride, projects=i == 0)
                units[self.unit_format.format(i + 1)] = unit
                inputs = unit.outputs
        return stages

    def units(self) -> Iterator[tuple[str, Unit]]:
        """Every bottleneck with its path."""
        for stage, units in self.stages().items():
            for name, unit in units.items():
                yield f"{stage}/{name}", unit

    @property
    def macs(self) -> int:
        size = halved(self.image_size)
        total = size**2 * 7 * 7 * 3 * self.stem_width
        size = halved(size)
        for _, unit in self.units():
            total += size**2 * unit.inputs * unit.middle
            size = halved(size) if unit.stride == 2 else size
            per_pixel = 9 * unit.middle**2 + unit.middle * unit.outputs
            per_pixel += unit.inputs * unit.outputs if unit.projects else 0
            total += size**2 * per_pixel
        return total + self.width * self.num_classes

    @property
    def branches(self) -> int:
        return sum(self.blocks)

    def tensors(self) -> Tensors:
        table = under("resnet/root_block", _conv(7, 3, self.stem_width))
        for name, unit in self.units():
            table |= under(f"resnet/{name}", _unit(unit))
        table |= under("resnet", _group_norm(self.width))
        head = (1, 1, self.width, self.num_classes)
        table["resnet/head/conv2d/kernel"] = Tensor(head, "zeros")
        table["resnet/head/conv2d/bias"] = Tensor((self.num_classes,), "zeros")
        return table


def _conv(size: int, inputs: int, outputs: int) -> Tensors:
    shape = (size, size, inputs, outputs)
    return {"standardized_conv2d/kernel": Tensor(shape, "lecun_normal")}


def _group_norm(width: int) -> Tensors:
    return under("group_norm", norm(width, "gamma", "beta"))


def _unit(unit: Unit) -> Tensors:
    table = under("a", _group_norm(unit.inputs) | _conv(1, unit.inputs, unit.middle))
    if unit.projects:
        table |= under("a/proj", _conv(1, unit.inputs, unit.outputs))
    table |= under("b", _group_norm(unit.middle) | _conv(3, unit.middle, unit.middle))
    return table | under(
        "c", _group_norm(unit.middle) | _conv(1, unit.middle, unit.outputs)
    )


def printed(text: str) -> str:
    """`bit_r50x1` -> `BiT-R50x1`."""
    return listed_name(text, LISTED)


def spec(text: str, *, image_size: int, num_classes: int) -> ResNetSpec:
    """The spec of `BiT-R50x1` and its like; only the listed sizes exist."""
    name = printed(text)
    depth, stem_width = VARIANTS[name.removeprefix(f"{PREFIX}-")]
    return ResNetSpec(
        name=name,
        image_size=image_size,
        num_classes=num_classes,
        blocks=BLOCKS[depth],
        stem_width=stem_width,
    )
