"""What a file of weights holds, told from its names and shapes alone.

Whoever only looks at weights needs no model, image size or framework.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import WeightsError
from bench.models import FAMILIES, weights
from bench.models.spec import ModelSpec

_STEMS = {
    "mixer": "stem/kernel",
    "vit": "embedding/kernel",
    "resnet": "resnet/root_block/standardized_conv2d/kernel",
    "resnet_v1": "conv_root/kernel",
}
"""The first tensor that an image meets."""
_LAST = {
    "mixer": "pre_head_layer_norm/scale",
    "vit": "Transformer/encoder_norm/scale",
    "resnet": "resnet/group_norm/gamma",
    "resnet_v1": "gn_root/scale",
}
"""Another that this family alone has, so that a like-named stem is not enough."""
_POSITIONS = "Transformer/posembed_input/pos_embedding"
_TOKEN_MIXING = re.compile(r"MixerBlock_(\d+)/token_mixing/Dense_0/kernel")
_SMALLEST_PAPER_WIDTH = {"mixer": 192, "vit": 192, "resnet": 64, "resnet_v1": 64}
"""Of the stem; narrower networks are our demo sizes."""


@dataclass(frozen=True)
class Found:
    """The tensors of a file that can be drawn."""

    family: str
    stem: np.ndarray
    """(side, side, colours, units)"""
    token_mixing: dict[int, np.ndarray]
    """Block -> (tokens, units), or (channels, tokens, units) where it is untied."""
    positions: np.ndarray | None
    """(tokens, width), without the class token's where there is one."""

    @property
    def demo(self) -> bool:
        """Whether it is narrower than any network of the papers."""
        width: int = self.stem.shape[-1]
        return width < _SMALLEST_PAPER_WIDTH[self.family]


def read(path: str | Path) -> Found:
    """The drawable tensors of a .npz or .safetensors file, a checkpoint included.

    Raises:
        WeightsError: it cannot be read, or is of no family known here.
    """
    named = weights.read_named(path)
    for family in FAMILIES:
        kind = _spec_class(family)
        ours = {weights.canonical(name, kind): array for name, array in named.items()}
        stem = ours.get(_STEMS[family])
        if stem is not None and stem.ndim == 4 and _LAST[family] in ours:
            mixing = {
                int(match[1]): array
                for name, array in ours.items()
                if (match := _TOKEN_MIXING.fullmatch(name))
            }
            return Found(family, stem, dict(sorted(mixing.items())), _positions(ours))
    raise WeightsError(
        f"{path}: holds no network known here ({', '.join(FAMILIES)}); give weights "
        "under the released names"
    )


def _positions(ours: dict[str, np.ndarray]) -> np.ndarray | None:
    """Of the patches: an entry for the class token makes one more than a square."""
    if _POSITIONS not in ours:
        return None
    table = ours[_POSITIONS].reshape(-1, ours[_POSITIONS].shape[-1])
    whole = round(len(table) ** 0.5) ** 2 == len(table)
    return table if whole else table[1:]


def _spec_class(family: str) -> type[ModelSpec]:
    module = importlib.import_module(f"bench.models.{family}")
    (kind,) = (
        one
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, ModelSpec)
        and one.__dict__.get("family") == family
    )
    return kind
