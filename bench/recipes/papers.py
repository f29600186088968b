"""The papers' pre-training recipes as data, and the recipes of the demo sizes.

Every row of MLP-Mixer Table 4, ViT Table 3 and BiT section 3.3, and big_vision's
AugReg configurations. Left out: ViT Table 3's hybrids, which are no family here.

A recipe fills fields of a cell; the budget (steps or epochs) belongs to the study. The
paper's own length stands here all the same, because the warm-up is scaled by it: the
paper's number of steps at the paper's length or beyond, the same share of a shorter
run. Where a table gives two lengths (7/14 epochs), the shorter one is meant.

Not in the papers' text, but in every configuration that Google released: the sigmoid
loss, and a head whose bias starts at -6.9 (1,000 classes) or -10 (more). For JFT-300M
nothing is released, and the values of ImageNet-21k are taken. BiT's text names no loss
either: softmax for ImageNet as in big_vision's `bit_i1k`, else sigmoid.

The ViT paper pre-trains with a hidden tanh layer before the head, which fine-tuning
drops; of AugReg's configurations that for ImageNet has it, and that for ImageNet-21k
pools by the mean instead of the class token. Both keep Adam's first moment in
bfloat16, which is not done here: moments are float32.

A demo size stands in no table. It takes the first row of its family, so that a recipe
can be tried on two cores; no figure of the full recipe is worked out for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.analysis.demo import is_demo
from bench.errors import StudyError, unknown
from bench.recipes import finetuning

Fields = Mapping[str, Any]

IMAGES = {
    "imagenet": 1_281_167,
    "imagenet-21k": 14_197_122,
    "jft-300m": 303_000_000,
}
"""Training images; JFT as in ViT section 4.1 (303M)."""
BATCH = 4096
"""Of every paper here."""

# Adam(0.9, 0.999), linear warm-up of 10,000 steps, Inception crop and flip.
_ADAM: Fields = {
    "optimizer": "adam",
    "schedule": "linear",
    "batch_size": BATCH,
    "augment": "inception",
    "clip_norm": None,
    "warmup_steps": 10_000,
}
_SIGMOID_1K: Fields = {"loss": "sigmoid", "head_bias": -6.9}
_SIGMOID: Fields = {"loss": "sigmoid", "head_bias": -10.0}


def _randaugment(layers: int, magnitude: float, mixup: float) -> Fields:
    return {
        "randaugment_layers": layers,
        "randaugment_magnitude": magnitude,
        "mixup": mixup,
    }


# MLP-Mixer appendix B: always two layers; stochastic depth 0.1, dropout 0 in all rows
_MIXER: Fields = {**_ADAM, "clip_norm": 1.0, "weight_decay": 0.1}
_STRONG: Fields = {"stochastic_depth": 0.1, **_randaugment(2, 15, 0.5)}

# ViT section 3.1 and Table 3: Adam as above, and the hidden layer before the head
_VIT: Fields = {**_ADAM, "representation": True}

# ViT, big_vision's vit_i1k and vit_i21k; the names are AugReg's
_AUGREG: Fields = {
    **_ADAM,
    "schedule": "cosine",
    "clip_norm": 1.0,
    "learning_rate": 1e-3,
    "weight_decay": 0.1,
}
_LIGHT1 = _randaugment(2, 0, 0.0)
_LIGHT2 = _randaugment(2, 10, 0.2)
_MEDIUM1 = _randaugment(2, 15, 0.2)
_MEDIUM2 = _randaugment(2, 15, 0.5)

_BIT: Fields = {
    "optimizer": "sgd",
    "decay": "coupled",
    "schedule": "step",
    "batch_size": BATCH,
    "augment": "inception",
    "clip_norm": None,
    "weight_decay": 1e-4,
    "warmup_steps": 5_000,
}
_BIT_RATE = 0.03
"""At a batch of 256; it is proportional to the batch (BiT section 3.3)."""
_VIT_SIZES = "B/32 B/16 L/32 L/16".split()
_BIT_MODELS = "R50x1 R50x3 R101x1 R101x3 R152x2 R152x4".split()


Rows = Mapping[str, tuple[float, Fields]]
"""Model -> epochs, and its own fields. A model without its patch means every patch."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """One row block of a paper's table: what its models share, and what differs."""

    data: str
    common: Fields
    rows: Rows
    linear_scaling: bool = False
    """The rate is proportional to the batch; the rows hold that of a batch of 256."""

    def fields(self, model: str, batch_size: Any) -> dict[str, Any] | None:
        """Cell fields of this model; a batch of the study's own scales a BiT rate."""
        row = self.row(model)
        if row is None and is_demo(model):
            row = self.first_of(model.partition("-")[0])
        if row is None:
            return None
        epochs, own = row
        fields = {**self.common, **own}
        fields["warmup_share"] = fields["warmup_steps"] / self.steps(epochs)
        if self.linear_scaling:
            images = batch_size if isinstance(batch_size, int) else BATCH
            fields["learning_rate"] *= images / 256
        return fields

    def row(self, model: str) -> tuple[float, Fields] | None:
        """Epochs and own fields of a model that the table lists."""
        return self.rows.get(model, self.rows.get(model.partition("/")[0]))

    def first_of(self, family: str) -> tuple[float, Fields] | None:
        """The first row of `Mixer`, `ViT` or `BiT`."""
        listed = (row for name, row in self.rows.items() if name.startswith(family))
        return next(listed, None)

    def steps(self, epochs: float) -> float:
        """Of the paper's own run."""
        return epochs * IMAGES[self.data] / BATCH


