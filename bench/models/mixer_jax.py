"""MLP-Mixer in jax (flax nnx). Twin of `mixer_torch`."""

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
    Dense,
    LayerNorm,
    MlpBlock,
    PatchEmbedding,
    Weights,
    arrays,
    canonical_names,
    dump,
    gelu,
    wide,
)
from bench.models.mixer import MixerSpec
from bench.models.noise_jax import Noise, branched, dropped
from bench.models.spec import scope

__all__ = ["Mixer", "MixerBlock", "TokenDense", "TokenLinear", "TokenMlpBlock"]
__all__ += ["UntiedTokenDense", "UntiedTokenMlpBlock", "build"]
__all__ += ["canonical_names", "dump"]


Operands = tuple[Float[Array, "batch tokens channels"], Float[Array, "tokens out"]]


@jax.custom_vjp
def token_product(
    x: Float[Array, "batch tokens channels"], matrix: Float[Array, "tokens out"]
) -> Float[Array, "batch out channels"]:
    """matrix^T @ x for each image.

    Forward it is one product of all images. Its derivatives are a product per image:
    as one they sum over images and channels, which do not lie side by side, and XLA on
    a CPU spends a fifth of a training step on transposed copies.
    """
    return jnp.einsum("bsc,sd->bdc", x, matrix)


def _token_product_forward(
    x: Float[Array, "batch tokens channels"], matrix: Float[Array, "tokens out"]
) -> tuple[Float[Array, "batch out channels"], Operands]:
    return token_product(x, matrix), (x, matrix)


def _token_product_backward(
    operands: Operands, gradient: Float[Array, "batch out channels"]
) -> Operands:
    x, matrix = operands
    repeated = jnp.broadcast_to(matrix, (len(x), *matrix.shape))
    by_x = jnp.einsum("bsd,bdc->bsc", repeated, gradient)
    kept = jnp.promote_types(x.dtype, jnp.float32)
    by_image = jnp.einsum("bsc,bdc->bsd", x, gradient, preferred_element_type=kept)
    return by_x, by_image.sum(axis=0).astype(matrix.dtype)


token_product.defvjp(_token_product_forward, _token_product_backward)


class TokenDense(Dense):
    """Dense over the tokens: kernel^T @ x for each image, without a transpose of x."""

    def __call__(
        self, x: Float[Array, "batch tokens channels"]
    ) -> Float[Array, "batch out channels"]:
        matrix, bias = (v[...].astype(self.dtype) for v in (self.kernel, self.bias))
        return token_product(x.astype(self.dtype), matrix) + bias[:, None]


class UntiedTokenDense(Dense):
    """The same with weights of its own for every channel: kernel[c]^T @ x[:, c]."""

    def __call__(
        self, x: Float[Array, "batch tokens channels"]
    ) -> Float[Array, "batch out channels"]:
        kernel, bias = (v[...].astype(self.dtype) for v in (self.kernel, self.bias))
        return jnp.einsum("bsc,csd->bdc", x.astype(self.dtype), kernel) + bias.T


class TokenMlpBlock(nnx.Module):
    """Dense, GELU, dense over the tokens; every channel shares it."""

    def __init__(self, weights: Weights, dtype: jnp.dtype) -> None:
        self.Dense_0 = TokenDense(scope("Dense_0", weights), dtype)
        self.Dense_1 = TokenDense(scope("Dense_1", weights), dtype)

    def __call__(
        self, x: Float[Array, "batch tokens channels"], noise: Noise | None = None
    ) -> Float[Array, "batch tokens channels"]:
        hidden = dropped(gelu(self.Dense_0(x)), noise)
        return dropped(self.Dense_1(hidden), noise)


class UntiedTokenMlpBlock(nnx.Module):
    """The same with weights of its own for every channel."""

    def __init__(self, weights: Weights, dtype: jnp.dtype) -> None:
        self.Dense_0 = UntiedTokenDense(scope("Dense_0", weights), dtype)
        self.Dense_1 = UntiedTokenDense(scope("Dense_1", weights), dtype)

    def __call__(
        self, x: Float[Array, "batch tokens channels"], noise: Noise | None = None
    ) -> Float[Array, "batch tokens channels"]:
        hidden = dropped(gelu(self.Dense_0(x)), noise)
        return dropped(self.Dense_1(hidden), noise)


class TokenLinear(nnx.Module):
    """One dense layer over the tokens, in place of the MLP."""

    def __init__(self, spec: MixerSpec, weights: Weights, dtype: jnp.dtype) -> None:
        layer = TokenDense if spec.tied_token_mixing else UntiedTokenDense
        self.Dense_0 = layer(scope("Dense_0", weights), dtype)

    def __call__(
        self, x: Float[Array, "batch tokens channels"], noise: Noise | None = None
    ) -> Float[Array, "batch tokens channels"]:
        return dropped(self.Dense_0(x), noise)


def token_mixing(spec: MixerSpec, weights: Weights, dtype: jnp.dtype) -> nnx.Module:
    """The network over the tokens that the spec asks for."""
    if spec.token_mixing == "linear":
        return TokenLinear(spec, weights, dtype)
    block = TokenMlpBlock if spec.tied_token_mixing else UntiedTokenMlpBlock
    return block(weights, dtype)


class MixerBlock(nnx.Module):
    """Token mixing, if there is any, then channel mixing."""

    def __init__(self, spec: MixerSpec, weights: Weights, dtype: jnp.dtype) -> None:
        self.mixes_tokens = spec.token_mixing != "none"
        if self.mixes_tokens:
            self.LayerNorm_0 = LayerNorm(scope("LayerNorm_0", weights))
            mixing = scope("token_mixing", weights)
            self.token_mixing = token_mixing(spec, mixing, dtype)
        self.LayerNorm_1 = LayerNorm(scope("LayerNorm_1", weights))
        self.channel_mixing = MlpBlock(scope("channel_mixing", weights), dtype)

    def __call__(
        self, x: Float[Array, "batch tokens channels"], noise: Noise | None = None
    ) -> Float[Array, "batch tokens channels"]:
        if self.mixes_tokens:
            x = x + branched(self.token_mixing(self.LayerNorm_0(x), noise), noise)
        return x + branched(self.channel_mixing(self.LayerNorm_1(x), noise), noise)


class Mixer(nnx.Module):
    """Stem, blocks, norm, mean over the tokens, head."""

    def __init__(self, spec: MixerSpec, weights: Weights, dtype: jnp.dtype) -> None:
        self.stem = PatchEmbedding(scope("stem", weights), dtype)
        self.blocks = tuple(f"MixerBlock_{i}" for i in range(spec.num_blocks))
        for name in self.blocks:
            setattr(self, name, MixerBlock(spec, scope(name, weights), dtype))
        self.pre_head_layer_norm = LayerNorm(scope("pre_head_layer_norm", weights))
        self.head = Dense(scope("head", weights), dtype)

    def features(
        self, images: Float[Array, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Array, "batch channels"]:
        x = self.stem(images)
        for name in self.blocks:
            x = getattr(self, name)(x, noise)
        return wide(self.pre_head_layer_norm(x)).mean(axis=1)

    def __call__(
        self, images: Float[Array, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Array, "batch classes"]:
        return wide(self.head(self.features(images, noise)))


def build(
    spec: MixerSpec, weights: Mapping[str, np.ndarray], *, dtype: str
) -> nnx.Module:
    """The network of `spec` with these weights, computing in `dtype`."""
    return Mixer(spec, arrays(weights, dtype), COMPUTE[dtype])
