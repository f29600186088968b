"""Mixer and ViT of torch on oneDNN: what the `onednn` variant does on a CPU.

Eager torch sends float32 products to MKL and runs GELU as a pass of its own. Here every
product goes to oneDNN. For inference its weights are laid out once, GELU happens inside
the product, and query, key and value are one product. Token mixing moves the tokens
last, where the weights are the right-hand side that can be laid out beforehand. In
reduced precision attention is written out: torch's fused CPU kernel computes it in
float32 blocks, at a fraction of the rate of its bfloat16 products. BiT: see
`onednn_resnet_torch`.

The parameters stay those of the network, so that training updates them in place. Timed
steps have no dropout, so that `noise` is always None here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bench.models import onednn_resnet_torch
from bench.models.layers_torch import Dense, MlpBlock, gelu
from bench.models.mixer_torch import TokenMlpBlock
from bench.models.vit_torch import Attention, scores_attention

_product: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise
_lay_out: Callable[..., Tensor] = torch.ops.mkldnn._reorder_linear_weight
_NOTHING: tuple[str, list[Any], str] = ("none", [], "")
_GELU: tuple[str, list[Any], str] = ("gelu", [], "tanh")


def arrange(module: nn.Module, *, training: bool) -> None:
    """Rewrite the layers of a Mixer or ViT in place, or of a BiT for inference.

    Without training the weights are laid out at the first call, for its batch.
    """
    for name, child in list(module.named_children()):
        made = _trained(child) if training else _inferred(child)
        if made is None:
            arrange(child, training=training)
        else:
            setattr(module, name, made)


def _inferred(layer: nn.Module) -> nn.Module | None:
    """The layer with its weights laid out; None where oneDNN has no part in it."""
    if isinstance(layer, TokenMlpBlock):
        return TokensLast(LaidOutMlp(layer.Dense_0, layer.Dense_1))
    if isinstance(layer, MlpBlock):
        return LaidOutMlp(layer.Dense_0, layer.Dense_1)
    if isinstance(layer, Attention):
        return LaidOutAttention(layer)
    return onednn_resnet_torch.inferred(layer)


def _trained(layer: nn.Module) -> nn.Module | None:
    """The layer computing its products in oneDNN, gradients included."""
    if isinstance(layer, TokenMlpBlock):
        dense = layer.Dense_0, layer.Dense_1
        return TokensLast(TrainedMlp(*(_as_dense(part) for part in dense)))
    if isinstance(layer, Dense):
        layer.product = _differentiable(layer.dtype)
    elif isinstance(layer, Attention) and writes_attention_out(layer.query.dtype):
        layer.attend = scores_attention
    return None


def _as_dense(layer: Dense) -> Dense:
    """The same parameters, over the last axis."""
    made = Dense({"kernel": layer.kernel.data, "bias": layer.bias.data}, layer.dtype)
    made.kernel, made.bias = layer.kernel, layer.bias
    made.product = _differentiable(layer.dtype)
    return made


def writes_attention_out(dtype: torch.dtype) -> bool:
    """Where the written-out form is the faster one; the same in both modes."""
    return dtype in (torch.bfloat16, torch.float16)


# Inference ------------------------------------------------------------------------


class LaidOut:
    """x @ kernel + bias, and GELU if asked, with the kernel in oneDNN's own layout."""

    def __init__(
        self,
        kernel: Float[Tensor, "inputs out"],
        bias: Float[Tensor, " out"],
        dtype: torch.dtype,
    ) -> None:
        self._kernel, self._bias = kernel.detach().to(dtype), bias.detach().to(dtype)
        self._dtype = dtype
        self._laid_out: Tensor | None = None

    def __call__(
        self, x: Float[Tensor, "*batch inputs"], *, with_gelu: bool = False
    ) -> Float[Tensor, "*batch out"]:
        if self._laid_out is None:  # the best layout depends on the number of rows
            rows = x.numel() // x.shape[-1]
            self._laid_out = _lay_out(self._kernel.t().contiguous(), rows)
            del self._kernel
        then = _GELU if with_gelu else _NOTHING
        return _product(x.to(self._dtype), self._laid_out, self._bias, *then)


class LaidOutMlp(nn.Module):
    """Dense with GELU, dense."""

    def __init__(self, first: Dense, second: Dense) -> None:
        super().__init__()
        self._first, self._second = (
            LaidOut(layer.kernel, layer.bias, layer.dtype) for layer in (first, second)
        )

    def forward(
        self, x: Float[Tensor, "batch rows inputs"], noise: None = None
    ) -> Float[Tensor, "batch rows inputs"]:
        return self._second(self._first(x, with_gelu=True))


class LaidOutAttention(nn.Module):
    """Self-attention whose query, key and value come out of one product."""

    def __init__(self, layer: Attention) -> None:
        super().__init__()
        parts = layer.query, layer.key, layer.value
        kernel = torch.cat([part.kernel.flatten(1) for part in parts], dim=1)
        bias = torch.cat([part.bias.flatten() for part in parts])
        dtype = layer.query.dtype
        self._heads = layer.query.bias.shape[0]
        self._inward = LaidOut(kernel, bias, dtype)
        self._out = LaidOut(layer.out.kernel.flatten(0, -2), layer.out.bias, dtype)
        written_out = writes_attention_out(dtype)
        self._attend = scores_attention if written_out else layer.attend

    def forward(
        self, x: Float[Tensor, "batch tokens width"], noise: None = None
    ) -> Float[Tensor, "batch tokens width"]:
        parts = self._inward(x).unflatten(-1, (3, self._heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        y = self._attend(query, key, value)
        return self._out(y.transpose(1, 2).flatten(2))


# Training -------------------------------------------------------------------------


class TrainedMlp(nn.Module):
    """Dense, GELU, dense, with gradients."""

    def __init__(self, first: Dense, second: Dense) -> None:
        super().__init__()
        self.Dense_0, self.Dense_1 = first, second

    def forward(
        self, x: Float[Tensor, "batch rows inputs"], noise: None = None
    ) -> Float[Tensor, "batch rows inputs"]:
        return self.Dense_1(gelu(self.Dense_0(x)))


@torch.library.custom_op("mixer_bench::product", mutates_args=())
def product(x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    """x @ matrix^T + bias in oneDNN, as an operator that a compiler leaves whole."""
    return _product(x.contiguous(), matrix, bias, *_NOTHING)


@product.register_fake
def _(x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty((*x.shape[:-1], matrix.shape[0]))


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x, matrix = ctx.saved_tensors
    rows, out = x.flatten(0, -2), gradient.flatten(0, -2)
    # For the weights MKL is the faster one, with the longer side first.
    wide = out.shape[1] > rows.shape[1]
    by_matrix = out.t() @ rows if wide else (rows.t() @ out).t()
    return product(gradient, matrix.t(), None), by_matrix, out.sum(0)


product.register_autograd(_gradients, setup_context=_remember)


def _differentiable(dtype: torch.dtype) -> Callable[..., Tensor]:
    """In reduced precision torch's own linear runs in oneDNN already."""
    return product if dtype == torch.float32 else torch.nn.functional.linear


# Both -----------------------------------------------------------------------------


class TokensLast(nn.Module):
    """An MLP over the tokens, by way of a transposed copy."""

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.mlp = mlp

    def forward(
        self, x: Float[Tensor, "batch tokens channels"], noise: None = None
    ) -> Float[Tensor, "batch tokens channels"]:
        mixed: Tensor = self.mlp(x.transpose(1, 2).contiguous())
        return mixed.transpose(1, 2)
