"""ResNet v1 with group norm in jax (flax nnx). Twin of `resnet_v1_torch`."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float

from bench.models.layers_jax import (
    COMPUTE,
    Conv,
    Dense,
    Weights,
    arrays,
    canonical_names,
    dump,
    group_normed,
    wide,
)
from bench.models.noise_jax import Noise, branched, dropped
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

    def standardized(self) -> Float[Array, "height width inputs out"]:
        kernel, axes = self.kernel[...], (0, 1, 2)
        centred = kernel - kernel.mean(axes, keepdims=True)
        deviation = jnp.sqrt(jnp.square(centred).mean(axes, keepdims=True))
        return centred / (deviation + WEIGHT_EPS)


class GroupNorm(nnx.Module):
    """Over space and the channels of a group."""

    def __init__(self, weights: Weights) -> None:
        self.scale = nnx.Param(weights["scale"])
        self.bias = nnx.Param(weights["bias"])

    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch height width channels"]:
        y = group_normed(x, num_groups(x.shape[-1]), GROUP_NORM_EPS)
        return (y * self.scale[...] + self.bias[...]).astype(x.dtype)


def same_padded(
    x: Float[Array, "batch height width channels"], window: int, stride: int
) -> Float[Array, "batch height_out width_out channels"]:
    """Zeros for SAME padding, which puts the odd one after the image."""
    rows, columns = (same_border(size, window, stride) for size in x.shape[1:3])
    return jnp.pad(x, ((0, 0), rows, columns, (0, 0)))


class BottleneckUnit(nnx.Module):
    """1x1, 3x3, 1x1 convolution, each with its norm; the ReLU follows the sum."""

    def __init__(self, unit: Unit, weights: Weights, dtype: jnp.dtype) -> None:
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

    def __call__(
        self, x: Float[Array, "batch height width inputs"], noise: Noise | None = None
    ) -> Float[Array, "batch height_out width_out out"]:
        shortcut = self.gn_proj(self.conv_proj(x)) if self.projects else x
        y = jax.nn.relu(self.gn1(self.conv1(x)))
        y = same_padded(y, window=3, stride=self.conv2.stride)
        y = jax.nn.relu(self.gn2(self.conv2(y)))
        y = branched(self.gn3(self.conv3(y)), noise)
        return jax.nn.relu(shortcut + y)


class Stage(nnx.Module):
    """The units of one resolution."""

    def __init__(
        self, units: Mapping[str, Unit], weights: Weights, dtype: jnp.dtype
    ) -> None:
        self.units = tuple(units)
        for name, unit in units.items():
            setattr(self, name, BottleneckUnit(unit, scope(name, weights), dtype))

    def __call__(
        self, x: Float[Array, "batch height width inputs"], noise: Noise | None = None
    ) -> Float[Array, "batch height_out width_out out"]:
        for name in self.units:
            x = getattr(self, name)(x, noise)
        return x


class ResNetV1(nnx.Module):
    """Root, stages, mean over space, head."""

    def __init__(self, spec: ResNetV1Spec, weights: Weights, dtype: jnp.dtype) -> None:
        self.conv_root = StdConv(scope("conv_root", weights), dtype, stride=2)
        self.gn_root = GroupNorm(scope("gn_root", weights))
        self.stages = tuple(spec.stages())
        for name, units in spec.stages().items():
            setattr(self, name, Stage(units, scope(name, weights), dtype))
        self.head = Dense(scope("head", weights), dtype)

    def features(
        self, images: Float[Array, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Array, "batch width"]:
        x = self.conv_root(same_padded(images, window=7, stride=2))
        x = jax.nn.relu(self.gn_root(x))
        # after a ReLU a border of zeros is as good as one of -inf
        x = nnx.max_pool(same_padded(x, window=3, stride=2), (3, 3), strides=(2, 2))
        for name in self.stages:
            x = getattr(self, name)(x, noise)
        return wide(x).mean(axis=(1, 2))

    def __call__(
        self, images: Float[Array, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Array, "batch classes"]:
        return wide(self.head(dropped(self.features(images, noise), noise)))


def build(
    spec: ResNetV1Spec, weights: Mapping[str, np.ndarray], *, dtype: str
) -> nnx.Module:
    """The network of `spec` with these weights, computing in `dtype`."""
    return ResNetV1(spec, arrays(weights, dtype), COMPUTE[dtype])
