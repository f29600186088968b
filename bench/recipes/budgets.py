"""How much the papers pre-train: images x epochs of each recipe, for extrapolation.

A short run measures a training rate; the recipe's budget over that rate is what the
full pre-training would cost here. MLP-Mixer marks such figures with a double dagger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

IMAGE_SIZE = 224
"""Resolution of every pre-training run below, pixels."""

IMAGENET = 1_281_167
JFT_300M = 303_000_000
"""As the ViT paper counts it; the Mixer paper says 300M."""


@dataclass(frozen=True)
class Budget:
    """Images of one epoch, and epochs by model; without its patch, for every patch."""

    images: int
    epochs: Mapping[str, float]


BUDGETS: Mapping[str, Budget] = {
    # MLP-Mixer Tables 3 and 4: L/32 ran 7 epochs, L/16 7 and 14
    "mixer-jft": Budget(
        JFT_300M,
        {"Mixer-S": 5, "Mixer-B": 7, "Mixer-L/32": 7, "Mixer-L/16": 14, "Mixer-H": 14},
    ),
    "mixer-imagenet": Budget(IMAGENET, {"Mixer-B": 300, "Mixer-L": 300}),
    # ViT Table 3: L/16 ran 7 and 14
    "vit-jft": Budget(
        JFT_300M, {"ViT-B": 7, "ViT-L/32": 7, "ViT-L/16": 14, "ViT-H": 14}
    ),
    "bit-adam-jft": Budget(
        JFT_300M,
        dict.fromkeys(
            ["BiT-R50x1", "BiT-R50x2", "BiT-R101x1", "BiT-R152x1", "BiT-R152x2"], 7
        ),
    ),
}


def images_of(recipe: str | None, model: str) -> float | None:
    """Images that the full recipe shows this model; None where no paper says.

    >>> images_of("mixer-jft", "Mixer-B/16") == 7 * JFT_300M, images_of("demo", "x")
    (True, None)
    """
    budget = BUDGETS.get(recipe or "")
    if budget is None:
        return None
    epochs = budget.epochs.get(model, budget.epochs.get(model.partition("/")[0]))
    return None if epochs is None else epochs * budget.images
