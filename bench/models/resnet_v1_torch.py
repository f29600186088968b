"""ResNet v1 with group norm in torch. Twin of `resnet_v1_jax`."""

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
from bench.models.resnet import Unit, num_groups
from bench.models.resnet_v1 import (
    GROUP_NORM_EPS,
    WEIGHT_EPS,
    ResNetV1Spec,
    same_border,
)
from bench.models.spec import scope

__all__ = ["BottleneckUnit", "GroupNorm", "ResNetV1", "Stage", "StdConv"]
__all__ += ["build", "canonical_names", "dump"]


class StdConv(Conv):
    """A convolution whose kernels have mean 0 and deviation 1 over (H, W, I)."""

    def standardized(self) -> Float[Tensor, "out inputs height width"]:
        axes = (1, 2, 3)
        centred = self.kernel - self.kernel.mean(axes, keepdim=True)
        deviation = centred.square().mean(axes, keepdim=True).sqrt()
        return centred / (deviation + WEIGHT_EPS)


class GroupNorm(nn.Module):
    """Over space and the channels of a group."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.scale = nn.Parameter(weights["scale"])
        self.bias = nn.Parameter(weights["bias"])

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        scale, bias = self.scale.to(x.dtype), self.bias.to(x.dtype)
        return F.group_norm(x, num_groups(x.shape[1]), scale, bias, GROUP_NORM_EPS)


def same_padded(
    x: Float[Tensor, "batch channels height width"], window: int, stride: int
) -> Float[Tensor, "batch channels height_out width_out"]:
    """Zeros for SAME padding, which puts the odd one after the image."""
    borders = same_border(x.shape[3], window, stride)
    return F.pad(x, (*borders, *same_border(x.shape[2], window, stride)))


class BottleneckUnit(nn.Module):
    """1x1, 3x3, 1x1 convolution, each with its norm; the ReLU follows the sum."""

    def __init__(self, unit: Unit, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.projects = unit.projects
        if unit.projects:
            self.conv_proj = StdConv(scope("conv_proj", weights), dtype, unit.stride)
            self.gn_proj = GroupNorm(scope("gn_proj", weights))
        self.conv1 = StdConv(scope("conv1", weights), dtype)
        self.gn1 = GroupNorm(scope("gn1", weights))
        self.conv2 = StdConv(scope("conv2", weights), dtype, unit.stride)
        self.gn2 = GroupNorm(scope("gn2", weights))
        self.conv3 = StdConv(scope("conv3", weights), dtype)
        self.gn3 = GroupNorm(scope("gn3", weights))

    def forward(
        self, x: Float[Tensor, "batch inputs height width"], noise: Noise | None = None
    ) -> Float[Tensor, "batch out height_out width_out"]:
        shortcut = self.gn_proj(self.conv_proj(x)) if self.projects else x
        y = F.relu(self.gn1(self.conv1(x)))
        y = same_padded(y, window=3, stride=self.conv2.stride)
        y = F.relu(self.gn2(self.conv2(y)))
        y = branched(self.gn3(self.conv3(y)), noise)
        return F.relu(shortcut + y)


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


class ResNetV1(nn.Module):
    """Root, stages, mean over space, head."""

    memory_format = torch.contiguous_format
    """Of the activations; a tuned variant sets channels_last."""

    def __init__(
        self, spec: ResNetV1Spec, weights: Weights, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.conv_root = StdConv(scope("conv_root", weights), dtype, stride=2)
        self.gn_root = GroupNorm(scope("gn_root", weights))
        self.stages = tuple(spec.stages())
        for name, units in spec.stages().items():
            setattr(self, name, Stage(units, scope(name, weights), dtype))
        self.head = Dense(scope("head", weights), dtype)

    def features(
        self, images: Float[Tensor, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Tensor, "batch width"]:
        x = images.permute(0, 3, 1, 2).contiguous(memory_format=self.memory_format)
        x = self.conv_root(same_padded(x, window=7, stride=2))
        x = F.relu(self.gn_root(x))
        # after a ReLU a border of zeros is as good as one of -inf
        x = F.max_pool2d(same_padded(x, window=3, stride=2), kernel_size=3, stride=2)
        for name in self.stages:
            x = getattr(self, name)(x, noise)
        return wide(x).mean(dim=(2, 3))

    def forward(
        self, images: Float[Tensor, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Tensor, "batch classes"]:
        return wide(self.head(dropped(self.features(images, noise), noise)))


def build(
    spec: ResNetV1Spec, weights: Mapping[str, np.ndarray], *, dtype: str
) -> nn.Module:
    """The network of `spec` with these weights, computing in `dtype`."""
    return ResNetV1(spec, arrays(weights, dtype), COMPUTE[dtype])
