"""The papers' fine-tuning recipes as data, and that of the demo sizes.

SGD with momentum 0.9, batch 512, cosine decay after a linear warm-up, gradients clipped
at 1, no weight decay; the rate is chosen on a dev split of the training images. Steps
and dev splits are Table 4 of the ViT paper, which MLP-Mixer's appendix C follows with
grids of its own; warm-ups are those of big_vision's transfer configuration. MLP-Mixer
says both that VTAB follows ViT (2,500 steps, given here) and that it follows the
BiT-HyperRule (500).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import StudyError, unknown

Fields = Mapping[str, Any]

_COMMON: Fields = {
    "optimizer": "sgd",
    "schedule": "cosine",
    "clip_norm": 1.0,
    "loss": "softmax",
}

_TASKS: Mapping[str, Fields] = {
    "imagenet": {"total_steps": 20_000, "warmup_steps": 500, "dev_fraction": 0.01},
    "cifar-100": {"total_steps": 10_000, "warmup_steps": 500, "dev_fraction": 0.02},
    "cifar-10": {"total_steps": 10_000, "warmup_steps": 500, "dev_fraction": 0.02},
    "pets": {"total_steps": 500, "warmup_steps": 100, "dev_fraction": 0.1},
    "flowers": {"total_steps": 500, "warmup_steps": 100, "dev_fraction": 0.1},
    "vtab": {"total_steps": 2_500, "dev_fraction": 0.2},  # 200 of its 1,000 images
}

_WIDE, _LOW = "0.003+0.01+0.03+0.06", "0.001+0.003+0.01+0.03"
_GRIDS: Mapping[str, Mapping[str, str]] = {
    "mixer": {**dict.fromkeys(_TASKS, _WIDE), "vtab": "0.003+0.01+0.03"},
    "vit": {**dict.fromkeys(_TASKS, _LOW), "imagenet": _WIDE, "vtab": "0.01"},
}
_FAMILIES = {"mixer": ("mixer",), "vit": ("vit", "resnet", "resnet_v1")}
"""Whose models each paper fine-tunes so: the ViT paper its ResNets, too."""

# A decade of rates; each cell's search picks among them on its dev split.
_DEMO: Fields = {**_COMMON, "learning_rates": "0.01+0.03+0.1"}

RECIPES = (
    *(f"{paper}-finetune-{task}" for paper in _GRIDS for task in _TASKS),
    "demo",
)


def recipe_fields(name: str, family: str) -> dict[str, Any]:
    """Cell fields of a fine-tuning recipe, for the models of its paper."""
    if name not in RECIPES:
        raise StudyError(unknown("recipe for mode finetune", name, RECIPES))
    if name == "demo":
        return dict(_DEMO)
    paper, _, task = name.partition("-finetune-")
    if family not in _FAMILIES[paper]:
        raise StudyError(
            f"recipe {name!r} is for {', '.join(_FAMILIES[paper])}, not {family}; "
            "use that of the ViT paper or give the values in the study"
        )
    grid = {"learning_rates": _GRIDS[paper][task]}
    return {**_COMMON, "batch_size": 512, **_TASKS[task], **grid}


def under(filled: Fields, given: Fields) -> dict[str, Any]:
    """A recipe's fields below those of a study.

    Another budget scales the recipe's warm-up, and one learning rate ends its search.
    """
    below = dict(filled)
    if given.get("learning_rate") is not None:
        below.pop("learning_rates", None)
    steps, warmup = below.get("total_steps"), below.get("warmup_steps")
    if given.get("total_epochs") is not None:
        for key in ("total_steps", "warmup_steps"):
            below.pop(key, None)
    elif steps and warmup and given.get("total_steps"):
        below["warmup_steps"] = round(warmup * given["total_steps"] / steps)
    return {**below, **given}
