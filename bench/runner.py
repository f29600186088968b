"""Study x executor x results: order the items, skip finished ones, run, append, go on.

Each attempt is written before the next begins, so an interrupt loses at most the one
that was running. Failures are rows too.
"""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import (
    asked,
    checkout,
    checkpoints,
    executors,
    forecast,
    machine,
    models,
    results,
    studies,
)
from bench import backend as backends
from bench.errors import StudyError
from bench.history import History
from bench.lineage import Lineage, check_files
from bench.ordering import with_anchors, work_items
from bench.specs import PROTOCOL, SPEED_MODES, Bandwidth, Cell, Limit, Study, WorkItem

DEFAULT_OUT = "results"


@dataclass(frozen=True)
class Progress:
    """What the caller may want to show after an item."""

    done: int
    total: int
    item: WorkItem
    row: dict[str, Any]
    seconds_left: float


@dataclass
class Summary:
    """What a run did, and where every row lies that counts for its cells."""

    study: Study
    machine: str
    out: Path
    file: Path | None = None
    """Rows that this study asked for, now or before; null when it never had to."""
    attempts: set[str] = field(default_factory=set)
    """All attempts that count for its cells, other studies' included."""
    reused: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["status"] != "ok"]


def run_study(
    study: str | Study,
    *,
    out: str | os.PathLike[str] = DEFAULT_OUT,
    executor: str = "process",
    retry_failed: bool = False,
    reuse: str = "strict",
    command: str | None = None,
    on_start: Callable[[Plan], None] = lambda plan: None,
    on_item: Callable[[Progress], None] = lambda progress: None,
    on_wait: Callable[[str], None] = lambda message: None,
) -> Summary:
    """Run what is not finished yet, append every attempt to `out`, fold at the end.

    Args:
        study: a path, a shipped study's name, or a `Study`.
        out: results folder; rows land in `<out>/<machine>/<study>.parquet`.
        executor: `process` (a fresh one per item) or `inline`.
        retry_failed: run only the items whose last attempt failed.
        reuse: which finished rows stand: `strict` (same hardware and environment),
            `machine` (same hardware) or `any`.
        command: the command line that the rows tell; else `run` with a study's path.
        on_start, on_item, on_wait: called with the plan, after each item, and while
            another process holds the device.

    Raises:
        UserError: the study, the framework or the folder cannot be used.
    """
    made = studies.load(study) if isinstance(study, str) else study
    folder = Path(out)
    runs_in = executors.make(executor)
    for framework in made.frameworks:
        backends.check_framework(framework)
    results.check_writable(folder)
    check_files(made)
    plan = make_plan(
        made, folder, executor=executor, retry_failed=retry_failed, reuse=reuse
    )
    plan = dataclasses.replace(plan, command=command or _command(study))
    on_start(plan)
    summary = Summary(made, plan.host.name, folder, reused=len(plan.reused))
    try:
        for progress in _run_items(plan, runs_in, folder, on_wait):
            summary.rows.append(progress.row)
            on_item(progress)
    finally:  # also after an interrupt: what was measured is folded
        summary.file = results.fold(folder, plan.host.name, made.name)
    history = _history(folder, plan.host, plan.environments, reuse)
    summary.attempts = history.attempts({cell.cell_id for cell in made.every_cell})
    return summary


def _command(study: str | Study) -> str | None:
    return None if isinstance(study, Study) else asked.line(["run", study])


# Planning --------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """The items to run, in order, and what stands already."""

    study: Study
    host: machine.Machine
    environments: dict[str, tuple[str, dict[str, str]]]
    items: list[WorkItem]
    reused: list[WorkItem]
    executor: str
    reuse: str
    set_aside: list[str]
    """One line for each file in the results folder that could not be read."""
    lineage: Lineage
    known: list[forecast.Row]
    """Finished rows of this machine: what forecasts are made from."""
    sitting_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    command: str | None = None
    """What a stranger runs to measure the same; null where no command line asked."""


def make_plan(
    study: Study,
    out: Path,
    *,
    executor: str = "process",
    retry_failed: bool = False,
    reuse: str = "strict",
) -> Plan:
    """Order the work in randomised rounds and leave out what is finished."""
    host = machine.fingerprint(_device_kind(study), study.own_core)
    environments = {name: machine.environment(name) for name in study.frameworks}
    history = _history(out, host, environments, reuse)
    every = list(work_items(study))
    reused = [item for item in every if history.is_finished(item)]
    todo = [item for item in every if not history.is_finished(item)]
    if retry_failed:
        todo = [item for item in todo if history.has_failed(item)]
    lineage = Lineage(study, out, host.name, history)
    reused, todo = lineage.ordered(reused, todo)
    picked = {item: history.picked_batch(item) for item in todo}
    todo = [dataclasses.replace(item, picked_batch=picked[item]) for item in todo]
    items = with_anchors(study, todo, history)
    aside = history.set_aside
    known = forecast.usable(history.table, host.machine_id)
    return Plan(
        study, host, environments, items, reused, executor, reuse, aside, lineage, known
    )


def _history(
    out: Path,
    host: machine.Machine,
    environments: dict[str, tuple[str, dict[str, str]]],
    reuse: str,
) -> History:
    return History(
        out,
        protocol=PROTOCOL,
        machine_id=host.machine_id,
        environment_id={name: made[0] for name, made in environments.items()},
        reuse=reuse,
    )


def _device_kind(study: Study) -> str:
    """The one device of a study: its rows carry one machine, its lease one device."""
    kinds = sorted({cell.device for cell in study.every_cell})
    if len(kinds) > 1:
        raise StudyError(
            f"{study.name}: device: {', '.join(kinds)}: a study runs on one device; "
            "make a study for each"
        )
    return kinds[0]


