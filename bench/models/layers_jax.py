"""Layers that the families share, in jax (flax nnx). Twin of `layers_torch`.

Attribute paths are the names in the released files, so `a.b.kernel` is `a/b/kernel`
and no table translates them. Parameters keep the released shapes too.

Parameters stay float32. Matrix products run in the compute dtype; statistics of
norms and of softmax are taken in float32.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float

from bench.errors import StudyError
from bench.models.noise_jax import Noise, dropped
from bench.models.spec import LAYER_NORM_EPS, scope

Weights = Mapping[str, Array]

COMPUTE = {
    "float32": jnp.float32,
    "tf32": jnp.float32,  # float32 here; the backend lets products round
    "bfloat16": jnp.bfloat16,
    "float16": jnp.float16,
    "float64": jnp.float64,
}


def arrays(weights: Mapping[str, np.ndarray], dtype: str) -> dict[str, Array]:
    """The weights as jax arrays in the dtype that parameters keep."""
    if dtype == "float64" and not jax.config.jax_enable_x64:
        raise StudyError(
            "dtype float64: jax computes in float32 unless the process starts with "
            "JAX_ENABLE_X64=1; set it"
        )
    kept = jnp.float64 if dtype == "float64" else jnp.float32
    return {name: jnp.asarray(array, dtype=kept) for name, array in weights.items()}


def wide(x: Array) -> Array:
    """float32 for statistics and outputs, or float64 if that is what went in."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Dense(nnx.Module):
    """x @ kernel + bias over the last axis; leading kernel axes are flattened."""

    def __init__(self, weights: Weights, dtype: jnp.dtype) -> None:
        self.kernel = nnx.Param(weights["kernel"])
        self.bias = nnx.Param(weights["bias"])
        self.dtype = dtype

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch out"]:
        kernel, bias = self.kernel[...], self.bias[...]
        matrix = kernel.reshape(-1, kernel.shape[-1]).astype(self.dtype)
        return product(x.astype(self.dtype), matrix) + bias.astype(self.dtype)


def product(
    x: Float[Array, "*batch inputs"], matrix: Float[Array, "inputs out"]
) -> Float[Array, "*batch out"]:
    """x @ matrix, with the leading axes of x as one.

    With several, XLA on a CPU transposes both operands of the derivative by the matrix
    into copies, and computes what led to them inside that strided loop.
    """
    rows = x.reshape(-1, x.shape[-1])
    return (rows @ matrix).reshape(*x.shape[:-1], matrix.shape[-1])


class LayerNorm(nnx.Module):
    """Over the last axis."""

    def __init__(self, weights: Weights) -> None:
        self.scale = nnx.Param(weights["scale"])
        self.bias = nnx.Param(weights["bias"])

    def __call__(self, x: Float[Array, "*batch c"]) -> Float[Array, "*batch c"]:
        y = standardize(wide(x), axis=-1, eps=LAYER_NORM_EPS)
        return (y * self.scale[...] + self.bias[...]).astype(x.dtype)


def standardize(x: Array, axis: int | tuple[int, ...], eps: float) -> Array:
    """Mean 0 and variance 1 over `axis`.

    The variance is a mean of squared differences: the difference of means that flax
    takes by default loses digits where the mean is large.
    """
    x = x - x.mean(axis, keepdims=True)
    return x * jax.lax.rsqrt(jnp.square(x).mean(axis, keepdims=True) + eps)


def group_normed(
    x: Float[Array, "batch height width channels"], groups: int, eps: float
) -> Float[Array, "batch height width channels"]:
    """Mean 0 and variance 1 over space and the channels of a group, in float32.

    Means are taken over rows, columns and channels in turn: XLA on a CPU runs along the
    channels so, and gains a fifth of a whole BiT over one mean of all three.
    """
    batch, _, _, channels = x.shape

    def mean(y: Array) -> Array:
        by_channel = y.mean(axis=1).mean(axis=1)
        by_group = by_channel.reshape(batch, groups, -1).mean(axis=-1)
        wider = jnp.repeat(by_group, channels // groups, axis=-1)
        return wider[:, None, None, :]

    x = wide(x)
    x = x - mean(x)
    return x * jax.lax.rsqrt(mean(jnp.square(x)) + eps)


def gelu(x: Array) -> Array:
    """The tanh form, which the released networks were trained with."""
    return jax.nn.gelu(x, approximate=True)


class MlpBlock(nnx.Module):
    """Dense, GELU, dense over the last axis."""

    def __init__(self, weights: Weights, dtype: jnp.dtype) -> None:
        self.Dense_0 = Dense(scope("Dense_0", weights), dtype)
        self.Dense_1 = Dense(scope("Dense_1", weights), dtype)

    def __call__(
        self, x: Float[Array, "batch tokens width"], noise: Noise | None = None
    ) -> Float[Array, "batch tokens width"]:
        hidden = dropped(gelu(self.Dense_0(x)), noise)
        return dropped(self.Dense_1(hidden), noise)


class PatchEmbedding(Dense):
    """A convolution whose stride is its size: one product over flattened patches."""

    def __call__(
        self, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch tokens channels"]:
        batch, height, width, channels = images.shape
        p = self.kernel.shape[0]
        x = images.astype(self.dtype)
        x = x.reshape(batch, height // p, p, width // p, p, channels)
        x = x.swapaxes(2, 3).reshape(batch, -1, p * p * channels)
        return super().__call__(x)


class Conv(nnx.Module):
    """A convolution without bias over (N, H, W, C); a subclass standardises it."""

    def __init__(
        self, weights: Weights, dtype: jnp.dtype, stride: int = 1, padding: int = 0
    ) -> None:
        self.kernel = nnx.Param(weights["kernel"])
        self.dtype = dtype
        self.stride = stride
        self.padding = padding  # zeros on each side

    def standardized(self) -> Float[Array, "height width inputs out"]:
        raise NotImplementedError

    def __call__(
        self, x: Float[Array, "batch height width inputs"]
    ) -> Float[Array, "batch height_out width_out out"]:
        return jax.lax.conv_general_dilated(
            x.astype(self.dtype),
            self.standardized().astype(self.dtype),
            window_strides=(self.stride, self.stride),
            padding=[(self.padding, self.padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )


def canonical_names(module: nnx.Module) -> dict[tuple[str, ...], str]:
    """Path in the parameter state -> canonical name."""
    paths = [path for path, _ in nnx.to_flat_state(nnx.state(module, nnx.Param))]
    return {path: "/".join(path) for path in paths}


def dump(module: nnx.Module | nnx.State) -> dict[str, np.ndarray]:
    """Canonical name -> array, of a module or of a state shaped like its parameters."""
    state = module if isinstance(module, nnx.State) else nnx.state(module, nnx.Param)
    flat = nnx.to_flat_state(state)
    return {"/".join(path): np.array(variable[...]) for path, variable in flat}
