"""The learning rate of every step, as big_vision computes it.

Warm-up multiplies the decay curve, and the curve starts where warm-up ends. Step 0
of a warm-up has rate 0.
"""

from __future__ import annotations

import math

from bench.errors import StudyError, unknown
from bench.recipes.recipe import Recipe

LINEAR_END = 1e-5
"""Where linear decay ends, as a fraction of the peak (not an absolute rate)."""
PAPER_WARMUP = 10_000
"""Warm-up of Mixer and ViT pre-training, steps (Mixer section 3, ViT Table 3)."""


def warmup_steps(recipe: Recipe, total_steps: int) -> int:
    """The recipe's warm-up; if it has none, the paper's, scaled to a short run.

    That is 10,000 steps or a tenth of the run, whichever is less. The paper's runs
    spend 2 % (JFT) to 11 % (ImageNet) on it, so a tenth is the upper end.
    """
    steps = recipe.warmup_steps
    if steps is None:
        return min(PAPER_WARMUP, total_steps // 10)
    if not 0 <= steps < total_steps:
        raise StudyError(
            f"warmup_steps {steps} does not fit a run of {total_steps} steps; "
            f"give 0 to {total_steps - 1}, or leave it out to scale it to the run"
        )
    return steps


def learning_rate(recipe: Recipe, step: int, total_steps: int) -> float:
    """The rate of this 0-based step."""
    warmup = warmup_steps(recipe, total_steps)
    progress = (step - warmup) / (total_steps - warmup)
    rate = recipe.learning_rate * _decay(recipe.schedule, max(0.0, progress))
    return rate * min(1.0, step / warmup) if warmup else rate


def _decay(schedule: str, progress: float) -> float:
    """Share of the peak rate at this share of the decay."""
    if schedule == "linear":
        return LINEAR_END + (1 - LINEAR_END) * (1 - progress)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "constant":
        return 1.0
    raise StudyError(unknown("schedule", schedule, ("linear", "cosine", "constant")))
