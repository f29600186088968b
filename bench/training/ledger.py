"""Where the allocated seconds went. Core-days are audited, not guessed.

allocated = measured + excluded + repeated + idle. Measured is stepping, data wait
included. Compile time that falls into a measured span is moved to excluded. Steps of a
process that died, if they are done again, are moved from measured to repeated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from bench.units import core_days, img_per_sec_per_core

Clock = Callable[[], float]


class _Compiling(Protocol):
    @property
    def compile_s(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Account:
    """Seconds by purpose, at one moment."""

    allocated_s: float = 0.0
    measured_s: float = 0.0
    excluded_s: float = 0.0
    repeated_s: float = 0.0
    data_wait_s: float = 0.0


class Ledger:
    """Seconds by purpose, those of earlier processes of the same training included."""

    def __init__(
        self,
        clock: Clock,
        *,
        earlier: Account | None = None,
        start_up_s: float = 0.0,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the account now.

        Args:
            clock: seconds from any beginning.
            earlier: what the processes before this one had spent.
            start_up_s: held before now, for the start of this process; excluded.
            watch: called whenever something was booked.
        """
        before = Account() if earlier is None else earlier
        self._clock, self._watch = clock, watch
        self._opened = clock() - before.allocated_s - start_up_s
        self.carried_s = before.allocated_s
        self.measured_s = before.measured_s
        self.excluded_s = before.excluded_s + start_up_s
        self.repeated_s = before.repeated_s
        self.data_wait_s = before.data_wait_s
        self._since, self._compiled_s = 0.0, 0.0

    @contextmanager
    def measured(self, learner: _Compiling) -> Iterator[None]:
        """A span of training steps; it must end with a barrier."""
        self._since, self._compiled_s = self._clock(), learner.compile_s
        yield
        self.book(learner)

    def book(self, learner: _Compiling) -> None:
        """Inside a measured span: book it up to now, lest a kill should lose it."""
        now, compiled_s = self._clock(), learner.compile_s
        compiling = compiled_s - self._compiled_s
        self.measured_s += now - self._since - compiling
        self.excluded_s += compiling
        self._since, self._compiled_s = now, compiled_s
        self._watch()

    @contextmanager
    def excluded(self) -> Iterator[None]:
        """A span of anything that is not training: data made, compile, evaluation."""
        start = self._clock()
        yield
        self.excluded_s += self._clock() - start
        self._watch()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside a measured span: the loop waits for its next batch."""
        start = self._clock()
        yield
        self.data_wait_s += self._clock() - start

    def go_on_from(self, kept: Account) -> None:
        """Only what `kept` had measured stands; the rest will be done again."""
        self.repeated_s += self.measured_s - kept.measured_s
        self.measured_s, self.data_wait_s = kept.measured_s, kept.data_wait_s

    def account(self) -> Account:
        """Where it stands now."""
        names = [item.name for item in dataclasses.fields(Account)]
        booked = {name: getattr(self, name) for name in names if name in vars(self)}
        return Account(allocated_s=self._clock() - self._opened, **booked)

    def columns(self, *, cores: float, images_seen: int) -> dict[str, float]:
        """The columns of the record, closing the account now."""
        allocated = self._clock() - self._opened
        used = self.measured_s + self.excluded_s + self.repeated_s
        return {
            "allocated_s": allocated,
            "measured_s": self.measured_s,
            "excluded_s": self.excluded_s,
            "repeated_s": self.repeated_s,
            "idle_s": allocated - used,
            "carried_s": self.carried_s,
            "data_wait_s": self.data_wait_s,
            "data_wait_fraction": self.data_wait_s / self.measured_s,
            "core_days_measured": core_days(cores, self.measured_s),
            "train_img_per_sec_core": img_per_sec_per_core(
                images_seen, self.measured_s, cores
            ),
        }