# Running ---------------------------------------------------------------------


def _run_items(
    plan: Plan,
    executor: executors.Executor,
    out: Path,
    on_wait: Callable[[str], None],
) -> Iterator[Progress]:
    checkpoints.forget(plan.reused, out, plan.host.name)
    timer = _TimeLeft(plan.items)
    ceilings = _Ceilings(plan.host, executor, out, on_wait)
    picked: dict[str, int] = {}
    for number, item in enumerate(plan.items, start=1):
        cell_id = item.cell.cell_id
        if item.picked_batch is None and cell_id in picked:
            item = dataclasses.replace(item, picked_batch=picked[cell_id])
        told = {"study": plan.study.name, "cell_id": cell_id, "cell": item.cell.label}
        with machine.lease(plan.host.device_kind, on_wait=on_wait, told=told):
            ceiling, bandwidth = ceilings.of(item.cell)
            item = dataclasses.replace(item, ceiling=ceiling, bandwidth=bandwidth)
            started = datetime.now(UTC)
            values = plan.lineage.skipped(item)
            if values is None:
                placed = plan.lineage.placed(item)
                item = checkpoints.arranged(
                    placed, out, plan.host.name, started, on_wait
                )
                values = executor.run(item)
            plan.lineage.note(item, values)
        row = _row(plan, item, _accounted(values, started), started)
        results.append(row, out)
        checkpoints.settle(item, row)
        if row["status"] == "ok" and row["batch_rule"] == "auto":
            picked.setdefault(cell_id, row["batch_size"])
        left = timer.after(item, (datetime.now(UTC) - started).total_seconds())
        yield Progress(number, len(plan.items), item, row, left)


class _Ceilings:
    """The machine's ceiling of each dtype, asked for once, before its first cell."""

    def __init__(
        self,
        host: machine.Machine,
        executor: executors.Executor,
        out: Path,
        on_note: Callable[[str], None],
    ) -> None:
        self.host, self.out, self.on_note = host, out, on_note
        # An executor that runs items elsewhere cannot offer this machine's ceiling.
        self.measure = getattr(executor, "ceiling", None)
        self.known: dict[str, tuple[Limit | None, Bandwidth | None]] = {}

    def of(self, cell: Cell) -> tuple[Limit | None, Bandwidth | None]:
        if self.measure is None or cell.mode not in SPEED_MODES:
            return None, None
        if cell.dtype not in self.known:
            self.known[cell.dtype] = self.measure(
                self.host, cell.dtype, self.out, on_note=self.on_note
            )
        return self.known[cell.dtype]


class _TimeLeft:
    """Time left, from the mean of finished items of the same mode and framework."""

    def __init__(self, items: Sequence[WorkItem]) -> None:
        self.waiting = [self.kind(item) for item in items]
        self.seen: dict[tuple[str, str], list[float]] = {}

    @staticmethod
    def kind(item: WorkItem) -> tuple[str, str]:
        return (item.cell.mode, item.cell.framework)

    def after(self, item: WorkItem, seconds: float) -> float:
        self.waiting.pop(0)
        self.seen.setdefault(self.kind(item), []).append(seconds)
        every = [value for values in self.seen.values() for value in values]
        return sum(_mean(self.seen.get(kind, every)) for kind in self.waiting)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _accounted(values: dict[str, Any], started: datetime) -> dict[str, Any]:
    """Training seconds against this process's own clock.

    The cores are held from before the worker starts until after it ends; what it did
    not see, its start and its end, is allocated and excluded.
    """
    if values.get("allocated_s") is None:
        return values
    held_s = (datetime.now(UTC) - started).total_seconds()
    seen_s = values["allocated_s"] - (values.get("carried_s") or 0.0)
    unseen_s = max(0.0, held_s - seen_s)
    return {
        **values,
        "allocated_s": values["allocated_s"] + unseen_s,
        "excluded_s": values["excluded_s"] + unseen_s,
    }


def _row(
    plan: Plan, item: WorkItem, values: dict[str, Any], started: datetime
) -> dict[str, Any]:
    """A whole row: who asked, what, where, and what came out."""
    environment_id, environment = plan.environments[item.cell.framework]
    sha, dirty = checkout.git_state()
    declared = dataclasses.asdict(item.cell)
    if declared["batch_size"] == "auto":
        declared["batch_size"] = None
    return {
        **declared,
        "family": models.family_of(item.cell.model),
        "attempt_id": str(uuid.uuid4()),
        "cell_id": item.cell.cell_id,
        "repetition": item.repetition,
        "role": item.role,
        "study": plan.study.name,
        "sitting_id": plan.sitting_id,
        "protocol": PROTOCOL,
        "source": "measured",
        "started_at": started,
        "finished_at": datetime.now(UTC),
        "machine_id": plan.host.machine_id,
        "machine": plan.host.name,
        "hardware": list(plan.host.hardware.items()),
        "device_kind": plan.host.device_kind,
        "device_name": plan.host.device_name,
        "core_kind": plan.host.core_kind,
        "cores": plan.host.cores,
        "parallelism": plan.host.parallelism,
        "environment_id": environment_id,
        "environment": list(environment.items()),
        "git_sha": sha,
        "git_dirty": dirty,
        "executor": plan.executor,
        "precision_goal": item.effort.precision,
        "window_goal_s": item.effort.window_s,
        "command": plan.command,
        "batch_rule": "auto" if item.cell.batch_size == "auto" else "fixed",
        **_predicted(forecast.forecast(item, plan.known)),
        **values,
    }


def _predicted(found: forecast.Forecast) -> dict[str, Any]:
    return {
        "predicted_s": found.seconds,
        "predicted_core_days": found.core_days,
        "predicted_from": found.basis or None,
    }
