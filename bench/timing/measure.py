"""One window: prove the barrier, warm up, time blocks of steps, say what was odd.

A sample is a block of k steps between two barriers, in seconds per step. k is chosen
so that barrier and clock cost under 1 % of a block. Where the device has a clock of its
own (CUDA events) the block is timed by that, and the host's clock must agree. The clock
is an argument, so that tests can count every step and barrier.
"""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from bench.analysis.stats import relative_halfwidth
from bench.backend import EventTimer, Workload
from bench.errors import UntrustedMeasurement
from bench.timing import cautions
from bench.timing.cautions import Caution
from bench.units import duration

Clock = Callable[[], int]
"""Nanoseconds from any fixed start, never stepping back."""

OVERHEAD = 0.01
"""Largest share of a block that the barrier and the clock may take."""
WARMUP_SHARE = 0.1
"""Warm-up lasts this share of the window, and at least two steps."""
MIN_WARMUP_STEPS = 2
MIN_BLOCKS = cautions.MIN_SAMPLES
MOST_BLOCKS = 400
"""Blocks are made long enough that no more than this many fill the window."""
LEAST_SHARE = 0.1
"""No window is shorter than this share of its cap, however even its first blocks are:
clocks and neighbours do not settle in a few milliseconds."""
ROOM = 10
"""Blocks that must fit, so that a median of them has an interval."""
PROOF_TRIES = 10
PROOF_WORK, PROOF_STEPS = 20, 100
"""The proof queues this many checksums' worth of work, but at most so many steps."""
IDLE_READS = 9
"""Checksums on an idle device: beside a busy neighbour most of them wait for a core."""
COLD = 4
"""A checksum after work may cost this many times one on an idle device."""
RESTS, LONGEST_REST_S = 3, 0.5
"""Rests that tell cold caches from work that is left."""
LEFT_S = 250e-6
"""Work this short may be left after the barrier of a step of 2.5 to 25 ms."""
AGREE = 0.1
"""How far device events and the host's clock may differ over one block."""
CLOCK_TICK_S = time.get_clock_info("perf_counter").resolution


@dataclass(frozen=True)
class Window:
    """What one window saw. Samples are seconds per step, in order, outliers kept."""

    samples: tuple[float, ...]
    steps_per_sample: int
    warmup_steps_run: int
    stop_reason: str
    """`precision` or `time`."""
    within_run_halfwidth: float | None
    first_step_s: float
    barrier_s: float
    timer: str
    """Whose clock timed the blocks: `host`, or the name of the device's events."""
    cautions: tuple[Caution, ...]

    @property
    def step_s(self) -> float:
        return float(np.median(self.samples))


def measure(
    workload: Workload,
    *,
    precision: float,
    window_s: float,
    clock: Clock = time.perf_counter_ns,
    clock_tick_s: float = CLOCK_TICK_S,
    least_block_s: float = 0.0,
    around: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
) -> Window:
    """Time one workload until its median is known to `precision`, or for `window_s`.

    Args:
        clock_tick_s: the smallest time that the clock can tell; it counts as overhead.
        least_block_s: no block is shorter, where the window has room for ten. A CPU
            quota lets work run, then holds it: the median of blocks shorter than its
            period would be that of the running alone.
        around: entered just before the first block and left just after the last, to
            read counters of energy and throttling; its own time is not measured.
    """
    steps = _Stepper(workload, clock)
    first_step_s = steps.block(1)
    prove_barrier(steps)
    barrier_s = steps.barrier_cost()
    overhead_s = max(barrier_s, clock_tick_s)
    step_s = _warm_up(steps, window_s)
    size = block_size(step_s, overhead_s, window_s, least_block_s)
    warmup_steps_run = steps.count
    with _quiet_gc(), around():
        samples, reason = _window(steps, size, precision, window_s)
    _refuse_not_finite(workload.checksum())
    found = cautions.of_samples(np.asarray(samples))
    timer = cautions.timer(size * float(np.median(samples)), overhead_s, OVERHEAD)
    return Window(
        samples=tuple(samples),
        steps_per_sample=size,
        warmup_steps_run=warmup_steps_run,
        stop_reason=reason,
        within_run_halfwidth=relative_halfwidth(samples),
        first_step_s=first_step_s,
        barrier_s=barrier_s,
        timer=steps.events.name if steps.events else "host",
        cautions=(*found, *([timer] if timer else [])),
    )


