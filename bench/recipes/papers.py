"""The papers' pre-training recipes as data, and the recipes of the demo sizes.

A recipe holds what the fields of a cell can say, and nothing else. So these are the
optimisers of the papers, not their whole pipelines: Inception crop, RandAugment,
mixup, dropout, stochastic depth and the negative start of the head's bias are not
among the fields. The budget (steps or epochs) belongs to the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import StudyError, unknown
from bench.recipes import finetuning

Fields = Mapping[str, Any]

# Adam(0.9, 0.999) at batch 4096, warm-up then linear decay, flips. The texts do not
# name the loss; every released pre-training configuration uses sigmoid cross-entropy.
_GOOGLE: Fields = {
    "optimizer": "adam",
    "schedule": "linear",
    "batch_size": 4096,
    "loss": "sigmoid",
    "augment": "flip",
}


@dataclass(frozen=True, kw_only=True)
class _Paper:
    """One row block of a paper's table: what its models share, and their peak rates."""

    common: Fields
    peaks: Mapping[str, float]
    """Model -> peak learning rate. A model without its patch stands for every patch."""

    def fields(self, model: str) -> dict[str, Any] | None:
        rate = self.peaks.get(model, self.peaks.get(model.partition("/")[0]))
        return None if rate is None else {**self.common, "learning_rate": rate}


_PAPERS = {
    # MLP-Mixer Table 4
    "mixer-jft": _Paper(
        common={**_GOOGLE, "weight_decay": 0.03, "clip_norm": 1.0},
        peaks={"Mixer-S": 3e-3, "Mixer-B": 3e-3, "Mixer-L": 1e-3, "Mixer-H": 1e-3},
    ),
    "mixer-imagenet": _Paper(
        common={**_GOOGLE, "weight_decay": 0.1, "clip_norm": 1.0},
        peaks={"Mixer-B": 1e-3, "Mixer-L": 1e-3},
    ),
    # ViT Table 3; gradients are clipped on ImageNet only
    "vit-jft": _Paper(
        common={**_GOOGLE, "weight_decay": 0.1, "clip_norm": None},
        peaks={
            "ViT-B/32": 8e-4,
            "ViT-B/16": 8e-4,
            "ViT-L/32": 6e-4,
            "ViT-L/16": 4e-4,
            "ViT-H/14": 3e-4,
        },
    ),
    # ViT Table 3: the ResNets behind the BiT-R rows of MLP-Mixer Table 3
    "bit-adam-jft": _Paper(
        common={**_GOOGLE, "weight_decay": 0.1, "clip_norm": None},
        peaks={
            "BiT-R50x1": 1e-3,
            "BiT-R50x2": 1e-3,
            "BiT-R101x1": 8e-4,
            "BiT-R152x1": 6e-4,
            "BiT-R152x2": 6e-4,
        },
    ),
}

# Peak rates of the demo sizes, by family. Chosen on fractals at 16 px: XXS/4 and
# R14x1/4, 1,000 training images, batch 64, 150 steps, rates 0.001 to 0.02 in six steps.
# The one with the best mean accuracy on the validation split won, over seeds 10 and 11,
# which no shipped study uses. Best means: Mixer 0.97, ViT 0.77, ResNet 0.97.
_DEMO: Mapping[str, Fields] = {
    "mixer": {"learning_rate": 0.01},
    "vit": {"learning_rate": 0.005},
    "resnet": {"learning_rate": 0.01},
}

RECIPES = (*_PAPERS, "demo")


def recipe_fields(
    name: str, model: str, family: str, mode: str = "pretrain"
) -> dict[str, Any]:
    """Cell fields of a recipe for this model, such as `Mixer-B/16` of `mixer`."""
    if mode == "finetune":
        return finetuning.recipe_fields(name, family)
    if name in finetuning.RECIPES and name != "demo":
        raise StudyError(
            f"recipe {name!r} is for mode finetune; "
            f"mode {mode} has {', '.join(RECIPES)}"
        )
    if name == "demo":
        return _demo_fields(family)
    if name not in _PAPERS:
        raise StudyError(unknown("recipe", name, RECIPES))
    fields = _PAPERS[name].fields(model)
    if fields is None:
        raise StudyError(
            f"recipe {name!r} has no values for {model}; its table lists "
            f"{', '.join(_PAPERS[name].peaks)}; use one of them or recipe: demo"
        )
    return fields


def _demo_fields(family: str) -> dict[str, Any]:
    if family not in _DEMO:
        raise StudyError(
            f"recipe 'demo' has no values for family {family}; it has them for "
            f"{', '.join(_DEMO)}; give learning_rate in the study instead"
        )
    return dict(_DEMO[family])
