"""MLP-Mixer in torch. Twin of `mixer_jax`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

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
    gelu,
    wide,
)
from bench.models.mixer import MixerSpec
from bench.models.noise_torch import Noise, branched, dropped
from bench.models.spec import scope

__all__ = ["Mixer", "MixerBlock", "TokenDense", "TokenLinear", "TokenMlpBlock"]
__all__ += ["UntiedTokenDense", "UntiedTokenMlpBlock", "build"]
__all__ += ["canonical_names", "dump"]


class TokenDense(Dense):
    """Dense over the tokens: kernel^T @ x for each image, without a transpose of x."""

    def forward(
        self, x: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch out channels"]:
        matrix = self.kernel.t().to(self.dtype).expand(x.shape[0], -1, -1)
        bias = self.bias.to(self.dtype)[:, None]
        return torch.baddbmm(bias, matrix, x.to(self.dtype))


class UntiedTokenDense(Dense):
    """The same with weights of its own for every channel: kernel[c]^T @ x[:, c]."""

    def forward(
        self, x: Float[Tensor, "batch tokens channels"]
    ) -> Float[Tensor, "batch out channels"]:
        kernel, bias = (v.to(self.dtype) for v in (self.kernel, self.bias))
        by_channel = x.to(self.dtype).permute(2, 0, 1)
        return torch.baddbmm(bias[:, None], by_channel, kernel).permute(1, 2, 0)


class TokenMlpBlock(nn.Module):
    """Dense, GELU, dense over the tokens; every channel shares it."""

    def __init__(self, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.Dense_0 = TokenDense(scope("Dense_0", weights), dtype)
        self.Dense_1 = TokenDense(scope("Dense_1", weights), dtype)

    def forward(
        self, x: Float[Tensor, "batch tokens channels"], noise: Noise | None = None
    ) -> Float[Tensor, "batch tokens channels"]:
        hidden = dropped(gelu(self.Dense_0(x)), noise)
        return dropped(self.Dense_1(hidden), noise)


class UntiedTokenMlpBlock(nn.Module):
    """The same with weights of its own for every channel."""

    def __init__(self, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.Dense_0 = UntiedTokenDense(scope("Dense_0", weights), dtype)
        self.Dense_1 = UntiedTokenDense(scope("Dense_1", weights), dtype)

    def forward(
        self, x: Float[Tensor, "batch tokens channels"], noise: Noise | None = None
    ) -> Float[Tensor, "batch tokens channels"]:
        hidden = dropped(gelu(self.Dense_0(x)), noise)
        return dropped(self.Dense_1(hidden), noise)


class TokenLinear(nn.Module):
    """One dense layer over the tokens, in place of the MLP."""

    def __init__(self, spec: MixerSpec, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        layer = TokenDense if spec.tied_token_mixing else UntiedTokenDense
        self.Dense_0 = layer(scope("Dense_0", weights), dtype)

    def forward(
        self, x: Float[Tensor, "batch tokens channels"], noise: Noise | None = None
    ) -> Float[Tensor, "batch tokens channels"]:
        return dropped(self.Dense_0(x), noise)


def token_mixing(spec: MixerSpec, weights: Weights, dtype: torch.dtype) -> nn.Module:
    """The network over the tokens that the spec asks for."""
    if spec.token_mixing == "linear":
        return TokenLinear(spec, weights, dtype)
    block = TokenMlpBlock if spec.tied_token_mixing else UntiedTokenMlpBlock
    return block(weights, dtype)


class MixerBlock(nn.Module):
    """Token mixing, if there is any, then channel mixing."""

    def __init__(self, spec: MixerSpec, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.mixes_tokens = spec.token_mixing != "none"
        if self.mixes_tokens:
            self.LayerNorm_0 = LayerNorm(scope("LayerNorm_0", weights))
            mixing = scope("token_mixing", weights)
            self.token_mixing = token_mixing(spec, mixing, dtype)
        self.LayerNorm_1 = LayerNorm(scope("LayerNorm_1", weights))
        self.channel_mixing = MlpBlock(scope("channel_mixing", weights), dtype)

    def forward(
        self, x: Float[Tensor, "batch tokens channels"], noise: Noise | None = None
    ) -> Float[Tensor, "batch tokens channels"]:
        if self.mixes_tokens:
            x = x + branched(self.token_mixing(self.LayerNorm_0(x), noise), noise)
        return x + branched(self.channel_mixing(self.LayerNorm_1(x), noise), noise)


class Mixer(nn.Module):
    """Stem, blocks, norm, mean over the tokens, head."""

    def __init__(self, spec: MixerSpec, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.stem = PatchEmbedding(scope("stem", weights), dtype)
        self.blocks = [f"MixerBlock_{i}" for i in range(spec.num_blocks)]
        for name in self.blocks:
            setattr(self, name, MixerBlock(spec, scope(name, weights), dtype))
        self.pre_head_layer_norm = LayerNorm(scope("pre_head_layer_norm", weights))
        self.head = Dense(scope("head", weights), dtype)

    def features(
        self, images: Float[Tensor, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Tensor, "batch channels"]:
        x = self.stem(images)
        for name in self.blocks:
            x = getattr(self, name)(x, noise)
        return wide(self.pre_head_layer_norm(x)).mean(dim=1)

    def forward(
        self, images: Float[Tensor, "batch height width 3"], noise: Noise | None = None
    ) -> Float[Tensor, "batch classes"]:
        return wide(self.head(self.features(images, noise)))


def build(
    spec: MixerSpec, weights: Mapping[str, np.ndarray], *, dtype: str
) -> nn.Module:
    """The network of `spec` with these weights, computing in `dtype`."""
    return Mixer(spec, arrays(weights, dtype), COMPUTE[dtype])
