"""BiT (ResNet v2 with group norm) in jax (flax nnx). Twin of `resnet_torch`."""

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
    standardize,
    wide,
)
from bench.models.noise_jax import Noise, branched, dropped
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

    def standardized(self) -> Float[Array, "height width inputs out"]:
        return standardize(self.kernel[...], axis=(0, 1, 2), eps=WEIGHT_EPS)


class GroupNorm(nnx.Module):
    """Over space and the channels of a group."""

    def __init__(self, weights: Weights) -> None:
        self.gamma = nnx.Param(weights["gamma"])
        self.beta = nnx.Param(weights["beta"])

    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch height width channels"]:
        y = group_normed(x, num_groups(x.shape[-1]), GROUP_NORM_EPS)
        return (y * self.gamma[...] + self.beta[...]).astype(x.dtype)


class Projection(nnx.Module):
    """The convolution of a shortcut, one level down as in the released files."""

    def __init__(self, weights: Weights, dtype: jnp.dtype, stride: int) -> None:
        conv = scope("standardized_conv2d", weights)
        self.standardized_conv2d = StdConv(conv, dtype, stride)

    def __call__(
        self, x: Float[Array, "batch height width inputs"]
    ) -> Float[Array, "batch height_out width_out out"]:
        return self.standardized_conv2d(x)


class NormedConv(nnx.Module):
    """Group norm, ReLU, convolution: part a, b or c of a unit."""

    def __init__(
        self, weights: Weights, dtype: jnp.dtype, stride: int = 1, padding: int = 0
    ) -> None:
        self.group_norm = GroupNorm(scope("group_norm", weights))
        conv = scope("standardized_conv2d", weights)
        self.standardized_conv2d = StdConv(conv, dtype, stride, padding)

    def activated(
        self, x: Float[Array, "batch height width inputs"]
    ) -> Float[Array, "batch height width inputs"]:
        return jax.nn.relu(self.group_norm(x))


class BottleneckUnit(nnx.Module):
    """1x1, 3x3, 1x1 convolution; a projected shortcut starts after the first ReLU."""

    def __init__(self, unit: Unit, weights: Weights, dtype: jnp.dtype) -> None:
        self.projects = unit.projects
        self.a = NormedConv(scope("a", weights), dtype)
        if unit.projects:
            self.a.proj = Projection(scope("a/proj", weights), dtype, unit.stride)
        self.b = NormedConv(scope("b", weights), dtype, unit.stride, padding=1)
        self.c = NormedConv(scope("c", weights), dtype)

    def __call__(
        self, x: Float[Array, "batch height width inputs"], noise: Noise | None = None
    ) -> Float[Array, "batch height_out width_out out"]:
        y = self.a.activated(x)
        shortcut = self.a.proj(y) if self.projects else x
        y = self.a.standardized_conv2d(y)
        y = self.b.standardized_conv2d(self.b.activated(y))
        y = self.c.standardized_conv2d(self.c.activated(y))
        return branched(y, noise) + shortcut


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


class RootBlock(nnx.Module):
    """7x7 convolution and max-pool, both with stride 2 over a border of zeros."""

    def __init__(self, weights: Weights, dtype: jnp.dtype) -> None:
        conv = scope("standardized_conv2d", weights)
        self.standardized_conv2d = StdConv(conv, dtype, stride=2, padding=3)

    def __call__(
        self, x: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch height_out width_out out"]:
        x = self.standardized_conv2d(x)
        # zeros take part in the maximum here; padding=1 would pad with -inf
        return nnx.max_pool(
            jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), (3, 3), strides=(2, 2)
        )


class Head(nnx.Module):
    """The 1x1 convolution of the released files, on pooled features."""

    def __init__(self, weights: Weights, dtype: jnp.dtype) -> None:
        self.conv2d = Dense(scope("conv2d", weights), dtype)

    def __call__(self, x: Float[Array, "batch width"]) -> Float[Array, "batch classes"]:
        return self.conv2d(x)


class ResNetBody(nnx.Module):
    """Root, stages, final norm, head."""

    def __init__(self, spec: ResNetSpec, weights: Weights, dtype: jnp.dtype) -> None:
        self.root_block = RootBlock(scope("root_block", weights), dtype)
        self.stages = tuple(spec.stages())
        for name, units in spec.stages().items():
            setattr(self, name, Stage(units, scope(name, weights), dtype))
        self.group_norm = GroupNorm(scope("group_norm", weights))
        self.head = Head(scope("head", weights), dtype)

    def __call__(
        self, x: Float[Array, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Array, "batch width"]:
        x = self.root_block(x)
        for name in self.stages:
            x = getattr(self, name)(x, noise)
        return wide(jax.nn.relu(self.group_norm(x))).mean(axis=(1, 2))


class ResNet(nnx.Module):
    """BiT; everything stands under `resnet`, as in the released files."""

    def __init__(self, spec: ResNetSpec, weights: Weights, dtype: jnp.dtype) -> None:
        self.resnet = ResNetBody(spec, scope("resnet", weights), dtype)

    @property
    def head(self) -> Head:
        return self.resnet.head

    def features(
        self, images: Float[Array, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Array, "batch width"]:
        return self.resnet(images, noise)

    def __call__(
        self, images: Float[Array, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Array, "batch classes"]:
        return wide(self.head(dropped(self.features(images, noise), noise)))


def build(
    spec: ResNetSpec, weights: Mapping[str, np.ndarray], *, dtype: str
) -> nnx.Module:
    """The network of `spec` with these weights, computing in `dtype`."""
    return ResNet(spec, arrays(weights, dtype), COMPUTE[dtype])
