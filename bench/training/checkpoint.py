"""Going on where a killed process stopped: what is kept of a training, and when.

Weights, optimiser state, losses, curve and clocks are kept. The position in the data
and every random draw follow from (seed, step), so the step alone stands for both. On
the same machine, versions, threads and code, and on a device whose kernels always sum
in one order, the weights at the end are those of a training in one go, bit for bit.
Anywhere else the row says `inexact_resume`, and a caution says what differed.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from bench import checkout, checkpoints, cores, machine
from bench.backend import Backend, Learner
from bench.checkpoints import Saved
from bench.errors import UnfitCheckpoint
from bench.models import ModelSpec
from bench.specs import PROTOCOL, WorkItem
from bench.timing.cautions import Caution
from bench.training.ledger import Account, Clock, Ledger
from bench.training.progress import Progress

EVERY_S, SHARE = 20.0, 50.0
"""Without `checkpoint_steps`: so often, and never more than a fiftieth of the time."""
DETERMINISTIC = ("cpu",)
"""Device kinds where the variants that train (plain jit, eager) repeat bit for bit."""

Rows = list[dict[str, Any]]


class Keeper:
    """Keeps a training's progress in a folder, and finds what was kept there.

    Without a folder it keeps nothing and never interrupts.
    """

    def __init__(self, item: WorkItem, backend: Backend, clock: Clock) -> None:
        self._item, self._clock = item, clock
        self._every, self._cost_s, self._since = item.effort.checkpoint_steps, 0.0, 0.0
        self._work: checkpoints.Work | None = None
        self._step, self.resumes = 0, 0
        self.resumed_step: int | None = None
        self._differs: list[str] = []
        self._cautions: list[Caution] = []
        earlier = None
        if item.checkpoints is not None:
            self._work = checkpoints.Work(Path(item.checkpoints))
            earlier = self._last_clock(self._work)
            self.resumes = 0 if earlier is None else int(earlier["processes"])
        asked_at = item.asked_at
        self.ledger = Ledger(
            clock,
            earlier=None if earlier is None else _account(earlier),
            start_up_s=0.0 if asked_at is None else max(0.0, time.time() - asked_at),
            watch=self._note,
        )
        self._here = {} if self._work is None else _circumstances(item, backend)

    def _last_clock(self, work: checkpoints.Work) -> dict[str, Any] | None:
        """The later of two: a crash of the system can lose the clock, not the file."""
        clocks = [work.read_clock()]
        facts = work.facts()
        if facts is not None and self._stranger(facts) is None:
            clocks.append(facts.get("clock"))
        known = [clock for clock in clocks if clock is not None]
        return max(known, key=lambda clock: float(clock["allocated_s"]), default=None)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *error: object) -> None:
        if self._work is not None:
            self._work.__exit__()
            self._work = None

    # finding ------------------------------------------------------------------

    def restore(self, learner: Learner, spec: ModelSpec) -> Progress:
        """Put what was kept into the learner; a fresh start where nothing fits."""
        self._since = self._clock()
        saved = self._fitting(learner, spec)
        if saved is None:
            self.ledger.go_on_from(Account())
            return Progress()
        facts = saved.facts
        self.ledger.go_on_from(_account(facts["clock"]))
        self._step = self.resumed_step = facts["step"]
        self._differs = sorted({*facts["differs"], *self._differences(facts["made"])})
        return Progress.of(saved)

    def _fitting(self, learner: Learner, spec: ModelSpec) -> Saved | None:
        """The checkpoint, restored; one that does not fit is set aside and told of."""
        if self._work is None:
            return None
        try:
            saved = self._work.load()
            if saved is not None:
                self._check(saved, spec)
                learner.restore(saved.arrays)
            return saved
        except UnfitCheckpoint as error:
            aside = self._work.set_aside()
            self._cautions.append(
                Caution(
                    "checkpoint_set_aside",
                    f"the checkpoint {error}; it was moved to {aside.name}",
                    "a damaged disk, or a file put there by hand",
                    "nothing: training started anew",
                )
            )
            return None

    def _check(self, saved: Saved, spec: ModelSpec) -> None:
        stranger = self._stranger(saved.facts)
        if stranger is not None:
            raise UnfitCheckpoint(stranger)
        for name, tensor in spec.tensors().items():
            found = saved.arrays.get(f"weights/{name}")
            if found is None or found.shape != tensor.shape:
                raise UnfitCheckpoint(f"has no {name} of shape {tensor.shape}")
        Progress.of(saved)

    def _stranger(self, facts: dict[str, Any]) -> str | None:
        """What shows that it is another training's; None if it is this one's."""
        own = {"cell_id": self._item.cell.cell_id, "protocol": PROTOCOL}
        for name, wanted in own.items():
            if facts.get(name) != wanted:
                return f"is of {name} {facts.get(name)}, not {wanted}"
        return None

    def _differences(self, made: dict[str, Any]) -> list[str]:
        """In what this process differs from the one that wrote the checkpoint."""
        found = [
            f"{name} was {made.get(name)} and is {value}"
            for name, value in self._here.items()
            if made.get(name) != value
        ]
        device = self._here["device"]
        if device not in DETERMINISTIC:
            found.append(f"sums on {device} may be taken in any order")
        return found

    # keeping ------------------------------------------------------------------

    def stepped(self, learner: Learner, step: int) -> None:
        """A step is done: note it, for the process after this one."""
        self._step = step
        self.ledger.book(learner)

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint belongs after this many steps."""
        if self._work is None:
            return False
        if self._every is not None:
            return step % self._every == 0
        return self._clock() - self._since >= max(EVERY_S, SHARE * self._cost_s)

    def save(self, learner: Learner, progress: Progress) -> None:
        """Replace the checkpoint. It falls between two measured spans."""
        assert self._work is not None, "no checkpoint is due without a folder"
        began = self._clock()
        with self.ledger.excluded():
            facts = {
                "cell_id": self._item.cell.cell_id,
                "cell": self._item.cell.declared(),
                "protocol": PROTOCOL,
                **progress.facts(),
                "clock": self._line(),
                "made": self._here,
                "differs": self._differs,
            }
            arrays = {**learner.snapshot(), **progress.arrays()}
            self._work.save(Saved(arrays, facts))
        self._since = self._clock()
        self._cost_s = self._since - began

    def _note(self) -> None:
        if self._work is not None:
            self._work.write_clock(self._line())

    def _line(self) -> dict[str, float]:
        return {
            "processes": self.resumes + 1,
            "step": self._step,
            "carried_s": self.ledger.carried_s,
            **dataclasses.asdict(self.ledger.account()),
        }

    # the search for a learning rate ---------------------------------------------

    def tried(self) -> tuple[Rows, float]:
        """Learning rates that an earlier process tried, and its seconds."""
        facts = None if self._work is None else self._work.read_search()
        if facts is None or self._stranger(facts) is not None:
            return [], 0.0
        differs = self._differences(facts["made"])
        if differs:
            self._cautions.append(
                Caution(
                    "search_resumed",
                    f"{len(facts['trials'])} learning rates were tried before, but "
                    + "; ".join(differs),
                    "another machine, environment, code or device took over",
                    "train in one go where the last bits matter",
                )
            )
        return facts["trials"], float(facts["search_s"])

    def save_tried(self, trials: Rows, search_s: float) -> None:
        """Keep the learning rates tried so far: none is tried twice."""
        if self._work is None:
            return
        cell_id = self._item.cell.cell_id
        facts = {"cell_id": cell_id, "protocol": PROTOCOL, "made": self._here}
        self._work.save_search({**facts, "trials": trials, "search_s": search_s})
        self._note()

    # telling ------------------------------------------------------------------

    def columns(self) -> dict[str, Any]:
        """The columns of the record that tell of a resume."""
        resumed = self.resumed_step is not None
        return {
            "resumes": self.resumes,
            "resumed_step": self.resumed_step,
            "inexact_resume": bool(self._differs) if resumed else None,
        }

    def cautions(self) -> Rows:
        """What a reader must know of the resume."""
        found = list(self._cautions)
        if self._differs:
            found.append(
                Caution(
                    "inexact_resume",
                    f"training went on from step {self.resumed_step}, but "
                    + "; ".join(self._differs),
                    "another machine, environment, code or device took over",
                    "train in one go where the last bits matter",
                )
            )
        return [dataclasses.asdict(one) for one in found]


def _circumstances(item: WorkItem, backend: Backend) -> dict[str, Any]:
    """What must be the same for the same bits."""
    sha, dirty = checkout.git_state()
    return {
        "machine": machine.fingerprint(item.cell.device, item.own_core).machine_id,
        "environment": machine.environment(item.cell.framework)[0],
        "threads": cores.threads(),
        "device": backend.device_kind,
        "code": f"{sha}{' changed' if dirty else ''}",
    }


def _account(values: dict[str, Any]) -> Account:
    names = [item.name for item in dataclasses.fields(Account)]
    return Account(**{name: float(values[name]) for name in names})
