"""One recipe object for both frameworks: everything an optimiser step depends on.

Its fields are fields of `bench.specs.Cell`, by the same names; `of_cell` copies them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from bench.specs import Cell


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How weights are updated. Frozen: two equal recipes train equally."""

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "linear"
    warmup_steps: int | None = None
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0
    loss: str = "softmax"


def of_cell(cell: Cell) -> Recipe:
    """The recipe that a training cell declares."""
    names = [item.name for item in dataclasses.fields(Recipe)]
    return Recipe(**{name: getattr(cell, name) for name in names})
