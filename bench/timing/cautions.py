"""Cautions: what was seen in a window, the likely cause, what to do.

They are values in the row, never a silent correction: outliers are counted and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bench.units import duration

MIN_SAMPLES = 5
MILD, SEVERE = 1.5, 3.0
"""Tukey's fences, in interquartile ranges beyond the quartiles."""
DRIFT = 0.05
BUSY = 0.10
"""Share of the usable cores that others may use before it is worth a word."""
IDLE = 0.25
"""Share of the usable cores that may rest: a step has parts that no two can share."""
APART = 5.0
"""Ashman's D of two clusters of step times. Splitting a normal sample at its mean gives
2.7 and a uniform one 3.5, so 5 is two humps and not one."""

Samples = Float[np.ndarray, "samples"]


@dataclass(frozen=True)
class Caution:
    """One thing a reader should know before trusting the number."""

    kind: str
    seen: str
    cause: str
    remedy: str


def of_samples(samples: Samples) -> list[Caution]:
    """Everything that the samples of one window say about themselves."""
    found = [
        _too_few(samples),
        _slow_start(samples),
        _drift(samples),
        _two_humps(samples),
        _outliers(samples),
    ]
    return [caution for caution in found if caution is not None]


def tukey(samples: Samples) -> tuple[int, int]:
    """Mild and severe outliers: beyond 1.5 and beyond 3 interquartile ranges."""
    low, high = np.quantile(samples, [0.25, 0.75])
    beyond = np.maximum(low - samples, samples - high)
    severe = int(np.sum(beyond > SEVERE * (high - low)))
    return int(np.sum(beyond > MILD * (high - low))) - severe, severe


def _too_few(samples: Samples) -> Caution | None:
    if len(samples) >= MIN_SAMPLES:
        return None
    return Caution(
        "too_few_samples",
        f"{len(samples)} samples of {duration(float(np.median(samples)))} a step",
        "the window closed before five blocks were done",
        "raise the window, or take a smaller batch",
    )


def _slow_start(samples: Samples) -> Caution | None:
    if len(samples) < MIN_SAMPLES:
        return None
    rest = samples[1:]
    low, high = np.quantile(rest, [0.25, 0.75])
    median = float(np.median(rest))
    if samples[0] <= max(high + SEVERE * (high - low), 1.1 * median):
        return None
    return Caution(
        "slow_start",
        f"first sample {duration(float(samples[0]))}, median {duration(median)}",
        "caches, clocks or the allocator were still warming up",
        "raise the window, so that warm-up takes longer",
    )


def _drift(samples: Samples) -> Caution | None:
    if len(samples) < 9:
        return None
    third = len(samples) // 3
    first, last = np.median(samples[:third]), np.median(samples[-third:])
    change = float(last / first - 1)
    spread = float(np.subtract(*np.quantile(samples[:third], [0.75, 0.25])) / first)
    if abs(change) <= max(DRIFT, spread):
        return None
    word = "slower" if change > 0 else "faster"
    return Caution(
        "drift",
        f"the last third is {abs(change):.0%} {word} than the first",
        "heat or power limits, another load, or memory that grows",
        "repeat on a quiet, cool machine; compare the anchor cell",
    )


def _two_humps(samples: Samples) -> Caution | None:
    if len(samples) < 10:
        return None
    ordered = np.sort(samples)
    at = _best_split(ordered)
    left, right = ordered[:at], ordered[at:]
    share = min(len(left), len(right)) / len(ordered)
    gap = float(right.mean() - left.mean())
    width = float(np.sqrt((left.var() + right.var()) / 2))
    if share < 0.2 or gap < APART * width or gap < DRIFT * float(np.median(ordered)):
        return None
    return Caution(
        "bimodal",
        f"{len(left)} samples near {duration(float(left.mean()))}, "
        f"{len(right)} near {duration(float(right.mean()))}",
        "the machine changes between two states, of clocks, placement or load",
        "fix the clocks or the affinity; read the samples, not only the median",
    )


def _best_split(ordered: Samples) -> int:
    """Where to cut a sorted sample in two for the least variance inside the parts."""
    n = len(ordered)
    sizes = np.arange(1, n)
    left = np.cumsum(ordered)[:-1] / sizes
    right = (ordered.sum() - np.cumsum(ordered)[:-1]) / (n - sizes)
    between = sizes * (n - sizes) * (right - left) ** 2
    return int(np.argmax(between)) + 1


def _outliers(samples: Samples) -> Caution | None:
    if len(samples) < MIN_SAMPLES:
        return None
    mild, severe = tukey(samples)
    if severe == 0:
        return None
    return Caution(
        "outliers",
        f"{mild} mild and {severe} severe of {len(samples)} samples; all are kept",
        "interruptions by the system or by other programs",
        "close other programs; the median bears a few",
    )


def timer(block_s: float, overhead_s: float, wanted: float) -> Caution | None:
    """The clock and the barrier weigh more in a block than they should."""
    if overhead_s <= wanted * block_s:
        return None
    return Caution(
        "timer_resolution",
        f"barrier and clock are {overhead_s / block_s:.1%} of a block",
        "steps are short and the window holds too few of them",
        "raise the window or the batch",
    )


def host_load(others: float, cores: float, spare: float = 0.0) -> Caution | None:
    """Other programs used the cores that were being timed.

    `spare` cores lie in the affinity mask and beyond the CPU quota: others may have
    those.
    """
    if others <= spare + BUSY * cores:
        return None
    beyond = f", {spare:g} beyond the quota" if spare else ""
    return Caution(
        "host_load",
        f"other programs used {others:.1f} of {cores + spare:g} cores{beyond} during "
        "the window",
        "something else ran on these cores",
        "stop it, or time on other cores",
    )


def idle_cores(used: float | None, cores: float) -> Caution | None:
    """The rate is divided by cores that did not work."""
    if used is None or used >= (1 - IDLE) * cores:
        return None
    return Caution(
        "idle_cores",
        f"the step kept {used:.1f} of {cores:g} cores busy, and its rate is divided by "
        f"{cores:g}",
        "the batch is too small for the cores, a flag keeps the framework to fewer "
        "threads, or other programs took them",
        "raise the batch; or time on fewer cores (taskset) and say so",
    )


def shared_device(others: int | None) -> Caution | None:
    """Other processes computed on the device that was being timed."""
    if not others:
        return None
    return Caution(
        "shared_device",
        f"{others} other process{'es' * (others > 1)} on the device in the window",
        "another job, notebook or desktop has the device open",
        "end it, or time another device (CUDA_VISIBLE_DEVICES)",
    )


def throttled(reasons: Sequence[str]) -> Caution | None:
    """Heat, power or a quota slowed the device down while it was timed."""
    if not reasons:
        return None
    return Caution(
        "throttled",
        f"the device was held back by {', '.join(reasons)}",
        "limits of heat or power, or a CPU quota of the container",
        "cool it, fix lower clocks, or raise the quota; the samples are kept",
    )


def over_ceiling(share: float) -> Caution | None:
    """A model cannot outrun the machine: the ceiling or the count is off."""
    if share <= 1:
        return None
    return Caution(
        "over_ceiling",
        f"{share:.0%} of the largest matrix product measured",
        "the product was disturbed, or another library is faster than the one probed",
        "repeat; do not quote the share",
    )
