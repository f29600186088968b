"""Vision Transformer in jax (flax nnx). Twin of `vit_torch`."""

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
    product,
    wide,
)
from bench.models.noise_jax import Noise, branched, dropped
from bench.models.spec import scope
from bench.models.vit import ViTSpec

__all__ = ["Attention", "EncoderBlock", "HeadsDense", "Positions", "Transformer"]
__all__ += ["ViT", "build", "canonical_names", "dump"]


class HeadsDense(Dense):
    """Dense whose output is split into heads: query, key and value."""

    def __call__(
        self, x: Float[Array, "batch tokens width"]
    ) -> Float[Array, "batch tokens heads head_dim"]:
        kernel, bias = (v[...].astype(self.dtype) for v in (self.kernel, self.bias))
        y = product(x.astype(self.dtype), kernel.reshape(kernel.shape[0], -1))
        return y.reshape(*x.shape[:-1], *kernel.shape[1:]) + bias


def attended(
    query: Float[Array, "batch tokens heads head_dim"],
    key: Float[Array, "batch tokens heads head_dim"],
    value: Float[Array, "batch tokens heads head_dim"],
) -> Float[Array, "batch tokens heads head_dim"]:
    """Scaled dot-product attention with scores and softmax in float32.

    Heads stand before tokens, and the softmax divides after the product with the
    values: on a CPU XLA is a fifth to a third faster so.
    jax.nn.dot_product_attention takes the softmax in float32 for float64 inputs too,
    and does not run in float16 on a CPU.
    """
    kept = jnp.promote_types(query.dtype, jnp.float32)
    scaled = query * query.shape[-1] ** -0.5
    query, key, value = (x.swapaxes(1, 2) for x in (scaled, key, value))
    scores = jnp.einsum("bhqd,bhkd->bhqk", query, key, preferred_element_type=kept)
    highest = jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True))
    shares = jnp.exp(scores - highest)
    total = shares.sum(axis=-1, keepdims=True)
    shares = shares.astype(value.dtype)
    y = jnp.einsum("bhqk,bhkd->bhqd", shares, value, preferred_element_type=kept)
    return (y / total).astype(value.dtype).swapaxes(1, 2)


class Attention(nnx.Module):
    """Multi-head self-attention."""

    def __init__(self, weights: Weights, dtype: jnp.dtype) -> None:
        self.query = HeadsDense(scope("query", weights), dtype)
        self.key = HeadsDense(scope("key", weights), dtype)
        self.value = HeadsDense(scope("value", weights), dtype)
        self.out = Dense(scope("out", weights), dtype)

    def __call__(
        self, x: Float[Array, "batch tokens width"]
    ) -> Float[Array, "batch tokens width"]:
        y = attended(self.query(x), self.key(x), self.value(x))
        return self.out(y.reshape(x.shape))


def attention_kernel() -> str:
    """`attended` writes the scores out; XLA may fuse around them, never skips them."""
    return "einsum, tokens x tokens scores, float32 softmax"


class EncoderBlock(nnx.Module):
    """Attention, then MLP."""

    def __init__(self, weights: Weights, dtype: jnp.dtype) -> None:
        self.LayerNorm_0 = LayerNorm(scope("LayerNorm_0", weights))
        self.MultiHeadDotProductAttention_1 = Attention(
            scope("MultiHeadDotProductAttention_1", weights), dtype
        )
        self.LayerNorm_2 = LayerNorm(scope("LayerNorm_2", weights))
        self.MlpBlock_3 = MlpBlock(scope("MlpBlock_3", weights), dtype)

    def __call__(
        self, x: Float[Array, "batch tokens width"], noise: Noise | None = None
    ) -> Float[Array, "batch tokens width"]:
        y = self.MultiHeadDotProductAttention_1(self.LayerNorm_0(x))
        x = x + branched(dropped(y, noise), noise)
        return x + branched(self.MlpBlock_3(self.LayerNorm_2(x), noise), noise)


class Positions(nnx.Module):
    """Learned position embeddings, added."""

    def __init__(self, weights: Weights) -> None:
        self.pos_embedding = nnx.Param(weights["pos_embedding"])

    def __call__(
        self, x: Float[Array, "batch tokens width"]
    ) -> Float[Array, "batch tokens width"]:
        return x + self.pos_embedding[...].astype(x.dtype)


class Transformer(nnx.Module):
    """Positions, blocks, norm."""

    def __init__(self, spec: ViTSpec, weights: Weights, dtype: jnp.dtype) -> None:
        self.positions = spec.position_embedding == "learned"
        if self.positions:
            self.posembed_input = Positions(scope("posembed_input", weights))
        self.blocks = tuple(f"encoderblock_{i}" for i in range(spec.num_blocks))
        for name in self.blocks:
            setattr(self, name, EncoderBlock(scope(name, weights), dtype))
        self.encoder_norm = LayerNorm(scope("encoder_norm", weights))

    def __call__(
        self, x: Float[Array, "batch tokens width"], noise: Noise | None = None
    ) -> Float[Array, "batch tokens width"]:
        if self.positions:
            x = self.posembed_input(x)
        x = dropped(x, noise)
        for name in self.blocks:
            x = getattr(self, name)(x, noise)
        return self.encoder_norm(x)


class ViT(nnx.Module):
    """Patches (and a class token), transformer, pooling, representation, head."""

    def __init__(self, spec: ViTSpec, weights: Weights, dtype: jnp.dtype) -> None:
        self.spec = spec
        if spec.pool == "token":
            self.cls = nnx.Param(weights["cls"])
        self.embedding = PatchEmbedding(scope("embedding", weights), dtype)
        self.Transformer = Transformer(spec, scope("Transformer", weights), dtype)
        if spec.representation:
            self.pre_logits = Dense(scope("pre_logits", weights), dtype)
        self.head = Dense(scope("head", weights), dtype)

    def features(
        self, images: Float[Array, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Array, "batch width"]:
        x = self.embedding(images)
        if self.spec.pool == "token":
            cls = self.cls[...].astype(x.dtype)
            cls = jnp.broadcast_to(cls, (x.shape[0], 1, x.shape[2]))
            x = jnp.concatenate([cls, x], axis=1)
        x = self.Transformer(x, noise)
        x = wide(x[:, 0]) if self.spec.pool == "token" else wide(x).mean(axis=1)
        return wide(jnp.tanh(self.pre_logits(x))) if self.spec.representation else x

    def __call__(
        self, images: Float[Array, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Array, "batch classes"]:
        return wide(self.head(self.features(images, noise)))


def build(
    spec: ViTSpec, weights: Mapping[str, np.ndarray], *, dtype: str
) -> nnx.Module:
    """The network of `spec` with these weights, computing in `dtype`."""
    return ViT(spec, arrays(weights, dtype), COMPUTE[dtype])
