"""Vision Transformer (Dosovitskiy et al., 2021, arXiv 2010.11929v2).

Names are those of the released files, which number the parts of a block through:
LayerNorm_0, MultiHeadDotProductAttention_1, LayerNorm_2, MlpBlock_3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

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

PREFIX = "ViT"
OPTIONS = ("pool", "representation", "position_embedding")
POOLS = ("token", "gap")
POSITION_EMBEDDINGS = ("learned", "none")

VARIANTS = {
    # size: (num_blocks, hidden_dim D, mlp_dim, num_heads)
    # Table 1; Ti and S as in the released code
    "Ti": (12, 192, 768, 3),
    "S": (12, 384, 1536, 6),
    "B": (12, 768, 3072, 12),
    "L": (24, 1024, 4096, 16),
    "H": (32, 1280, 5120, 16),
    # demo sizes, which train on two CPU cores
    "XXS": (2, 64, 256, 2),
    "XS": (4, 128, 512, 4),
}

LISTED = (
    "ViT-Ti/16",
    "ViT-S/32",
    "ViT-S/16",
    "ViT-B/32",
    "ViT-B/16",
    "ViT-L/32",
    "ViT-L/16",
    "ViT-H/14",
    "ViT-XXS/4",
    "ViT-XS/4",
)

POSITIONS = "Transformer/posembed_input/pos_embedding"


@dataclass(frozen=True, kw_only=True)
class ViTSpec(PatchSpec):
    """One ViT at one resolution."""

    family: ClassVar[str] = "vit"
    attends: ClassVar[bool] = True
    aliases: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"^(Transformer/)?pos_embedding$", POSITIONS),
        (r"/MultiHeadDotProductAttention_0/", "/MultiHeadDotProductAttention_1/"),
        (r"/LayerNorm_1/", "/LayerNorm_2/"),
        (r"/MlpBlock_0/", "/MlpBlock_3/"),
    )

    num_blocks: int
    hidden_dim: int
    mlp_dim: int
    num_heads: int
    pool: str = "token"
    """token reads the class token, gap the mean over the patches."""
    representation: bool = False
    """A tanh layer before the head, as in the original ImageNet-21k files."""
    position_embedding: str = "learned"
    """none is an ablation (Table 8 of the paper): the order of patches is lost."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool not in POOLS:
            raise StudyError(f"{self.name}: {unknown('pool', self.pool, POOLS)}")
        given, known = self.position_embedding, POSITION_EMBEDDINGS
        if given not in known:
            wrong = unknown("position_embedding", given, known)
            raise StudyError(f"{self.name}: {wrong}")

    @property
    def width(self) -> int:
        return self.hidden_dim

    @property
    def head_dim(self) -> int:
        return self.hidden_dim // self.num_heads

    @property
    def tokens(self) -> int:
        return self.grid**2 + (self.pool == "token")

    @property
    def macs(self) -> int:
        n, d = self.tokens, self.hidden_dim
        stem = self.grid**2 * self.patch_size**2 * 3 * d
        projections = 4 * n * d * d
        attention = 2 * n * n * d
        mlp = 2 * n * d * self.mlp_dim
        representation = d * d if self.representation else 0
        blocks = self.num_blocks * (projections + attention + mlp)
        return stem + blocks + representation + d * self.num_classes

    @property
    def branches(self) -> int:
        return 2 * self.num_blocks

    def tensors(self) -> Tensors:
        d = self.hidden_dim
        table = {"cls": Tensor((1, 1, d), "zeros")} if self.pool == "token" else {}
        table["embedding/kernel"] = Tensor(self.patch_kernel(), "lecun_normal")
        table["embedding/bias"] = Tensor((d,), "zeros")
        if self.position_embedding == "learned":
            table[POSITIONS] = Tensor((1, self.tokens, d), "normal_0.02")
        for i in range(self.num_blocks):
            table |= under(f"Transformer/encoderblock_{i}", self._block())
        table |= under("Transformer/encoder_norm", norm(d))
        if self.representation:
            table |= under("pre_logits", dense(d, d))
        return table | under("head", dense(d, self.num_classes, "zeros"))

    def _block(self) -> Tensors:
        return {
            **under("LayerNorm_0", norm(self.hidden_dim)),
            **under("MultiHeadDotProductAttention_1", self._attention()),
            **under("LayerNorm_2", norm(self.hidden_dim)),
            **under("MlpBlock_3", self._mlp()),
        }

    def _attention(self) -> Tensors:
        d, heads, head_dim = self.hidden_dim, self.num_heads, self.head_dim
        table = {}
        for part in ("query", "key", "value"):
            shape = (d, heads, head_dim)
            table[f"{part}/kernel"] = Tensor(shape, "xavier_uniform", input_axes=1)
            table[f"{part}/bias"] = Tensor((heads, head_dim), "zeros")
        table["out/kernel"] = Tensor((heads, head_dim, d), "xavier_uniform")
        table["out/bias"] = Tensor((d,), "zeros")
        return table

    def _mlp(self) -> Tensors:
        table: Tensors = {}
        shapes = ((self.hidden_dim, self.mlp_dim), (self.mlp_dim, self.hidden_dim))
        for i, shape in enumerate(shapes):
            table[f"Dense_{i}/kernel"] = Tensor(shape, "xavier_uniform")
            table[f"Dense_{i}/bias"] = Tensor(shape[1:], "normal_1e-6")
        return table

    def unstacked(self, name: str, array: np.ndarray) -> dict[str, np.ndarray]:
        """Files trained by a scan hold all blocks in one tensor, depth first."""
        start = "Transformer/encoderblock/"
        if not name.startswith(start) or len(array) != self.num_blocks:
            return {name: array}
        rest = name.removeprefix(start)
        return {
            f"Transformer/encoderblock_{i}/{rest}": part for i, part in enumerate(array)
        }

    def adapted(self, name: str, array: np.ndarray) -> np.ndarray:
        """Positions of big_vision files have no entry for the class token: it is 0."""
        patches_only = (1, self.grid**2, self.hidden_dim)
        if name == POSITIONS and self.pool == "token" and array.shape == patches_only:
            return np.concatenate([np.zeros_like(array[:, :1]), array], axis=1)
        return super().adapted(name, array)


def printed(text: str) -> str:
    """`vit_l16` -> `ViT-L/16`."""
    size, patch = size_and_patch(text, PREFIX, VARIANTS, LISTED)
    return f"{PREFIX}-{size}/{patch}"


def spec(
    text: str,
    *,
    image_size: int,
    num_classes: int,
    pool: str | None = None,
    representation: bool | None = None,
    position_embedding: str = "learned",
) -> ViTSpec:
    """The spec of `ViT-L/16` and its like."""
    size, patch = size_and_patch(text, PREFIX, VARIANTS, LISTED)
    num_blocks, hidden_dim, mlp_dim, num_heads = VARIANTS[size]
    return ViTSpec(
        name=printed(text),
        image_size=image_size,
        num_classes=num_classes,
        patch_size=patch,
        num_blocks=num_blocks,
        hidden_dim=hidden_dim,
        mlp_dim=mlp_dim,
        num_heads=num_heads,
        pool="token" if pool is None else pool,
        representation=bool(representation),
        position_embedding=position_embedding,
    )
