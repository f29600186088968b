"""MLP-Mixer (Tolstikhin et al., 2021, arXiv 2105.01601v4): sizes, tensors and cost.

Names are those of the released files. There is no class token and no position
embedding; the head sees the mean over the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.errors import StudyError
from bench.models.spec import (
    PatchSpec,
    Tensor,
    Tensors,
    dense,
    norm,
    size_and_patch,
    under,
)

PREFIX = "Mixer"
OPTIONS = ("tokens_mlp_dim",)

VARIANTS = {
    # size: (num_blocks, hidden_dim C, tokens_mlp_dim D_S, channels_mlp_dim D_C)
    # Table 1
    "S": (8, 512, 256, 2048),
    "B": (12, 768, 384, 3072),
    "L": (24, 1024, 512, 4096),
    "H": (32, 1280, 640, 5120),
    # ours: the width of ViT-Ti, where attention's quadratic part shows soonest
    "Ti": (12, 192, 96, 768),
    # demo sizes, which train on two CPU cores
    "XXS": (2, 64, 32, 256),
    "XS": (4, 128, 64, 512),
}

LISTED = (
    "Mixer-S/32",
    "Mixer-S/16",
    "Mixer-B/32",
    "Mixer-B/16",
    "Mixer-L/32",
    "Mixer-L/16",
    "Mixer-H/14",
    "Mixer-Ti/16",
    "Mixer-XXS/4",
    "Mixer-XS/4",
)


FIRST_TOKEN_KERNEL = "MixerBlock_0/token_mixing/Dense_0/kernel"
"""Its shape, (tokens, D_S), tells the resolution of a file."""


@dataclass(frozen=True, kw_only=True)
class MixerSpec(PatchSpec):
    """One Mixer at one resolution: D_S does not follow from the number of tokens."""

    family: ClassVar[str] = "mixer"
    aliases: ClassVar[tuple[tuple[str, str], ...]] = (
        # the layout before the code was released; its axes of length 1 fall away
        (r"^embedding/", "stem/"),
        (r"^Mixer/encoder_norm/", "pre_head_layer_norm/"),
        (r"^Mixer/encoderblock_", "MixerBlock_"),
        (r"_mixing_phase_0/(kernel|bias)1$", r"_mixing/Dense_0/\1"),
        (r"_mixing_phase_0/(kernel|bias)2$", r"_mixing/Dense_1/\1"),
        (r"^(MixerBlock_\d+)/LayerNorm_2/", r"\1/LayerNorm_1/"),
    )

    num_blocks: int
    hidden_dim: int
    tokens_mlp_dim: int
    channels_mlp_dim: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokens_mlp_dim < 1:
            raise StudyError(
                f"{self.name}: tokens_mlp_dim {self.tokens_mlp_dim}; "
                "it must be 1 or more"
            )

    @property
    def width(self) -> int:
        return self.hidden_dim

    @property
    def tokens(self) -> int:
        return self.grid**2

    @property
    def macs(self) -> int:
        stem = self.tokens * self.patch_size**2 * 3 * self.hidden_dim
        token_mixing = 2 * self.tokens * self.tokens_mlp_dim * self.hidden_dim
        channel_mixing = 2 * self.tokens * self.hidden_dim * self.channels_mlp_dim
        head = self.hidden_dim * self.num_classes
        return stem + self.num_blocks * (token_mixing + channel_mixing) + head

    def tensors(self) -> Tensors:
        table = {
            "stem/kernel": Tensor(self.patch_kernel(), "lecun_normal"),
            "stem/bias": Tensor((self.width,), "zeros"),
        }
        for i in range(self.num_blocks):
            table |= under(f"MixerBlock_{i}", self._block())
        table |= under("pre_head_layer_norm", norm(self.width))
        return table | under("head", dense(self.width, self.num_classes, "zeros"))

    def _block(self) -> Tensors:
        return {
            **under("LayerNorm_0", norm(self.width)),
            **under("token_mixing", _mlp(self.tokens, self.tokens_mlp_dim)),
            **under("LayerNorm_1", norm(self.width)),
            **under("channel_mixing", _mlp(self.width, self.channels_mlp_dim)),
        }


def _mlp(width: int, hidden: int) -> Tensors:
    return under("Dense_0", dense(width, hidden)) | under(
        "Dense_1", dense(hidden, width)
    )


def printed(text: str) -> str:
    """`mixer_b16` -> `Mixer-B/16`."""
    size, patch = size_and_patch(text, PREFIX, VARIANTS, LISTED)
    return f"{PREFIX}-{size}/{patch}"


def spec(
    text: str, *, image_size: int, num_classes: int, tokens_mlp_dim: int | None = None
) -> MixerSpec:
    """The spec of `Mixer-B/16` and its like; `tokens_mlp_dim` None is Table 1's D_S."""
    size, patch = size_and_patch(text, PREFIX, VARIANTS, LISTED)
    num_blocks, hidden_dim, paper_tokens_mlp_dim, channels_mlp_dim = VARIANTS[size]
    if tokens_mlp_dim is None:
        tokens_mlp_dim = paper_tokens_mlp_dim
    return MixerSpec(
        name=printed(text),
        image_size=image_size,
        num_classes=num_classes,
        patch_size=patch,
        num_blocks=num_blocks,
        hidden_dim=hidden_dim,
        tokens_mlp_dim=tokens_mlp_dim,
        channels_mlp_dim=channels_mlp_dim,
    )
