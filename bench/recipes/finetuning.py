"""The papers' fine-tuning recipes as data, and that of the demo sizes.

SGD with momentum 0.9, batch 512, cosine decay after a linear warm-up, gradients clipped
at 1, no weight decay; the rate is chosen on a dev split of the training images. Steps
and dev splits are Table 4 of the ViT paper, which MLP-Mixer's appendix C follows with
grids of its own. MLP-Mixer says both that VTAB follows ViT (2,500 steps, given here)
and that it follows the BiT-HyperRule (500).

Warm-ups, random crops and flips are those of big_vision's transfer configuration; no
paper's text names them, but MLP-Mixer's tried the Inception crop and saw no gain. The
sets of VTAB differ in which of the two they allow (BiT, appendix F): none is set there.
All five sets of MLP-Mixer's Table 3 are evaluated by resmall-crop, CIFAR included.

`bit-finetune-*` is the BiT-HyperRule, by the size of the task: small below 20,000
training images, medium below 500,000, large above. Boundaries are the paper's, warm-ups
those of the released code. Its input sizes belong to the study: 128 px for images below
96 x 96, else 384 (480 in the code). Its crops are 0.80 to 0.94 of the resized side,
ours 7/8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import StudyError, unknown
from bench.specs import Cell

Fields = Mapping[str, Any]

_COMMON: Fields = {
    "optimizer": "sgd",
    "schedule": "cosine",
    "clip_norm": 1.0,
    "loss": "softmax",
}

_CIFAR = ("cifar10", "cifar100")
_OF_CIFAR: Fields = {
    "total_steps": 10_000,
    "warmup_steps": 500,
    "dev_fraction": 0.02,
    "evaluation": "resmall-crop",
}

_TASKS: Mapping[str, Fields] = {
    "imagenet": {"total_steps": 20_000, "warmup_steps": 500, "dev_fraction": 0.01},
    "cifar-100": _OF_CIFAR,
    "cifar-10": _OF_CIFAR,
    "pets": {"total_steps": 500, "warmup_steps": 100, "dev_fraction": 0.1},
    "flowers": {"total_steps": 500, "warmup_steps": 100, "dev_fraction": 0.1},
    "vtab": {"total_steps": 2_500, "dev_fraction": 0.2},  # 200 of its 1,000 images
}

_WIDE, _LOW = "0.003+0.01+0.03+0.06", "0.001+0.003+0.01+0.03"
_GRIDS: Mapping[str, Mapping[str, str]] = {
    "mixer": {**dict.fromkeys(_TASKS, _WIDE), "vtab": "0.003+0.01+0.03"},
    "vit": {**dict.fromkeys(_TASKS, _LOW), "imagenet": _WIDE, "vtab": "0.01"},
}
_FAMILIES = {
    "mixer": ("mixer",),
    "vit": ("vit", "resnet", "resnet_v1"),
    "bit": ("resnet",),
}
"""Whose models each paper fine-tunes so: the ViT paper its ResNets, too."""

_HYPERRULE: Fields = {
    "optimizer": "sgd",
    "schedule": "step",
    "boundaries": "3/10+3/5+9/10",
    "batch_size": 512,
    "learning_rate": 0.003,
    "clip_norm": None,
    "loss": "softmax",
    "augment": "crop",
}
_BY_SIZE: Mapping[str, Fields] = {
    "small": {"total_steps": 500, "warmup_steps": 100},
    "medium": {"total_steps": 10_000, "warmup_steps": 500, "mixup": 0.1},
    "large": {"total_steps": 20_000, "warmup_steps": 500, "mixup": 0.1},
}

# A decade of rates; each cell's search picks among them on its dev split.
_DEMO: Fields = {**_COMMON, "learning_rates": "0.01+0.03+0.1"}

RECIPES = (
    *(f"{paper}-finetune-{task}" for paper in _GRIDS for task in _TASKS),
    *(f"bit-finetune-{size}" for size in _BY_SIZE),
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
    if paper == "bit":
        return {**_HYPERRULE, **_BY_SIZE[task]}
    own = {**_TASKS[task], "learning_rates": _GRIDS[paper][task]}
    cut = {} if task == "vtab" else {"augment": "crop"}
    return {**_COMMON, "batch_size": 512, **cut, **own}


def under(filled: Fields, given: Fields) -> dict[str, Any]:
    """A recipe's fields below those of a study.

    Another budget scales the recipe's warm-up; one learning rate ends its search, and
    several begin one. How CIFAR is evaluated says nothing of another data set.
    """
    below = dict(filled)
    if given.get("learning_rate") is not None:
        below.pop("learning_rates", None)
    if given.get("learning_rates") is not None:
        below.pop("learning_rate", None)
    if given.get("dataset") not in _CIFAR:
        below.pop("evaluation", None)
    steps, warmup = below.get("total_steps"), below.get("warmup_steps")
    if given.get("total_epochs") is not None:
        for key in ("total_steps", "warmup_steps"):
            below.pop(key, None)
    elif steps and warmup and given.get("total_steps"):
        below["warmup_steps"] = round(warmup * given["total_steps"] / steps)
    return {**below, **given}


def rates_of(cell: Cell) -> tuple[float, ...]:
    """The learning rates that a finetune cell lists, in its order.

    Raises:
        ValueError: a part is not a number.
    """
    listed = (cell.learning_rates or "").split("+")
    return tuple(float(part) for part in listed if part)