def _rates(epochs: float, peaks: Mapping[str, float]) -> Rows:
    """Rows of one length that differ in their peak learning rate only."""
    return {model: (epochs, {"learning_rate": peak}) for model, peak in peaks.items()}


def _bit(data: str, epochs: float, boundaries: str, loss: Fields) -> Paper:
    return Paper(
        data=data,
        common={**_BIT, **loss, "boundaries": boundaries},
        rows=_rates(epochs, {f"BiT-{size}": _BIT_RATE for size in _BIT_MODELS}),
        linear_scaling=True,
    )


_PAPERS = {
    # MLP-Mixer Table 4
    "mixer-imagenet": Paper(
        data="imagenet",
        common={**_MIXER, **_SIGMOID_1K, **_STRONG},
        rows=_rates(300, {"Mixer-B": 1e-3, "Mixer-L": 1e-3}),
    ),
    "mixer-21k": Paper(
        data="imagenet-21k",
        common={**_MIXER, **_SIGMOID, **_STRONG, "learning_rate": 1e-3},
        rows={
            "Mixer-B": (300, _randaugment(2, 10, 0.2)),
            "Mixer-L": (300, _randaugment(2, 20, 0.5)),
        },
    ),
    "mixer-jft": Paper(
        data="jft-300m",
        common={**_MIXER, **_SIGMOID, "weight_decay": 0.03},
        rows={
            **_rates(5, {"Mixer-S": 3e-3}),
            **_rates(7, {"Mixer-B": 3e-3, "Mixer-L": 1e-3}),
            **_rates(14, {"Mixer-H": 1e-3}),
        },
    ),
    # ViT Table 3; gradients are clipped on ImageNet only
    "vit-jft": Paper(
        data="jft-300m",
        common={**_VIT, **_SIGMOID, "weight_decay": 0.1},
        rows={
            **_rates(7, {"ViT-B/32": 8e-4, "ViT-B/16": 8e-4}),
            **_rates(7, {"ViT-L/32": 6e-4, "ViT-L/16": 4e-4}),
            **_rates(14, {"ViT-H/14": 3e-4}),
        },
    ),
    "vit-21k": Paper(
        data="imagenet-21k",
        common={**_VIT, **_SIGMOID, "weight_decay": 0.03, "dropout": 0.1},
        rows={
            **_rates(90, {"ViT-B/32": 1e-3, "ViT-B/16": 1e-3}),
            **_rates(30, {"ViT-L/32": 1e-3, "ViT-L/16": 1e-3}),
        },
    ),
    "vit-imagenet": Paper(
        data="imagenet",
        common={
            **_VIT,
            **_SIGMOID_1K,
            "schedule": "cosine",
            "clip_norm": 1.0,
            "weight_decay": 0.3,
            "dropout": 0.1,
        },
        rows=_rates(300, {f"ViT-{size}": 3e-3 for size in _VIT_SIZES}),
    ),
    # ViT Table 3: the ResNets behind the BiT-R rows of MLP-Mixer Table 3
    "bit-adam-jft": Paper(
        data="jft-300m",
        common={**_ADAM, **_SIGMOID, "weight_decay": 0.1},
        rows=_rates(
            7,
            {
                "BiT-R50x1": 1e-3,
                "BiT-R50x2": 1e-3,
                "BiT-R101x1": 8e-4,
                "BiT-R152x1": 6e-4,
                "BiT-R152x2": 6e-4,
            },
        ),
    ),
    # big_vision's vit_i1k and vit_i21k: the augmentation that each size was given
    "augreg-imagenet": Paper(
        data="imagenet",
        common={**_AUGREG, **_SIGMOID_1K, "representation": True},
        rows={
            "ViT-Ti/16": (300, _LIGHT1),
            "ViT-S/32": (300, _MEDIUM1),
            "ViT-S/16": (300, _MEDIUM2),
            "ViT-B/32": (300, _MEDIUM2),
            "ViT-B/16": (300, _MEDIUM2),
            "ViT-L/16": (300, _MEDIUM2),
        },
    ),
    "augreg-21k": Paper(
        data="imagenet-21k",
        common={**_AUGREG, **_SIGMOID, "pool": "gap"},
        rows={
            "ViT-Ti/16": (300, {}),
            "ViT-S/32": (300, {}),
            "ViT-S/16": (300, _LIGHT1),
            "ViT-B/32": (300, _LIGHT2),
            "ViT-B/16": (300, _LIGHT2),
            "ViT-L/16": (300, _MEDIUM2),
        },
    ),
    # BiT section 3.3: BiT-S and BiT-M fall at epochs 30, 60, 80 of 90, BiT-L at 10, 23,
    # 30, 37 of 40
    "bit-imagenet": _bit("imagenet", 90, "1/3+2/3+8/9", {"loss": "softmax"}),
    "bit-21k": _bit("imagenet-21k", 90, "1/3+2/3+8/9", _SIGMOID),
    "bit-jft": _bit("jft-300m", 40, "1/4+23/40+3/4+37/40", _SIGMOID),
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
    name: str,
    model: str,
    family: str,
    mode: str = "pretrain",
    *,
    batch_size: Any = None,
) -> dict[str, Any]:
    """Cell fields of a recipe for this model, such as `Mixer-B/16` of `mixer`.

    `batch_size` is the study's own, if it has one: BiT's rate is proportional to it.
    (An override comes later, so that one of the batch must set the rate too.)
    """
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
    fields = _PAPERS[name].fields(model, batch_size)
    if fields is None:
        raise StudyError(
            f"recipe {name!r} has no values for {model}; its table lists "
            f"{', '.join(_PAPERS[name].rows)}; use one of them or recipe: demo"
        )
    return fields


def length(name: str, model: str) -> tuple[str, float | None, bool]:
    """Data set and epochs of a paper's recipe, and whether its table lists the model.

    Epochs are null for a model not listed, unless all that are share one length.

    >>> length("mixer-imagenet", "Mixer-B/16"), length("mixer-jft", "ViT-B/16")
    (('imagenet', 300, True), ('jft-300m', None, False))
    """
    paper = _PAPERS[name]
    row = paper.row(model)
    if row is not None:
        return paper.data, row[0], True
    lengths = {epochs for epochs, _ in paper.rows.values()}
    return paper.data, lengths.pop() if len(lengths) == 1 else None, False


def listed(name: str) -> list[str]:
    """The models of a paper's recipe as its table has them: `Mixer-B`, `ViT-B/16`."""
    return list(_PAPERS[name].rows)


def _demo_fields(family: str) -> dict[str, Any]:
    if family not in _DEMO:
        raise StudyError(
            f"recipe 'demo' has no values for family {family}; it has them for "
            f"{', '.join(_DEMO)}; give learning_rate in the study instead"
        )
    return dict(_DEMO[family])
