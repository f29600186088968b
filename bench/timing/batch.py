"""The pilot over batch sizes: which batch is fastest, and where more stops helping.

Pure over a callable that tries one batch. What it finds is only a choice: the best of
several noisy pilots is biased upward, so the pick is measured again and that is
reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.errors import OutOfMemory

GAIN = 0.03
"""Two doublings in a row that gain less than this end the sweep."""
KNEE = 0.01
"""The knee is the smallest batch whose rate is within this share of the best."""

FIRST_JUMP = 5


@dataclass(frozen=True)
class Pilot:
    """One batch size tried. Fields are those of the record's `sweep`."""

    batch_size: int
    status: str
    """`ok`, `oom` (it did not fit), `memory` or `time` (not tried: it would not)."""
    step_s: float | None = None
    peak_bytes: int | None = None

    @property
    def rate(self) -> float:
        """Images per second; 0 where nothing was timed."""
        return 0.0 if self.step_s is None else self.batch_size / self.step_s


def sweep(
    attempt: Callable[[int], Pilot],
    *,
    smallest: int,
    largest: int,
    step_limit_s: float,
    memory_limit: int | None = None,
) -> list[Pilot]:
    """Batch 1, then doubling from `smallest` to `largest` until it no longer pays.

    Args:
        attempt: times one batch; `oom` is a status, any other fault an exception.
        step_limit_s: a batch whose step would outlast this is not tried.
        memory_limit: bytes; a batch that would need more is not tried. For a host
            whose kernel kills the process instead of refusing an allocation.
    """
    curve = [attempt(1)]
    if curve[0].status != "ok":
        raise OutOfMemory(
            "batch 1 does not fit in memory; take a smaller model or image"
        )
    batch = smallest
    while batch <= largest and not _flat(curve):
        if batch > 1:
            refused = _foreseen(curve, batch, step_limit_s, memory_limit)
            curve.append(refused or attempt(batch))
            if curve[-1].status != "ok":
                break
        batch *= 2
    return curve


def _flat(curve: Sequence[Pilot]) -> bool:
    """The last two doublings each gained under 3 % over the best before them."""
    rates = [pilot.rate for pilot in curve if pilot.batch_size > 1]
    if len(rates) < 3:
        return False
    gains = [rates[i] / max(rates[:i]) - 1 for i in (len(rates) - 2, len(rates) - 1)]
    return all(gain < GAIN for gain in gains)


def _foreseen(
    curve: Sequence[Pilot], batch: int, step_limit_s: float, memory_limit: int | None
) -> Pilot | None:
    """Why a batch need not be tried, from a straight line through the last two.

    After batch 1 alone memory is taken not to grow, and a step in proportion: too
    much where overhead rules, so the limit is then `FIRST_JUMP` times as far away.
    """
    last = curve[-1]
    before = curve[-2] if len(curve) > 1 else Pilot(0, "ok", 0.0, last.peak_bytes)
    ratio = (batch - last.batch_size) / (last.batch_size - before.batch_size)
    if last.step_s is not None and before.step_s is not None:
        limit_s = step_limit_s * (FIRST_JUMP if len(curve) == 1 else 1)
        if last.step_s + ratio * (last.step_s - before.step_s) > limit_s:
            return Pilot(batch, "time")
    peak, earlier = last.peak_bytes, before.peak_bytes
    if memory_limit is None or peak is None or earlier is None:
        return None
    if peak + ratio * max(0, peak - earlier) > memory_limit:
        return Pilot(batch, "memory")
    return None


def pick(curve: Sequence[Pilot]) -> int:
    """The batch with the best rate; of equal ones the smaller."""
    return max(curve, key=lambda pilot: (pilot.rate, -pilot.batch_size)).batch_size


def knee(curve: Sequence[Pilot]) -> int:
    """The smallest batch within 1 % of the best rate."""
    best = max(pilot.rate for pilot in curve)
    near = [pilot.batch_size for pilot in curve if pilot.rate >= (1 - KNEE) * best]
    return min(near)
