"""Layers that the families share, in torch. Twin of `layers_jax`.

Attribute paths are the names in the released files, so `a.b.kernel` is `a/b/kernel`
and no table translates them. Parameters keep the released shapes too; convolutions
alone are stored (O, I, H, W), because torch would copy them at every step otherwise.

Parameters stay float32. Matrix products run in the compute dtype; statistics of
norms and of softmax are taken in float32 by the kernels that torch calls here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bench.models.noise_torch import Noise, dropped
from bench.models.spec import LAYER_NORM_EPS, scope

Weights = Mapping[str, Tensor]

COMPUTE = {
    "float32": torch.float32,
    "tf32": torch.float32,  # float32 here; the backend lets products round
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


def arrays(weights: Mapping[str, np.ndarray], dtype: str) -> dict[str, Tensor]:
    """The weights as tensors in the dtype that parameters keep."""
    kept = torch.float64 if dtype == "float64" else torch.float32
    return {name: torch.tensor(array, dtype=kept) for name, array in weights.items()}


def wide(x: Tensor) -> Tensor:
    """What leaves a network: float32, or float64 if that is what went in."""
    return x if x.dtype == torch.float64 else x.float()


class Dense(nn.Module):
    """x @ kernel + bias over the last axis; leading kernel axes are flattened."""

    product: Callable[..., Tensor] = staticmethod(F.linear)
    """x, (out, inputs) matrix, bias -> product; a tuned variant puts another here."""

    def __init__(self, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.kernel = nn.Parameter(weights["kernel"])
        self.bias = nn.Parameter(weights["bias"])
        self.dtype = dtype

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch out"]:
        matrix = self.kernel.flatten(0, -2).t().to(self.dtype)
        return self.product(x.to(self.dtype), matrix, self.bias.to(self.dtype))


class LayerNorm(nn.Module):
    """Over the last axis."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.scale = nn.Parameter(weights["scale"])
        self.bias = nn.Parameter(weights["bias"])

    def forward(self, x: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch c"]:
        scale, bias = self.scale.to(x.dtype), self.bias.to(x.dtype)
        return F.layer_norm(x, scale.shape, scale, bias, LAYER_NORM_EPS)


def gelu(x: Tensor) -> Tensor:
    """The tanh form, which the released networks were trained with."""
    return F.gelu(x, approximate="tanh")


class MlpBlock(nn.Module):
    """Dense, GELU, dense over the last axis."""

    def __init__(self, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.Dense_0 = Dense(scope("Dense_0", weights), dtype)
        self.Dense_1 = Dense(scope("Dense_1", weights), dtype)

    def forward(
        self, x: Float[Tensor, "batch tokens width"], noise: Noise | None = None
    ) -> Float[Tensor, "batch tokens width"]:
        hidden = dropped(gelu(self.Dense_0(x)), noise)
        return dropped(self.Dense_1(hidden), noise)


class PatchEmbedding(Dense):
    """A convolution whose stride is its size: one product over flattened patches."""

    def forward(
        self, images: Float[Tensor, "batch height width 3"]
    ) -> Float[Tensor, "batch tokens channels"]:
        batch, height, width, channels = images.shape
        p = self.kernel.shape[0]
        x = images.to(self.dtype)
        x = x.reshape(batch, height // p, p, width // p, p, channels)
        x = x.transpose(2, 3).reshape(batch, -1, p * p * channels)
        return super().forward(x)


class Conv(nn.Module):
    """A convolution without bias over (N, C, H, W); a subclass standardises it.

    The default memory layout is kept: on a CPU torch's channels-last group norm takes
    the variance as a difference of means, which loses digits, and is slower.
    """

    def __init__(
        self, weights: Weights, dtype: torch.dtype, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.kernel = nn.Parameter(weights["kernel"].permute(3, 2, 0, 1).contiguous())
        self.dtype = dtype
        self.stride = stride
        self.padding = padding  # zeros on each side

    def standardized(self) -> Float[Tensor, "out inputs height width"]:
        raise NotImplementedError

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch out height_out width_out"]:
        kernel = self.standardized().to(self.dtype)
        return F.conv2d(x.to(self.dtype), kernel, None, self.stride, self.padding)


def canonical_names(module: nn.Module) -> dict[str, str]:
    """Parameter name -> canonical name."""
    return {name: name.replace(".", "/") for name, _ in module.named_parameters()}


def dump(module: nn.Module) -> dict[str, np.ndarray]:
    """Canonical name -> array, in the released shapes."""
    kernels = {
        f"{path}.kernel"
        for path, layer in module.named_modules()
        if isinstance(layer, Conv)
    }
    weights = {}
    for name, parameter in module.named_parameters():
        value = parameter.detach().cpu()
        value = value.permute(2, 3, 1, 0) if name in kernels else value
        weights[name.replace(".", "/")] = value.contiguous().numpy().copy()
    return weights
