"""MLP-Mixer (Tolstikhin et al., 2021, arXiv 2105.01601v4): sizes, tensors and cost.

Names are those of the released files. There is no class token and no position
embedding; the head sees the mean over the tokens. Appendix A's untied token mixing is
an option, and so are two simpler ways to mix tokens: one linear map, or none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from bench.errors import StudyError, unknown
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
OPTIONS = ("tokens_mlp_dim", "token_mixing", "tied_token_mixing")
TOKEN_MIXING = ("mlp", "linear", "none")

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
    "XXXS": (1, 32, 16, 128),
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
    "Mixer-XXXS/4",
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
    token_mixing: str = "mlp"
    """mlp is the paper's; linear is one dense layer; none leaves tokens alone."""
    tied_token_mixing: bool = True
    """Every channel shares one token-mixing network; untied, each has its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token_mixing not in TOKEN_MIXING:
            wrong = unknown("token_mixing", self.token_mixing, TOKEN_MIXING)
            raise StudyError(f"{self.name}: {wrong}")
        if self.token_mixing == "none" and not self.tied_token_mixing:
            raise StudyError(
                f"{self.name}: tied_token_mixing false, but token_mixing none has "
                "nothing to untie; say mlp or linear"
            )
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
        token_mixing = self.hidden_dim * sum(i * o for i, o in self._token_layers())
        channel_mixing = 2 * self.tokens * self.hidden_dim * self.channels_mlp_dim
        head = self.hidden_dim * self.num_classes
        return stem + self.num_blocks * (token_mixing + channel_mixing) + head

    @property
    def branches(self) -> int:
        mlps = 1 if self.token_mixing == "none" else 2
        return mlps * self.num_blocks

    def tensors(self) -> Tensors:
        table = {
            "stem/kernel": Tensor(self.patch_kernel(), "lecun_normal"),
            "stem/bias": Tensor((self.width,), "zeros"),
        }
        for i in range(self.num_blocks):
            table |= under(f"MixerBlock_{i}", self._block())
        table |= under("pre_head_layer_norm", norm(self.width))
        return table | under("head", dense(self.width, self.num_classes, "zeros"))

    @property
    def token_mixing_params(self) -> int:
        """Parameters of all token-mixing networks."""
        one = sum((inputs + 1) * outputs for inputs, outputs in self._token_layers())
        copies = 1 if self.tied_token_mixing else self.hidden_dim
        return self.num_blocks * copies * one

    def _token_layers(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the dense layers over the tokens of one block."""
        tokens, hidden = self.tokens, self.tokens_mlp_dim
        return {
            "mlp": [(tokens, hidden), (hidden, tokens)],
            "linear": [(tokens, tokens)],
            "none": [],
        }[self.token_mixing]

    def _block(self) -> Tensors:
        channels = [(self.width, self.channels_mlp_dim)]
        channels.append((self.channels_mlp_dim, self.width))
        table = under("LayerNorm_1", norm(self.width))
        table |= under("channel_mixing", _network(channels, copies=None))
        if self.token_mixing == "none":
            return table
        copies = None if self.tied_token_mixing else self.width
        tokens = under("token_mixing", _network(self._token_layers(), copies))
        return under("LayerNorm_0", norm(self.width)) | tokens | table


def _network(layers: list[tuple[int, int]], copies: int | None) -> Tensors:
    """Dense layers one after another; with `copies`, so many networks side by side."""
    table: Tensors = {}
    for number, (inputs, outputs) in enumerate(layers):
        layer = dense(inputs, outputs)
        if copies is not None:
            layer = {
                name: replace(one, shape=(copies, *one.shape), copies=1)
                for name, one in layer.items()
            }
        table |= under(f"Dense_{number}", layer)
    return table


def printed(text: str) -> str:
    """`mixer_b16` -> `Mixer-B/16`."""
    size, patch = size_and_patch(text, PREFIX, VARIANTS, LISTED)
    return f"{PREFIX}-{size}/{patch}"


def spec(
    text: str,
    *,
    image_size: int,
    num_classes: int,
    tokens_mlp_dim: int | None = None,
    token_mixing: str = "mlp",
    tied_token_mixing: bool = True,
) -> MixerSpec:
    """The spec of `Mixer-B/16` and its like; `tokens_mlp_dim` None is Table 1's D_S."""
    if tokens_mlp_dim is not None and token_mixing in ("linear", "none"):
        raise StudyError(
            f"{printed(text)}: tokens_mlp_dim {tokens_mlp_dim}, but token_mixing "
            f"{token_mixing} has no hidden layer; leave one of them out"
        )
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
        token_mixing=token_mixing,
        tied_token_mixing=tied_token_mixing,
    )