class _Stepper:
    """Runs and times steps, and counts them."""

    def __init__(self, workload: Workload, clock: Clock) -> None:
        self.workload, self.clock, self.count = workload, clock, 0
        # A clock that is moved by hand brings its own way to let time pass.
        self.sleep: Callable[[float], None] = getattr(clock, "sleep", time.sleep)
        self.events: EventTimer | None = getattr(workload, "events", None)

    def block(self, steps: int) -> float:
        """Seconds for `steps` steps and the barrier that ends them."""
        began = self.clock()
        self.start(steps)
        self.workload.barrier()
        return (self.clock() - began) / 1e9

    def on_device(self, steps: int) -> tuple[float, float]:
        """The same block by the device's clock, if it has one, and by the host's."""
        if self.events is None:
            seconds = self.block(steps)
            return seconds, seconds
        began = self.clock()
        self.events.start()
        self.start(steps)
        self.events.stop()
        self.workload.barrier()
        return self.events.seconds(), (self.clock() - began) / 1e9

    def start(self, steps: int) -> None:
        for _ in range(steps):
            self.workload.enqueue()
        self.count += steps

    def checksum(self) -> float:
        """Seconds to read back one number that depends on every output."""
        began = self.clock()
        self.workload.checksum()
        return (self.clock() - began) / 1e9

    def barrier_cost(self, times: int = 9) -> float:
        """Seconds of a barrier with nothing to wait for, the clock's reads included."""
        return float(np.median([self.block(0) for _ in range(times)]))


def prove_barrier(steps: _Stepper) -> None:
    """Refuse a barrier that returns before the work is done.

    After an honest barrier, a checksum over every output costs what it costs on an
    idle device, or a few times that where the step has emptied the caches. After one
    that returns early it also waits for the rest of the work, so there must be much
    more work than that. Where it costs more, a checksum after half the work and a rest
    decides: cold caches cost the same then, work left or put off does not. An
    interruption can only add time: one clean try is proof.
    """
    steps.checksum()  # the first one may compile
    copy_s = min(steps.checksum() for _ in range(IDLE_READS))
    step_s, size, excess = math.inf, 1, []
    for _ in range(PROOF_TRIES):
        block_s = steps.block(size)
        after_s = steps.checksum()
        step_s = min(step_s, (block_s + after_s - copy_s) / size)
        enough = math.ceil(PROOF_WORK * copy_s / max(step_s, 1e-9))
        if size < min(enough, PROOF_STEPS):
            size = min(2 * enough, PROOF_STEPS)  # doubles, so tries are left
            continue
        excess.append(after_s - copy_s)
        if excess[-1] <= max(_tolerable(step_s), COLD * copy_s):
            return
        if excess[-1] > block_s:  # more was done after the barrier than before it:
            continue  # no cache is that cold, and an interruption will not come again
        excess[-1] = _stays(steps, size, step_s)
        if excess[-1] <= _tolerable(step_s):
            return
    raise UntrustedMeasurement(
        f"the barrier returned early: {duration(min(excess))} of work was still to be "
        f"done after it, with {duration(step_s)} a step; the device's barrier in the "
        "backend must wait for the whole output"
    )


def _stays(steps: _Stepper, size: int, step_s: float) -> float:
    """Seconds that a checksum costs more after twice the work, and without a rest.

    What an early barrier leaves is done in the rest; what a lazy device puts off
    until a result is read grows with the work. The cost of cold caches does neither.
    """
    rested, doubled = [], []
    for _ in range(RESTS):
        steps.block(size)
        steps.sleep(min(size * step_s, LONGEST_REST_S))
        rested.append(steps.checksum())
        steps.block(2 * size)
        doubled.append(steps.checksum())
    # Neighbours add time to either, and one pair of them could hide the work.
    return min(doubled) - min(rested)


