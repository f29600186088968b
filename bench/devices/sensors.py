"""What a device tells about energy, clocks and throttling. Absent is null, not zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counter:
    """Energy so far, in joules. It starts again at zero after `wraps_j`."""

    joules: float
    wraps_j: float | None = None


@dataclass(frozen=True)
class Reading:
    """One look at the sensors."""

    energy: Mapping[str, Counter] = field(default_factory=dict)
    """Joules by domain; several domains do not overlap."""
    energy_method: str | None = None
    """`nvml_counter` or `rapl`; None where there is no counter. Never a guess."""
    clock_mhz: float | None = None
    throttle_counts: Mapping[str, float] = field(default_factory=dict)
    """Counters that rise while something holds the device back."""
    throttle_flags: tuple[str, ...] = ()
    """What holds it back at this moment."""
    processes: int | None = None
    """Processes that have the device open, ours included; None where it is untold."""


def joules(before: Reading, after: Reading) -> float | None:
    """Energy between two readings; None without the same counters in both."""
    if not before.energy or before.energy.keys() != after.energy.keys():
        return None
    return sum(_rise(before.energy[name], after.energy[name]) for name in before.energy)


def throttled(before: Reading, after: Reading) -> list[str]:
    """What held the device back between two readings, as far as it tells."""
    rose = [
        name
        for name, count in after.throttle_counts.items()
        if count > before.throttle_counts.get(name, count)
    ]
    return sorted({*rose, *before.throttle_flags, *after.throttle_flags})


def neighbours(before: Reading, after: Reading) -> int | None:
    """Processes beside ours on the device, before or after; None where it is untold."""
    told = [r.processes for r in (before, after) if r.processes is not None]
    return max(0, max(told) - 1) if told else None


def _rise(before: Counter, after: Counter) -> float:
    rise = after.joules - before.joules
    return rise if rise >= 0 or after.wraps_j is None else rise + after.wraps_j
