"""Faults to put into a real step on purpose, to see whether the timer catches them.

Each wrapper passes everything on to the step that it wraps and breaks one thing. The
window calls `compilations` when it opens and again when it closes, and nowhere else:
that is how a fault knows that it is inside.
"""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from bench.backend import Workload

NAPS = (2, 4)
"""Samples of the window, counted from 0, in which one step sleeps."""
NAP_BLOCKS = 10
"""A nap lasts this many times the longest sample before it."""
LATE_STEP = 3
"""The compilation falls into this step of the window."""


class _Wrapped:
    """A step that only passes on."""

    def __init__(self, real: Workload) -> None:
        self.real = real
        self.variant, self.layout = real.variant, real.layout
        self.attention, self.compile_s = real.attention, real.compile_s
        self.compile_cached, self.products = real.compile_cached, real.products
        self.in_window = False

    def enqueue(self) -> None:
        self.real.enqueue()

    def barrier(self) -> None:
        self.real.barrier()

    def checksum(self) -> float:
        return self.real.checksum()

    def outputs(self) -> list[float]:
        return self.real.outputs()

    def compilations(self) -> int:
        self.in_window = not self.in_window
        return self.real.compilations()


MOST_PUT_OFF = 1_000
"""Steps done when a result is read. The proof puts off fewer. A window that the proof
let pass would put off as many as its time allows, and the doctor would never end."""


class MissingBarrier(_Wrapped):
    """The barrier returns at once; the work is done when a result is read.

    Steps are put off, so that the fault is one on devices too where a step has ended
    when it returns and a missing barrier would do no harm.
    """

    def __init__(self, real: Workload) -> None:
        super().__init__(real)
        self.put_off = 0

    def enqueue(self) -> None:
        self.put_off += 1

    def barrier(self) -> None:
        """Wait for nothing."""

    def checksum(self) -> float:
        for _ in range(min(self.put_off, MOST_PUT_OFF)):
            self.real.enqueue()
        self.put_off = 0
        self.real.barrier()
        return self.real.checksum()


class LateCompile(_Wrapped):
    """Something compiles in the middle of the window."""

    def __init__(self, real: Workload, compile_something: Callable[[], object]) -> None:
        super().__init__(real)
        self.compile_something, self.steps = compile_something, 0

    def enqueue(self) -> None:
        super().enqueue()
        self.steps += self.in_window
        if self.in_window and self.steps == LATE_STEP:
            self.compile_something()


class Garbage(_Wrapped):
    """Every step leaves enough cycles behind to start the garbage collector."""

    def __init__(self, real: Workload) -> None:
        super().__init__(real)
        self.collections = {"before": 0, "window": 0}

    def enqueue(self) -> None:
        gc.callbacks.append(self._count)
        try:
            for _ in range(2 * gc.get_threshold()[0]):
                cycle: list[Any] = []
                cycle.append(cycle)
        finally:
            gc.callbacks.remove(self._count)
        super().enqueue()

    def _count(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self.collections["window" if self.in_window else "before"] += 1


class Naps(_Wrapped):
    """Single steps of the window sleep, as when the system takes the core away."""

    def __init__(
        self, real: Workload, clock: Callable[[], int], sleep: Callable[[float], None]
    ) -> None:
        super().__init__(real)
        self.clock, self.sleep = clock, sleep
        self.sample, self.slept = -1, -1
        self.began, self.longest_s = 0, 0.0

    def enqueue(self) -> None:
        if self.in_window and self.sample in NAPS and self.slept != self.sample:
            self.slept = self.sample
            self.sleep(NAP_BLOCKS * self.longest_s)
        super().enqueue()

    def barrier(self) -> None:
        super().barrier()
        if self.in_window:
            now = self.clock()
            if self.sample >= 0 and self.slept < 0:
                self.longest_s = max(self.longest_s, (now - self.began) / 1e9)
            self.began = now
            self.sample += 1


@contextlib.contextmanager
def hog(count: int) -> Iterator[None]:
    """`count` other processes that never rest, on the CPUs that this one may use."""
    command = [sys.executable, "-S", "-c", "while True: pass"]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            started.append(subprocess.Popen(command))
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()
