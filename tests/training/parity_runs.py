"""Fifty steps of every family with every regulariser; run in one framework.

Run as a program it writes the losses of jax, which needs a process of its own: 64 bits
are a setting of the whole process.
"""

from __future__ import annotations

import dataclasses
import sys

import numpy as np

from bench import backend, models
from bench.models import ModelSpec, noise, weights
from bench.models.resnet import ResNetSpec
from bench.models.resnet_v1 import ResNetV1Spec
from bench.recipes.recipe import Recipe
from bench.recipes.schedule import learning_rate

STEPS, BATCH, CLASSES = 50, 8, 5

RECIPE = Recipe(
    learning_rate=3e-3,
    schedule="cosine",
    weight_decay=0.1,
    clip_norm=0.5,
    loss="sigmoid",
    head_bias=-2.0,
    dropout=0.1,
    stochastic_depth=0.2,
    mixup=0.5,
)
BIT_RECIPE = dataclasses.replace(
    RECIPE,
    optimizer="sgd",
    decay="coupled",
    learning_rate=0.03,
    schedule="step",
    boundaries="1/2+4/5",
)


def _resnet(kind: type[ResNetSpec]) -> ModelSpec:
    return kind(
        name="small", image_size=16, num_classes=CLASSES, blocks=(1, 1), stem_width=8
    )


def _patches(name: str) -> ModelSpec:
    """One block: two branches, so that the second is dropped at the full rate."""
    spec = models.spec_for(name, image_size=8, num_classes=CLASSES)
    return dataclasses.replace(spec, num_blocks=1)


RUNS: dict[str, tuple[ModelSpec, Recipe]] = {
    "mixer": (_patches("Mixer-XXS/4"), RECIPE),
    "vit": (_patches("ViT-XXS/4"), RECIPE),
    "resnet": (_resnet(ResNetSpec), BIT_RECIPE),
    "resnet_v1": (_resnet(ResNetV1Spec), RECIPE),
}
IN_PARTS = ("vit", "resnet")
IN_FLOAT32 = ("mixer",)


def batches(spec: ModelSpec) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images near a pattern of their class, two of them mixed, and soft labels."""
    rng = np.random.default_rng(0)
    shape = (spec.image_size, spec.image_size, 3)
    patterns = rng.standard_normal((CLASSES, *shape))
    made = []
    for _ in range(STEPS):
        labels = rng.integers(CLASSES, size=BATCH)
        images = patterns[labels] + rng.standard_normal((BATCH, *shape))
        share = max(a := rng.beta(RECIPE.mixup, RECIPE.mixup), 1 - a)
        soft = np.eye(CLASSES)[labels]
        images, soft = (
            share * x + (1 - share) * np.roll(x, 1, axis=0) for x in (images, soft)
        )
        made.append((np.tanh(images).astype("f4"), soft.astype("f4")))
    return made


def losses(
    framework: str,
    run: str,
    dtype: str,
    *,
    accumulate: int = 1,
    nudge: float | None = None,
) -> np.ndarray:
    """Of every step; `nudge` moves each weight by one ulp towards it."""
    spec, recipe = RUNS[run]
    recipe = dataclasses.replace(recipe, accumulate=accumulate)
    start = weights.random(spec, 0)
    if nudge is not None:
        start = {k: np.nextafter(v, np.float32(nudge)) for k, v in start.items()}
    made = backend.load(framework, "cpu")
    learner = made.learner(spec, start, recipe, batch_size=BATCH, dtype=dtype)
    for step, batch in enumerate(batches(spec)):
        rate = learning_rate(recipe, step, STEPS)
        learner.step(*batch, rate, noise.key(0, step))
    return np.array(learner.losses())


if __name__ == "__main__":
    found = {run: losses("jax", run, "float64") for run in RUNS}
    for run in IN_PARTS:
        found[f"{run} in parts"] = losses("jax", run, "float64", accumulate=4)
    for run in IN_FLOAT32:
        found[f"{run} in float32"] = losses("jax", run, "float32")
    np.savez(sys.argv[1], **found)
