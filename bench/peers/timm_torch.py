"""timm's Mixer, ViT and BiT with our sizes and weights.

Its defaults differ in what is no matter of speed, and are set to ours: GELU in the
tanh form, the epsilons. Reduced precision is torch's autocast, as its users run it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import StudyError
from bench.models import ModelSpec, vit_torch
from bench.models.resnet import GROUP_NORM_EPS, WEIGHT_EPS, num_groups
from bench.models.spec import LAYER_NORM_EPS

# timm's parameter, up to its last word -> ours
_NAMES = {
    "mixer": (
        (r"^stem\.proj", "stem"),
        (r"^blocks\.(\d+)\.norm1", r"MixerBlock_\1/LayerNorm_0"),
        (r"^blocks\.(\d+)\.norm2", r"MixerBlock_\1/LayerNorm_1"),
        (r"^blocks\.(\d+)\.mlp_(token|channel)s", r"MixerBlock_\1/\2_mixing"),
        (r"\.fc1$", "/Dense_0"),
        (r"\.fc2$", "/Dense_1"),
        (r"^norm$", "pre_head_layer_norm"),
    ),
    "vit": (
        (r"^cls_token$", "cls"),
        (r"^pos_embed$", "Transformer/posembed_input/pos_embedding"),
        (r"^patch_embed\.proj", "embedding"),
        (r"^blocks\.(\d+)\.", r"Transformer/encoderblock_\1/"),
        (r"/norm1$", "/LayerNorm_0"),
        (r"/norm2$", "/LayerNorm_2"),
        (r"/attn\.qkv$", "/MultiHeadDotProductAttention_1/query"),
        (r"/attn\.proj$", "/MultiHeadDotProductAttention_1/out"),
        (r"/mlp\.fc1$", "/MlpBlock_3/Dense_0"),
        (r"/mlp\.fc2$", "/MlpBlock_3/Dense_1"),
        (r"^norm$", "Transformer/encoder_norm"),
    ),
    "resnet": (
        (r"^stem\.conv$", "resnet/root_block/standardized_conv2d"),
        (r"^norm$", "resnet/group_norm"),
        (r"^head\.fc$", "resnet/head/conv2d"),
        (r"\.downsample\.conv$", "/a/proj/standardized_conv2d"),
        *(
            rule
            for number, part in enumerate("abc", start=1)
            for rule in (
                (rf"\.norm{number}$", f"/{part}/group_norm"),
                (rf"\.conv{number}$", f"/{part}/standardized_conv2d"),
            )
        ),
    ),
}
_LAST = {"weight": ("kernel", "scale", "gamma"), "bias": ("bias", "beta")}


def build(
    spec: ModelSpec, weights: Mapping[str, np.ndarray], *, dtype: str
) -> nn.Module:
    """timm's network of this size, holding these weights.

    Raises:
        StudyError: timm has no such network.
    """
    if spec.family not in _NAMES:
        raise StudyError(
            f"peer timm: has no counterpart of {spec.name}; "
            f"it has the families {', '.join(_NAMES)}"
        )
    network = _network(spec)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(_value(name, parameter, spec, weights))
    return _Peer(network, dtype)


def canonical_names(module: nn.Module) -> dict[str, str]:
    """Parameter name -> canonical name; a fused one goes by its first part."""
    spec = module.spec
    return {
        name: _ours(name.removeprefix("network."), spec)
        for name, _ in module.named_parameters()
    }


def attention_kernel(
    spec: Any, dtype: torch.dtype, device: torch.device, *, training: bool
) -> str:
    """As in our twin: timm asks torch for the same operator unless told not to."""
    from timm.layers.config import use_fused_attn

    if not use_fused_attn():
        return "matmul, tokens x tokens scores"
    return vit_torch.attention_kernel(spec, dtype, device, training=training)


class _Peer(nn.Module):
    """The network behind autocast; float32 logits come out, float64 if it is that."""

    def __init__(self, network: nn.Module, dtype: str) -> None:
        super().__init__()
        self.network = network.double() if dtype == "float64" else network
        self.spec = network.spec
        self._memory_format = torch.contiguous_format
        self.reduced = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(dtype)

    @property
    def memory_format(self) -> torch.memory_format:
        return self._memory_format

    @memory_format.setter
    def memory_format(self, form: torch.memory_format) -> None:
        self._memory_format = form
        self.network.to(memory_format=form)

    def forward(self, images: Tensor) -> Tensor:
        if self.reduced is None:
            logits: Tensor = self.network(images)
            return logits
        with torch.autocast(images.device.type, self.reduced):
            return self.network(images).float()


def _network(spec: Any) -> nn.Module:
    _declare_vision_operators()
    makers = {"mixer": _mixer, "vit": _vit, "resnet": _resnet}
    network = makers[spec.family](spec)
    network.spec = spec
    return network


def _mixer(spec: Any) -> nn.Module:
    from timm.models.mlp_mixer import MlpMixer

    # timm multiplies and truncates; half a unit keeps the product from falling short
    widths = (spec.tokens_mlp_dim, spec.channels_mlp_dim)
    made: nn.Module = MlpMixer(
        num_classes=spec.num_classes,
        img_size=spec.image_size,
        patch_size=spec.patch_size,
        num_blocks=spec.num_blocks,
        embed_dim=spec.hidden_dim,
        mlp_ratio=tuple((width + 0.5) / spec.hidden_dim for width in widths),
        act_layer=cast(Any, partial(nn.GELU, approximate="tanh")),
    )
    return made


def _vit(spec: Any) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    if spec.representation:
        raise StudyError("peer timm: has no representation layer; leave it out")
    token = spec.pool == "token"
    made: nn.Module = VisionTransformer(
        img_size=spec.image_size,
        patch_size=spec.patch_size,
        num_classes=spec.num_classes,
        global_pool="token" if token else "avg",
        class_token=token,
        fc_norm=False,
        embed_dim=spec.hidden_dim,
        depth=spec.num_blocks,
        num_heads=spec.num_heads,
        mlp_ratio=spec.mlp_dim / spec.hidden_dim,
        act_layer=partial(nn.GELU, approximate="tanh"),
        norm_layer=partial(nn.LayerNorm, eps=LAYER_NORM_EPS),
    )
    return made


def _resnet(spec: Any) -> nn.Module:
    from timm.layers.norm_act import GroupNormAct
    from timm.layers.std_conv import StdConv2d
    from timm.models.resnetv2 import ResNetV2

    def norm(channels: int, **rest: Any) -> nn.Module:
        groups = num_groups(channels)  # narrow demo sizes have fewer than timm's 32
        return GroupNormAct(channels, num_groups=groups, eps=GROUP_NORM_EPS, **rest)

    made: nn.Module = ResNetV2(
        layers=list(spec.blocks),
        channels=tuple(4 * spec.stem_width * 2**i for i in range(len(spec.blocks))),
        num_classes=spec.num_classes,
        stem_chs=spec.stem_width,
        stem_type="fixed",
        conv_layer=partial(StdConv2d, eps=WEIGHT_EPS),
        norm_layer=norm,
    )
    return made


def _ours(name: str, spec: ModelSpec) -> str:
    """Canonical name of one of timm's parameters."""
    if spec.family == "resnet":
        name = re.sub(
            r"^stages\.(\d+)\.blocks\.(\d+)",
            lambda m: f"resnet/block{int(m[1]) + 1}/unit{int(m[2]) + 1:02d}",
            name,
        )
    path, _, last = name.rpartition(".")
    path = path or last
    for pattern, ours in _NAMES[spec.family]:
        path = re.sub(pattern, ours, path)
    tensors = spec.tensors()
    tried = [path, *(f"{path}/{word}" for word in _LAST.get(last, ()))]
    return next(ours for ours in tried if ours in tensors)


def _value(
    name: str,
    parameter: Tensor,
    spec: ModelSpec,
    weights: Mapping[str, np.ndarray],
) -> Tensor:
    """Our tensor in timm's shape; query, key and value stand below each other."""
    parts = [torch.from_numpy(weights[ours]) for ours in _parts(_ours(name, spec))]
    if parameter.ndim == 4:
        return parts[0].permute(3, 2, 0, 1)
    if parameter.ndim == 2:
        inputs = parameter.shape[1]
        return torch.cat([part.reshape(inputs, -1).t() for part in parts])
    if parameter.ndim == 1:
        return torch.cat([part.flatten() for part in parts])
    return parts[0]


def _parts(ours: str) -> Iterator[str]:
    if "/query/" not in ours:
        yield ours
        return
    for part in ("query", "key", "value"):
        yield ours.replace("/query/", f"/{part}/")


def _declare_vision_operators() -> None:
    """Let timm import where torchvision's compiled operators do not load.

    Nothing here uses them, but torchvision registers rules for two at import: with a
    torchvision that was built for another torch that fails, and timm with it.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            _LIBRARY.define(
                f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        importlib.import_module("torchvision")


_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
