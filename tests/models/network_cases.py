"""The small networks that the tests of the twins share."""

from __future__ import annotations

import numpy as np

from bench import models
from bench.models import ModelSpec
from bench.models.resnet import ResNetSpec
from bench.models.resnet_v1 import ResNetV1Spec

CLASSES = 7


def _patches(name: str, **options: object) -> ModelSpec:
    return models.spec_for(name, image_size=12, num_classes=CLASSES, **options)


def _resnet(kind: type[ResNetSpec]) -> ModelSpec:
    # one unit without projection, one with a stride, and maps of odd size
    return kind(
        name="small", image_size=22, num_classes=CLASSES, blocks=(2, 1), stem_width=8
    )


CASES = {
    "mixer": _patches("Mixer-XXS/4"),
    "mixer with wide tokens": _patches("Mixer-XXS/4", tokens_mlp_dim=48),
    "mixer untied": _patches("Mixer-XXS/4", tied_token_mixing=False),
    "mixer linear": _patches("Mixer-XXS/4", token_mixing="linear"),
    "mixer linear untied": _patches(
        "Mixer-XXS/4", token_mixing="linear", tied_token_mixing=False
    ),
    "mixer without token mixing": _patches("Mixer-XXS/4", token_mixing="none"),
    "vit": _patches("ViT-XXS/4"),
    "vit without positions": _patches("ViT-XXS/4", position_embedding="none"),
    "vit gap": _patches("ViT-XXS/4", pool="gap"),
    "vit with representation": _patches("ViT-XXS/4", representation=True),
    "resnet": _resnet(ResNetSpec),
    "resnet_v1": _resnet(ResNetV1Spec),
}

IN_FLOAT32 = {
    "resnet_v1": CASES["resnet_v1"],
    "Mixer-S/32": models.spec_for("Mixer-S/32"),
    "ViT-Ti/16": models.spec_for("ViT-Ti/16"),
    "BiT-R14x1/4": models.spec_for("BiT-R14x1/4", image_size=32),
}


def images_of(spec: ModelSpec, count: int = 3) -> np.ndarray:
    size = spec.image_size
    return np.random.default_rng(0).standard_normal((count, size, size, 3))


def probe_of(spec: ModelSpec, count: int = 3) -> np.ndarray:
    """The loss of the gradient tests is the sum of logits times this."""
    return np.random.default_rng(1).standard_normal((count, spec.num_classes))
