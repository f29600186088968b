"""How much the papers pre-train: images x epochs of each recipe, for extrapolation.

A short run measures a training rate; the recipe's budget over that rate is what the
full pre-training would cost here. MLP-Mixer marks such figures with a double dagger.
"""

from __future__ import annotations

from bench.recipes import papers

IMAGE_SIZE = 224
"""Resolution of every pre-training run of the papers, pixels."""

LONGER = {("mixer-jft", "Mixer-L/16"): 14, ("vit-jft", "ViT-L/16"): 14}
"""Epochs where a table gives 7/14 and the row that is quoted ran 14 (MLP-Mixer Tables
3 and 4, ViT Table 3). The recipe itself means the shorter run."""


def images_of(recipe: str | None, model: str) -> float | None:
    """Images that the full recipe shows this model; None where no paper says.

    >>> images_of("mixer-jft", "Mixer-B/16") == 7 * papers.IMAGES["jft-300m"]
    True
    >>> images_of("demo", "Mixer-XXS/4") is images_of("mixer-jft", "Mixer-XXS/4")
    True
    """
    if recipe is None or recipe == "demo" or recipe not in papers.RECIPES:
        return None
    dataset, epochs, listed = papers.length(recipe, model)
    if not listed or epochs is None:
        return None
    return LONGER.get((recipe, model), epochs) * papers.IMAGES[dataset]