def _tolerable(step_s: float) -> float:
    """Seconds of a step that may be left after the barrier: 1 % of a long step.

    A short step is a small part of its block, and waking a thread costs as much as a
    tenth of it.
    """
    return min(0.1 * step_s, max(OVERHEAD * step_s, LEFT_S))


def _warm_up(steps: _Stepper, window_s: float) -> float:
    """Step until caches and clocks settle; the last block's seconds per step."""
    size, spent = MIN_WARMUP_STEPS, 0.0
    while True:
        block_s = steps.block(size)
        spent += block_s
        if spent >= WARMUP_SHARE * window_s:
            return block_s / size
        size *= 2  # short steps: a single block would time the barrier


def block_size(
    step_s: float, barrier_s: float, window_s: float, least_s: float = 0.0
) -> int:
    """Steps per sample: enough to hide the barrier, few enough for five samples.

    >>> block_size(step_s=0.001, barrier_s=0.00002, window_s=10.0)
    25
    >>> block_size(step_s=1.0, barrier_s=0.00002, window_s=2.0)
    1
    """
    hide_barrier = barrier_s / (OVERHEAD * step_s)
    least_s = min(least_s, window_s / ROOM)
    few_samples = max(window_s / MOST_BLOCKS, least_s) / step_s
    most = window_s / MIN_BLOCKS / step_s
    return max(1, math.floor(min(math.ceil(max(hide_barrier, few_samples)), most)))


def _window(
    steps: _Stepper, size: int, precision: float, window_s: float
) -> tuple[list[float], str]:
    """Time blocks until the stop rule holds, or refuse what was compiled meanwhile."""
    compiled = steps.workload.compilations()
    steps.workload.barrier()
    samples: list[float] = []
    host: list[float] = []
    began = steps.clock()
    reason = "time"
    while (steps.clock() - began) / 1e9 < window_s:
        device_s, host_s = steps.on_device(size)
        samples.append(device_s / size)
        host.append(host_s / size)
        if device_s <= 0:
            break  # refused below
        long_enough = sum(host) * size >= LEAST_SHARE * window_s
        if long_enough and _narrow(samples, precision):
            reason = "precision"
            break
    _refuse_compiled(steps.workload.compilations() - compiled)
    _refuse_disagreement(float(np.median(samples)), float(np.median(host)))
    return samples, reason


def _refuse_compiled(compiled: int) -> None:
    if compiled:
        raise UntrustedMeasurement(
            f"{compiled} compilation(s) inside the timing window; shapes and constants "
            "of the step must not change"
        )


def _refuse_not_finite(checksum: float) -> None:
    """A network of NaN is not the one that was asked for, and may run at its own speed.

    Training can get there inside the window: all steps are on one batch.
    """
    if not math.isfinite(checksum):
        raise UntrustedMeasurement(
            f"the timed step computed {checksum}: its outputs are not finite; take a "
            "dtype with a wider range, or in training a smaller learning rate"
        )


def _refuse_disagreement(device_s: float, host_s: float) -> None:
    """Events on the wrong queue time nothing, or somebody else's work."""
    if device_s <= 0 or abs(device_s - host_s) > AGREE * host_s:
        raise UntrustedMeasurement(
            f"device events say {duration(device_s)} a step, the host's clock "
            f"{duration(host_s)}; the events must stand on the queue that does the work"
        )


def _narrow(samples: list[float], precision: float) -> bool:
    if len(samples) < MIN_BLOCKS:
        return False
    halfwidth = relative_halfwidth(samples)
    return halfwidth is not None and halfwidth <= precision


@contextlib.contextmanager
def _quiet_gc() -> Iterator[None]:
    """No garbage collection inside; as it was before on the way out, also on errors."""
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
