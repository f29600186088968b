"""BiT of torch on oneDNN, channels last: what the `onednn` variant does at inference.

Kernels are standardised once and laid out for oneDNN; a unit adds its shortcut inside
its last convolution. Torch's own channels-last group norm takes the variance as a
difference of means, which loses digits, and is slow in bfloat16. Here each image goes
through torch's batch norm, whose channel statistics are centred and whose loops run
over the channels: the groups are put together from the channels' means and variances.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bench.models.resnet import GROUP_NORM_EPS, num_groups
from bench.models.resnet_torch import (
    BottleneckUnit,
    GroupNorm,
    NormedConv,
    RootBlock,
    StdConv,
)

_convolution: Callable[..., Tensor] = torch.ops.mkldnn._convolution_pointwise
_adding_convolution: Callable[..., Tensor] = torch.ops.mkldnn._convolution_pointwise_
_lay_out: Callable[..., Tensor] = torch.ops.mkldnn._reorder_convolution_weight


def inferred(layer: nn.Module) -> nn.Module | None:
    """The layer as it is at inference; None where it has parts to look into."""
    if isinstance(layer, RootBlock):
        layer.standardized_conv2d = LaidOutConv(layer.standardized_conv2d)
        return layer
    if isinstance(layer, BottleneckUnit):
        return LaidOutUnit(layer)
    return Activated(layer) if isinstance(layer, GroupNorm) else None


class LaidOutConv(nn.Module):
    """A standardised convolution with its kernel in oneDNN's own layout."""

    def __init__(self, layer: StdConv) -> None:
        super().__init__()
        self._kernel = layer.standardized().detach().to(layer.dtype)
        self._dtype = layer.dtype
        side = [layer.padding, layer.padding], [layer.stride, layer.stride]
        self._window = (*side, [1, 1], 1)
        self._laid_out: Tensor | None = None

    def forward(
        self,
        x: Float[Tensor, "batch inputs height width"],
        onto: Float[Tensor, "batch out height_out width_out"] | None = None,
    ) -> Float[Tensor, "batch out height_out width_out"]:
        """The convolution; or its sum with `onto`, which is overwritten."""
        x = x.to(self._dtype)
        if self._laid_out is None:  # the best layout depends on the input's size
            self._laid_out = _lay_out(self._kernel, *self._window, list(x.shape))
            del self._kernel
        given = (x, self._laid_out, None, *self._window)
        if onto is None:
            return _convolution(*given, "none", [], "")
        return _adding_convolution(onto, *given, "add", 1.0, None, [], None)


class Activated(nn.Module):
    """Group norm and ReLU."""

    def __init__(self, layer: GroupNorm) -> None:
        super().__init__()
        channels = layer.gamma.numel()
        self._groups = num_groups(channels)
        self._gamma = layer.gamma.detach().float().view(self._groups, -1)
        self._beta = layer.beta.detach().float().view(self._groups, -1)
        self._as_it_is = torch.zeros(channels), torch.ones(channels)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        scale, shift = self._per_channel(x)
        y = torch.empty_like(x)
        nothing = torch.empty(0), torch.empty(0)
        for image, out, a, b in zip(
            x.split(1), y.split(1), scale.flatten(1), shift.flatten(1), strict=True
        ):
            given = image, a, b, *self._as_it_is, False, 0.0, 0.0
            torch.native_batch_norm(*given, out=(out, *nothing))
        return F.relu_(y)

    def _per_channel(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> tuple[
        Float[Tensor, "batch groups width"], Float[Tensor, "batch groups width"]
    ]:
        """Factor and summand that normalise each channel of each image."""
        found = [
            torch.batch_norm_update_stats(image, None, None, 0.0)
            for image in x.split(1)
        ]
        means, variances = (
            torch.stack(some).float().unflatten(1, self._gamma.shape)
            for some in zip(*found, strict=True)
        )
        mean = means.mean(-1, keepdim=True)
        between = means - mean
        variance = torch.addcmul(variances, between, between).mean(-1, keepdim=True)
        scale = torch.rsqrt(variance + GROUP_NORM_EPS) * self._gamma
        return scale, self._beta - mean * scale


class LaidOutUnit(nn.Module):
    """1x1, 3x3, 1x1 convolution, the last one adding to the shortcut."""

    def __init__(self, unit: BottleneckUnit) -> None:
        super().__init__()
        parts: tuple[NormedConv, ...] = (unit.a, unit.b, unit.c)
        self._norms = nn.ModuleList(Activated(part.group_norm) for part in parts)
        self._convs = nn.ModuleList(
            LaidOutConv(part.standardized_conv2d) for part in parts
        )
        projection = unit.a.proj.standardized_conv2d if unit.projects else None
        self._projection = projection and LaidOutConv(projection)

    def forward(
        self, x: Float[Tensor, "batch inputs height width"], noise: None = None
    ) -> Float[Tensor, "batch out height_out width_out"]:
        y = self._norms[0](x)
        shortcut = x if self._projection is None else self._projection(y)
        y = self._norms[1](self._convs[0](y))
        y = self._norms[2](self._convs[1](y))
        return self._convs[2](y, onto=shortcut)
