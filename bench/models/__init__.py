"""The model families. One triplet each: `X.py` says what, its twins say how.

`X.py` is numpy at most: sizes, tensors with shape and initialiser, MACs, tokens.
`X_jax.py` and `X_torch.py` hold the network; they are imported by name, late.
"""

from __future__ import annotations

import importlib
from typing import Any

from bench.errors import StudyError, unknown
from bench.models.spec import ModelSpec, Tensor, squeezed
from bench.specs import Cell

__all__ = [
    "FAMILIES",
    "ModelSpec",
    "Tensor",
    "canonical_name",
    "family_of",
    "spec_for",
    "spec_of_cell",
    "twin",
    "variants",
]

FAMILIES = ("mixer", "vit", "resnet", "resnet_v1")


def spec_for(
    name: str,
    *,
    image_size: int = 224,
    num_classes: int = 1000,
    pool: str | None = None,
    tokens_mlp_dim: int | None = None,
    representation: bool | None = None,
    token_mixing: str = "mlp",
    tied_token_mixing: bool = True,
    position_embedding: str = "learned",
) -> ModelSpec:
    """The spec of a model by its name: `Mixer-B/16`, `vit_l16`, `BiT-R50x1`, ...

    Args:
      pool: ViT only, `token` (default) or `gap`.
      tokens_mlp_dim: Mixer only, D_S; None is the paper's.
      representation: ViT only, a tanh layer before the head; None is without.
      token_mixing: Mixer only, `mlp`, `linear` or `none`.
      tied_token_mixing: Mixer only, whether every channel shares its weights.
      position_embedding: ViT only, `learned` or `none`.
    """
    family = _family(name)
    given = {
        "pool": (pool, None),
        "tokens_mlp_dim": (tokens_mlp_dim, None),
        "representation": (representation, None),
        "token_mixing": (token_mixing, "mlp"),
        "tied_token_mixing": (tied_token_mixing, True),
        "position_embedding": (position_embedding, "learned"),
    }
    options = {
        key: value for key, (value, default) in given.items() if value != default
    }
    for key in options:
        if key not in family.OPTIONS:
            raise StudyError(
                f"{name}: {family.PREFIX} has no {key}; "
                f"its options: {', '.join(family.OPTIONS) or 'none'}"
            )
    spec: ModelSpec = family.spec(
        name, image_size=image_size, num_classes=num_classes, **options
    )
    return spec


def spec_of_cell(cell: Cell, *, num_classes: int) -> ModelSpec:
    """The network that a cell asks for."""
    return spec_for(
        cell.model,
        image_size=cell.image_size,
        num_classes=num_classes,
        pool=cell.pool,
        tokens_mlp_dim=cell.tokens_mlp_dim,
        representation=cell.representation or None,
        token_mixing=cell.token_mixing,
        tied_token_mixing=cell.tied_token_mixing,
        position_embedding=cell.position_embedding,
    )


def canonical_name(text: str) -> str:
    """The name as the papers print it: `mixer_b16` -> `Mixer-B/16`."""
    family = _family(text)
    printed: str = family.printed(text)
    return printed


def family_of(name: str) -> str:
    """The word in `FAMILIES` that a model's name belongs to."""
    module: str = _family(name).__name__
    return module.rpartition(".")[2]


def variants() -> list[str]:
    """Every listed model, the papers' and the demo sizes."""
    return [name for family in FAMILIES for name in _module(family).LISTED]


def twin(spec: ModelSpec, framework: str) -> Any:
    """The module that builds `spec` in `framework`, imported now."""
    return importlib.import_module(f"bench.models.{spec.family}_{framework}")


def _module(family: str) -> Any:
    return importlib.import_module(f"bench.models.{family}")


def _family(name: str) -> Any:
    for module in map(_module, FAMILIES):
        if squeezed(name).startswith(module.PREFIX.lower()):
            return module
    raise StudyError(unknown("model", name, variants()))
