"""Where the allocated seconds went. Core-days are audited, not guessed.

allocated = measured + excluded + repeated + idle. Measured is stepping, data wait
included. Compile time that falls into a measured span is moved to excluded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from bench.units import core_days, img_per_sec_per_core

Clock = Callable[[], float]


class _Compiling(Protocol):
    @property
    def compile_s(self) -> float: ...


class Ledger:
    """Seconds by purpose, from the moment it is made."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._opened = clock()
        self.measured_s = 0.0
        self.excluded_s = 0.0
        self.data_wait_s = 0.0

    @contextmanager
    def measured(self, learner: _Compiling) -> Iterator[None]:
        """A span of training steps; it must end with a barrier."""
        compiled, start = learner.compile_s, self._clock()
        yield
        compiling = learner.compile_s - compiled
        self.measured_s += self._clock() - start - compiling
        self.excluded_s += compiling

    @contextmanager
    def excluded(self) -> Iterator[None]:
        """A span of anything that is not training: data made, compile, evaluation."""
        start = self._clock()
        yield
        self.excluded_s += self._clock() - start

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside a measured span: the loop waits for its next batch."""
        start = self._clock()
        yield
        self.data_wait_s += self._clock() - start

    def columns(self, *, cores: float, images_seen: int) -> dict[str, float]:
        """The columns of the record, closing the account now."""
        allocated = self._clock() - self._opened
        return {
            "allocated_s": allocated,
            "measured_s": self.measured_s,
            "excluded_s": self.excluded_s,
            "repeated_s": 0.0,  # a run that stops starts anew; nothing is resumed
            "idle_s": allocated - self.measured_s - self.excluded_s,
            "data_wait_s": self.data_wait_s,
            "data_wait_fraction": self.data_wait_s / self.measured_s,
            "core_days_measured": core_days(cores, self.measured_s),
            "train_img_per_sec_core": img_per_sec_per_core(
                images_seen, self.measured_s, cores
            ),
        }
