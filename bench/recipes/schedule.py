"""The learning rate of every step, as big_vision computes it.

Warm-up multiplies the decay curve, and the curve starts where warm-up ends. Step 0
of a warm-up has rate 0. Only the step schedule, which is BiT's, counts its boundaries
from the start of the run: the paper gives them in epochs.
"""

from __future__ import annotations

import functools
import itertools
import math
from fractions import Fraction

from bench.errors import StudyError, unknown
from bench.recipes.recipe import Recipe

SCHEDULES = ("linear", "cosine", "constant", "step")
LINEAR_END = 1e-5
"""Where linear decay ends, as a fraction of the peak (not an absolute rate)."""
STEP_FACTOR = 0.1
"""What each boundary of the step schedule multiplies the rate by (BiT section 3.3)."""
PAPER_WARMUP = 10_000
"""Warm-up of Mixer and ViT pre-training, steps (Mixer section 3, ViT Table 3)."""


def warmup_steps(recipe: Recipe, total_steps: int) -> int:
    """Steps of warm-up in a run of this length.

    `warmup_steps` alone is exact. With `warmup_share` it is the most, and the share of
    the run counts where that is less: a paper's recipe has its own share, so that it
    keeps its warm-up at its own length and scales with shorter runs. Neither is 10,000
    steps or a tenth of the run, whichever is less.
    """
    steps, share = recipe.warmup_steps, recipe.warmup_share
    if share is not None:
        scaled = min(round(share * total_steps), total_steps - 1)
        return scaled if steps is None else min(steps, scaled)
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
    if recipe.schedule == "step":
        passed = sum(step >= b * total_steps for b in boundaries(recipe))
        rate = recipe.learning_rate * STEP_FACTOR**passed
    else:
        progress = (step - warmup) / (total_steps - warmup)
        rate = recipe.learning_rate * _decay(recipe.schedule, max(0.0, progress))
    return rate * min(1.0, step / warmup) if warmup else rate


def boundaries(recipe: Recipe) -> tuple[Fraction, ...]:
    """Where the step schedule falls, as exact shares of the run.

    Raises:
        StudyError: they are not rising shares between 0 and 1, or another schedule
            would ignore them.
    """
    text = recipe.boundaries
    if (text is not None) != (recipe.schedule == "step"):
        raise StudyError(
            f"boundaries: {text}: with schedule {recipe.schedule}; boundaries and "
            "schedule: step belong together, as in 1/3+2/3+8/9"
        )
    return () if text is None else _shares(text)


@functools.lru_cache(maxsize=16)
def _shares(text: str) -> tuple[Fraction, ...]:
    try:
        found = tuple(Fraction(part) for part in text.split("+"))
    except (ValueError, ZeroDivisionError):
        found = ()
    ends = Fraction(0), *found, Fraction(1)
    rising = all(a < b for a, b in itertools.pairwise(ends))
    if not found or not rising:
        raise StudyError(
            f"boundaries: {text!r}: must be rising shares of the run between 0 and 1, "
            "joined by +, as in 1/3+2/3+8/9"
        )
    return found


def _decay(schedule: str, progress: float) -> float:
    """Share of the peak rate at this share of the decay."""
    if schedule == "linear":
        return LINEAR_END + (1 - LINEAR_END) * (1 - progress)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "constant":
        return 1.0
    raise StudyError(unknown("schedule", schedule, SCHEDULES))
