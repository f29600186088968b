"""`run --dry-run`: the cells, and what each will take by rows or probes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import executors, forecast, machine, ordering, runner
from bench.backend import check_framework
from bench.cli import _print
from bench.specs import Cell, Study, WorkItem
from bench.units import duration, significant


def show(study: Study, out: Path, *, reuse: str, probe: bool) -> None:
    """Print cells and forecasts; keeps nothing, and runs nothing but the probes."""
    plan = runner.make_plan(study, out, reuse=reuse)
    for message in plan.set_aside:
        _print.note(f"set aside: {message}")
    known = [*plan.known, *(_probed(plan) if probe else [])]
    found = {item.key: forecast.forecast(item, known) for item in plan.items}
    done = {item.key for item in plan.reused}
    print(_print.data([_facts(c, plan, found, done) for c in study.cells], "table"))
    _print.note(_total(study, plan, list(found.values())))


def _probed(plan: runner.Plan) -> list[forecast.Row]:
    """A row for each probe; a probe that fails says so and leaves no forecast."""
    items = forecast.probes(plan.items, plan.known)
    for name in sorted({item.cell.framework for item in items}):
        check_framework(name)
    made: list[forecast.Row] = []
    for item in items:
        _print.note(f"probe: {item.cell.label}")
        with machine.lease(plan.host.device_kind, on_wait=_print.note):
            executor = executors.make("process")
            row = forecast.probe_row(item, executor.run, lambda: datetime.now(UTC))
        if row["status"] == "ok":
            made.append({**row, "cores": plan.host.cores})
        else:
            _print.note(f"probe: {row['status']}: {row['error_message']}")
    return made


def _facts(
    cell: Cell,
    plan: runner.Plan,
    found: dict[tuple[str, int, str], forecast.Forecast],
    done: set[tuple[str, int, str]],
) -> dict[str, Any]:
    item = WorkItem(cell=cell)
    left = [key for key in found if key[0] == cell.cell_id and key[2] == "cell"]
    if not left:
        basis = "finished" if item.key in done else "nothing to run"
        one = forecast.NONE
    else:
        one = found[left[0]]
        basis = one.basis or "not known: --probe measures it"
    seconds = None if one.seconds is None else one.seconds * len(left)
    gib = None if one.peak_bytes is None else one.peak_bytes / 2**30
    return {
        "cell_id": cell.cell_id,
        "cell": cell.label,
        "time": None if seconds is None else duration(seconds),
        "memory (GiB)": None if gib is None else significant(gib, 2),
        "core-days": None if one.core_days is None else significant(one.core_days),
        "from": basis,
    }


def _total(study: Study, plan: runner.Plan, found: list[forecast.Forecast]) -> str:
    known = [one.seconds for one in found if one.seconds is not None]
    cells = _print.counted(len(study.cells), "cell")
    head = f"{cells}, {_print.counted(len(plan.items), 'measurement')}"
    if not plan.items:
        said = "nothing is left to measure"
    elif len(known) == len(found):
        said = f"{duration(sum(known))} by forecast"
    else:
        rough = duration(ordering.estimate_s(study))
        said = (
            f"{len(found) - len(known)} of them without a forecast; about {rough} by "
            "rule of thumb"
        )
    return f"{head}, {said}; nothing was recorded"
