"""Energy, clocks, throttling and our own CPU time around one window."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench import devices
from bench.devices.sensors import Reading, joules, neighbours, throttled

COUNTER_SETTLES_S = 1.0
"""A shorter window has no energy: NVML's counter moves every 20 to 100 ms."""
SCHEDULER_SETTLES_S = 0.1
"""A shorter window does not say how many cores were busy."""


class Telemetry:
    """A context around a window; `columns` afterwards says what the sensors saw."""

    def __init__(
        self,
        device_kind: str,
        *,
        look: Callable[[str], Reading] = devices.reading,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._look, self._clock, self._kind = look, clock, device_kind
        self._cpu_clock = cpu_clock
        self._before = self._after = Reading()
        self._seconds = self._cpu_s = 0.0

    def __enter__(self) -> Telemetry:
        self._before = self._look(self._kind)
        self._cpu_began, self._began = self._cpu_clock(), self._clock()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds = self._clock() - self._began
        self._cpu_s = self._cpu_clock() - self._cpu_began
        self._after = self._look(self._kind)

    @property
    def throttled_by(self) -> list[str]:
        return throttled(self._before, self._after)

    @property
    def others_on_device(self) -> int | None:
        return neighbours(self._before, self._after)

    @property
    def cores_used(self) -> float | None:
        """Cores that this process, all its threads, kept busy; waiting by spinning
        counts as busy. None for a window too short to tell."""
        told = self._seconds >= SCHEDULER_SETTLES_S
        return self._cpu_s / self._seconds if told else None

    def columns(self, images: int) -> dict[str, Any]:
        """The record's columns for a window over so many images."""
        energy = joules(self._before, self._after)
        if self._seconds < COUNTER_SETTLES_S or not energy:
            energy = None
        return {
            "energy_j": energy,
            "energy_j_per_image": None if energy is None else energy / images,
            "energy_method": None if energy is None else self._after.energy_method,
            "clock_mhz_before": self._before.clock_mhz,
            "clock_mhz_after": self._after.clock_mhz,
            "throttled_by": self.throttled_by,
            "cpu_cores_used": self.cores_used,
        }
