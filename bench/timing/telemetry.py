"""Energy, clocks and throttling around one window, read outside of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench import devices
from bench.devices.sensors import Reading, joules, throttled

COUNTER_SETTLES_S = 1.0
"""A shorter window has no energy: NVML's counter moves every 20 to 100 ms."""


class Telemetry:
    """A context around a window; `columns` afterwards says what the sensors saw."""

    def __init__(
        self,
        device_kind: str,
        *,
        look: Callable[[str], Reading] = devices.reading,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._look, self._clock, self._kind = look, clock, device_kind
        self._before = self._after = Reading()
        self._seconds = 0.0

    def __enter__(self) -> Telemetry:
        self._before = self._look(self._kind)
        self._began = self._clock()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds = self._clock() - self._began
        self._after = self._look(self._kind)

    @property
    def throttled_by(self) -> list[str]:
        return throttled(self._before, self._after)

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
        }
