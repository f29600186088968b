"""BiT (ResNet v2 with group norm) in torch. Twin of `resnet_jax`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bench.models.layers_torch import (
    COMPUTE,
    Conv,
    Dense,
    Weights,
    arrays,
    canonical_names,
    dump,
    wide,
)
from bench.models.noise_torch import Noise, branched, dropped
from bench.models.resnet import (
    GROUP_NORM_EPS,
    WEIGHT_EPS,
    ResNetSpec,
    Unit,
    num_groups,
)
from bench.models.spec import scope

__all__ = ["BottleneckUnit", "GroupNorm", "Head", "NormedConv", "Projection", "ResNet"]
__all__ += ["ResNetBody", "RootBlock", "Stage", "StdConv"]
__all__ += ["build", "canonical_names", "dump"]


class StdConv(Conv):
    """A convolution whose kernels have mean 0 and variance 1 over (H, W, I)."""

    def standardized(self) -> Float[Tensor, "out inputs height width"]:
        # a layer norm without scale is exactly that, biased variance included
        return F.layer_norm(self.kernel, self.kernel.shape[1:], eps=WEIGHT_EPS)


class GroupNorm(nn.Module):
    """Over space and the channels of a group."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.gamma = nn.Parameter(weights["gamma"])
        self.beta = nn.Parameter(weights["beta"])

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        gamma, beta = self.gamma.to(x.dtype), self.beta.to(x.dtype)
        return F.group_norm(x, num_groups(x.shape[1]), gamma, beta, GROUP_NORM_EPS)


class Projection(nn.Module):
    """The convolution of a shortcut, one level down as in the released files."""

    def __init__(self, weights: Weights, dtype: torch.dtype, stride: int) -> None:
        super().__init__()
        conv = scope("standardized_conv2d", weights)
        self.standardized_conv2d = StdConv(conv, dtype, stride)

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch out height_out width_out"]:
        return self.standardized_conv2d(x)


class NormedConv(nn.Module):
    """Group norm, ReLU, convolution: part a, b or c of a unit."""

    def __init__(
        self, weights: Weights, dtype: torch.dtype, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.group_norm = GroupNorm(scope("group_norm", weights))
        conv = scope("standardized_conv2d", weights)
        self.standardized_conv2d = StdConv(conv, dtype, stride, padding)

    def activated(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch inputs height width"]:
        return F.relu(self.group_norm(x))


class BottleneckUnit(nn.Module):
    """1x1, 3x3, 1x1 convolution; a projected shortcut starts after the first ReLU."""

    def __init__(self, unit: Unit, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.projects = unit.projects
        self.a = NormedConv(scope("a", weights), dtype)
        if unit.projects:
            self.a.proj = Projection(scope("a/proj", weights), dtype, unit.stride)
        self.b = NormedConv(scope("b", weights), dtype, unit.stride, padding=1)
        self.c = NormedConv(scope("c", weights), dtype)

    def forward(
        self, x: Float[Tensor, "batch inputs height width"], noise: Noise | None = None
    ) -> Float[Tensor, "batch out height_out width_out"]:
        y = self.a.activated(x)
        shortcut = self.a.proj(y) if self.projects else x
        y = self.a.standardized_conv2d(y)
        y = self.b.standardized_conv2d(self.b.activated(y))
        y = self.c.standardized_conv2d(self.c.activated(y))
        return branched(y, noise) + shortcut


class Stage(nn.Module):
    """The units of one resolution."""

    def __init__(
        self, units: Mapping[str, Unit], weights: Weights, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.units = tuple(units)
        for name, unit in units.items():
            setattr(self, name, BottleneckUnit(unit, scope(name, weights), dtype))

    def forward(
        self, x: Float[Tensor, "batch inputs height width"], noise: Noise | None = None
    ) -> Float[Tensor, "batch out height_out width_out"]:
        for name in self.units:
            x = getattr(self, name)(x, noise)
        return x


class RootBlock(nn.Module):
    """7x7 convolution and max-pool, both with stride 2 over a border of zeros."""

    def __init__(self, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        conv = scope("standardized_conv2d", weights)
        self.standardized_conv2d = StdConv(conv, dtype, stride=2, padding=3)

    def forward(
        self, x: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch out height_out width_out"]:
        x = self.standardized_conv2d(x)
        # zeros take part in the maximum here; padding=1 would pad with -inf
        return F.max_pool2d(F.pad(x, (1, 1, 1, 1)), kernel_size=3, stride=2)


class Head(nn.Module):
    """The 1x1 convolution of the released files, on pooled features."""

    def __init__(self, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv2d = Dense(scope("conv2d", weights), dtype)

    def forward(
        self, x: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch classes"]:
        return self.conv2d(x)


class ResNetBody(nn.Module):
    """Root, stages, final norm, head."""

    def __init__(self, spec: ResNetSpec, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.root_block = RootBlock(scope("root_block", weights), dtype)
        self.stages = tuple(spec.stages())
        for name, units in spec.stages().items():
            setattr(self, name, Stage(units, scope(name, weights), dtype))
        self.group_norm = GroupNorm(scope("group_norm", weights))
        self.head = Head(scope("head", weights), dtype)

    def forward(
        self, x: Float[Tensor, "batch 3 height width"], noise: Noise | None = None
    ) -> Float[Tensor, "batch width"]:
        x = self.root_block(x)
        for name in self.stages:
            x = getattr(self, name)(x, noise)
        return wide(F.relu(self.group_norm(x))).mean(dim=(2, 3))


class ResNet(nn.Module):
    """BiT; everything stands under `resnet`, as in the released files."""

    memory_format = torch.contiguous_format
    """Of the activations; a tuned variant sets channels_last."""

    def __init__(self, spec: ResNetSpec, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.resnet = ResNetBody(spec, scope("resnet", weights), dtype)

    @property
    def head(self) -> Head:
        return self.resnet.head

    def features(
        self, images: Float[Tensor, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Tensor, "batch width"]:
        x = images.permute(0, 3, 1, 2).contiguous(memory_format=self.memory_format)
        return self.resnet(x, noise)

    def forward(
        self, images: Float[Tensor, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Tensor, "batch classes"]:
        return wide(self.head(dropped(self.features(images, noise), noise)))


def build(
    spec: ResNetSpec, weights: Mapping[str, np.ndarray], *, dtype: str
) -> nn.Module:
    """The network of `spec` with these weights, computing in `dtype`."""
    return ResNet(spec, arrays(weights, dtype), COMPUTE[dtype])
