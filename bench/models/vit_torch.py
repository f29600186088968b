"""Vision Transformer in torch. Twin of `vit_jax`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend

from bench.models.layers_torch import (
    COMPUTE,
    Dense,
    LayerNorm,
    MlpBlock,
    PatchEmbedding,
    Weights,
    arrays,
    canonical_names,
    dump,
    wide,
)
from bench.models.noise_torch import Noise, branched, dropped
from bench.models.spec import scope
from bench.models.vit import ViTSpec

__all__ = ["Attention", "EncoderBlock", "HeadsDense", "Positions", "Transformer"]
__all__ += ["ViT", "build", "canonical_names", "dump"]


class HeadsDense(Dense):
    """Dense whose output is split into heads: query, key and value."""

    def forward(
        self, x: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch tokens heads head_dim"]:
        matrix = self.kernel.flatten(1).t().to(self.dtype)
        bias = self.bias.flatten().to(self.dtype)
        y = self.product(x.to(self.dtype), matrix, bias)
        return y.unflatten(-1, self.bias.shape)


def scores_attention(
    query: Float[Tensor, "batch heads tokens head_dim"],
    key: Float[Tensor, "batch heads tokens head_dim"],
    value: Float[Tensor, "batch heads tokens head_dim"],
) -> Float[Tensor, "batch heads tokens head_dim"]:
    """Attention written out: the tokens x tokens scores exist as a tensor."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return scores.softmax(-1) @ value


class Attention(nn.Module):
    """Multi-head self-attention."""

    attend: Callable[..., Tensor] = staticmethod(F.scaled_dot_product_attention)

    def __init__(self, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.query = HeadsDense(scope("query", weights), dtype)
        self.key = HeadsDense(scope("key", weights), dtype)
        self.value = HeadsDense(scope("value", weights), dtype)
        self.out = Dense(scope("out", weights), dtype)

    def forward(
        self, x: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch tokens width"]:
        query, key, value = (
            part(x).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        y = self.attend(query, key, value)
        return self.out(y.transpose(1, 2).flatten(2))


def attention_kernel(
    spec: ViTSpec, dtype: torch.dtype, device: torch.device, *, training: bool
) -> str:
    """The kernel that torch picks for this shape: its own choice, asked beforehand."""
    shape = (1, spec.tokens, spec.num_heads, spec.head_dim)
    like = torch.empty(shape, dtype=dtype, device=device, requires_grad=training)
    heads_first = like.transpose(1, 2)
    choice = SDPBackend(torch._fused_sdp_choice(heads_first, heads_first, heads_first))
    return f"sdpa {choice.name.lower()}"


class EncoderBlock(nn.Module):
    """Attention, then MLP."""

    def __init__(self, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.LayerNorm_0 = LayerNorm(scope("LayerNorm_0", weights))
        self.MultiHeadDotProductAttention_1 = Attention(
            scope("MultiHeadDotProductAttention_1", weights), dtype
        )
        self.LayerNorm_2 = LayerNorm(scope("LayerNorm_2", weights))
        self.MlpBlock_3 = MlpBlock(scope("MlpBlock_3", weights), dtype)

    def forward(
        self, x: Float[Tensor, "batch tokens width"], noise: Noise | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        y = self.MultiHeadDotProductAttention_1(self.LayerNorm_0(x))
        x = x + branched(dropped(y, noise), noise)
        return x + branched(self.MlpBlock_3(self.LayerNorm_2(x), noise), noise)


class Positions(nn.Module):
    """Learned position embeddings, added."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(weights["pos_embedding"])

    def forward(
        self, x: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch tokens width"]:
        return x + self.pos_embedding.to(x.dtype)


class Transformer(nn.Module):
    """Positions, blocks, norm."""

    def __init__(self, spec: ViTSpec, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.positions = spec.position_embedding == "learned"
        if self.positions:
            self.posembed_input = Positions(scope("posembed_input", weights))
        self.blocks = tuple(f"encoderblock_{i}" for i in range(spec.num_blocks))
        for name in self.blocks:
            setattr(self, name, EncoderBlock(scope(name, weights), dtype))
        self.encoder_norm = LayerNorm(scope("encoder_norm", weights))

    def forward(
        self, x: Float[Tensor, "batch tokens width"], noise: Noise | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        if self.positions:
            x = self.posembed_input(x)
        x = dropped(x, noise)
        for name in self.blocks:
            x = getattr(self, name)(x, noise)
        return self.encoder_norm(x)


class ViT(nn.Module):
    """Patches (and a class token), transformer, pooling, representation, head."""

    def __init__(self, spec: ViTSpec, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.spec = spec
        if spec.pool == "token":
            self.cls = nn.Parameter(weights["cls"])
        self.embedding = PatchEmbedding(scope("embedding", weights), dtype)
        self.Transformer = Transformer(spec, scope("Transformer", weights), dtype)
        if spec.representation:
            self.pre_logits = Dense(scope("pre_logits", weights), dtype)
        self.head = Dense(scope("head", weights), dtype)

    def features(
        self, images: Float[Tensor, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Tensor, "batch width"]:
        x = self.embedding(images)
        if self.spec.pool == "token":
            cls = self.cls.to(x.dtype).expand(x.shape[0], -1, -1)
            x = torch.cat([cls, x], dim=1)
        x = self.Transformer(x, noise)
        x = wide(x[:, 0]) if self.spec.pool == "token" else wide(x).mean(dim=1)
        return wide(self.pre_logits(x).tanh()) if self.spec.representation else x

    def forward(
        self, images: Float[Tensor, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Tensor, "batch classes"]:
        return wide(self.head(self.features(images, noise)))


def build(spec: ViTSpec, weights: Mapping[str, np.ndarray], *, dtype: str) -> nn.Module:
    """The network of `spec` with these weights, computing in `dtype`."""
    return ViT(spec, arrays(weights, dtype), COMPUTE[dtype])
