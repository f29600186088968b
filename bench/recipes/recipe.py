"""One recipe object for both frameworks: everything an optimiser step depends on.

Its fields are fields of `bench.specs.Cell`, by the same names; `of_cell` copies them.

Weight decay acts on kernels only, never on biases, norms or embeddings. `decoupled` is
the convention of AdamW and of the MLP-Mixer and ViT tables: the weights shrink by
rate x decay in every step, past the moments of the optimiser. (big_vision does not
multiply by the peak rate: its 1e-4 at rate 1e-3 is 0.1 here.) `coupled` adds decay x
weights to the gradient, as the SGD of the BiT paper does; momentum 0.9 then makes it
ten times as strong.

A step clips the mean gradient of the whole batch to a global norm, adds coupled decay,
applies the optimiser, adds decoupled decay, and multiplies by the learning rate.

With `polyak` f, an average of the weights follows the steps and is what is evaluated
and kept: it starts at the weights that training starts from, and becomes f x average +
(1 - f) x weights after each step. The ViT paper gives 0.9999 for its ImageNet results
at 512 and 518 px, and neither a start nor a correction for it: this is the standard
exponential average. (MLP-Mixer tried one in fine-tuning and saw no consistent gain.)
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from bench.errors import StudyError
from bench.specs import Cell


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How weights are updated. Frozen: two equal recipes train equally."""

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "linear"
    boundaries: str | None = None
    warmup_steps: int | None = None
    warmup_share: float | None = None
    weight_decay: float = 0.0
    decay: str = "decoupled"
    clip_norm: float | None = 1.0
    loss: str = "softmax"
    head_bias: float = 0.0
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    accumulate: int = 1
    mixup: float = 0.0
    polyak: float = 0.0

    @property
    def noisy(self) -> bool:
        """Whether a step draws masks, so that it needs a key."""
        return bool(self.dropout or self.stochastic_depth)

    @property
    def coupled_decay(self) -> float:
        """What of the weights joins the gradient."""
        return self.weight_decay if self.decay == "coupled" else 0.0

    @property
    def decoupled_decay(self) -> float:
        """What of the weights joins the update."""
        return self.weight_decay if self.decay == "decoupled" else 0.0


def of_cell(cell: Cell) -> Recipe:
    """The recipe that a training cell declares."""
    names = [item.name for item in dataclasses.fields(Recipe)]
    return Recipe(**{name: getattr(cell, name) for name in names})


def check(recipe: Recipe, batch_size: int) -> None:
    """Refuse fields that do not go together, in one line.

    Raises:
        StudyError: the parts of a batch are not equal, Adam's decay is coupled, or a
            bias of the head does nothing.
    """
    if batch_size % recipe.accumulate:
        fitting = [n for n in range(1, batch_size + 1) if batch_size % n == 0]
        near = min(fitting, key=lambda n: abs(n - recipe.accumulate))
        raise StudyError(
            f"accumulate: {recipe.accumulate}: does not divide batch_size "
            f"{batch_size}; nearest that does: {near}"
        )
    if recipe.decay == "coupled" and recipe.optimizer != "sgd":
        raise StudyError(
            f"decay: coupled: is for sgd; {recipe.optimizer} would divide the decay by "
            "the gradient's size; say decay: decoupled"
        )
    if recipe.head_bias and recipe.loss == "softmax":
        raise StudyError(
            f"head_bias: {recipe.head_bias:g}: does nothing with softmax, which sees "
            "differences only; say loss: sigmoid, or leave it out"
        )
    if not math.isfinite(recipe.head_bias):
        raise StudyError(f"head_bias: {recipe.head_bias}: must be a finite number")
