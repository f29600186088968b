"""How far a study is: finished, failed, running, left, and about how long.

For a study cell by cell, as a run started now would find it; for a results folder study
by study, from its rows alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench import checkpoints, folding, forecast, machine, ordering, results, runner
from bench.specs import Cell, Study, WorkItem

_ROW = ["attempt_id", "study", "machine", "cell_id", "repetition", "role", "status"]
_SAID = ["error_message", "finished_at"]


@dataclass(frozen=True)
class CellStanding:
    """One cell of a study."""

    cell: Cell
    finished: int
    left: int
    state: str
    """`finished`, `running`, `interrupted` (its process died), `failed` or `left`."""
    seconds: float | None
    """About what its `left` measurements take; null where nothing says."""
    note: str | None
    """Why it failed, or where it goes on."""


@dataclass(frozen=True)
class Standing:
    """A whole study, on this machine."""

    cells: list[CellStanding]
    machine: str
    anchors: int
    """Measurements of the anchor that a run would add."""
    seconds: float | None
    """About what a run would take; null where one measurement is not known."""
    rule_s: float
    """The whole study by rule of thumb."""
    set_aside: list[str]


def of_study(study: Study, out: Path, reuse: str = "strict") -> Standing:
    """What a run of `study` into `out` would find finished, and what is left."""
    plan = runner.make_plan(study, out, reuse=reuse)
    todo: dict[str, list[WorkItem]] = {}
    for item in plan.items:
        todo.setdefault("" if item.role == "anchor" else item.cell.cell_id, []).append(
            item
        )
    done = Counter(item.cell.cell_id for item in plan.reused)
    failed, alive = _failures(out, plan.host.name), _in_hand(study.name)
    cells = []
    for cell in study.cells:
        left = todo.get(cell.cell_id, [])
        folder = checkpoints.folder_of(out, plan.host.name, cell)
        step = checkpoints.step_of(folder)
        state, note = _state(cell.cell_id, left, alive, failed, step)
        seconds = _seconds(left, plan.known)
        cells.append(
            CellStanding(cell, done[cell.cell_id], len(left), state, seconds, note)
        )
    return Standing(
        cells,
        plan.host.name,
        len(todo.get("", [])),
        _seconds(plan.items, plan.known),
        ordering.estimate_s(study),
        plan.set_aside,
    )


def _state(
    cell_id: str,
    left: list[WorkItem],
    alive: Mapping[str, bool],
    failed: Mapping[str, str],
    step: int | None,
) -> tuple[str, str | None]:
    if alive.get(cell_id):
        return "running", None
    if not left:
        return "finished", None
    if step is not None:
        return "interrupted", f"a run goes on at step {step}"
    if cell_id in alive:
        return "interrupted", "its process died; a run measures it again"
    if cell_id in failed:
        return "failed", failed[cell_id]
    return "left", None


def _in_hand(study: str) -> dict[str, bool]:
    """Cells that a process here took up and did not give back; whether it lives."""
    return {
        holder.told.get("cell_id", ""): holder.alive
        for holder in machine.holders()
        if holder.told.get("study") == study
    }


def _failures(out: Path, host: str) -> dict[str, str]:
    """The cells whose last attempt on this machine failed, and why."""
    if not out.is_dir():
        return {}
    rows = results.read(out).table.select([*_ROW, *_SAID])
    rows = rows.filter(pc.equal(rows["machine"], host)).sort_by("finished_at")
    last = {row["cell_id"]: row for row in rows.to_pylist()}
    return {
        cell_id: f"{row['status']}: {row['error_message']}"
        for cell_id, row in last.items()
        if row["status"] != "ok"
    }


def _seconds(items: Iterable[WorkItem], known: list[forecast.Row]) -> float | None:
    every = [forecast.forecast(item, known).seconds for item in items]
    found = [seconds for seconds in every if seconds is not None]
    return sum(found) if len(found) == len(every) else None


# A folder of results ------------------------------------------------------------


def of_results(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """A line of facts for each study and machine, and what was set aside."""
    reading = results.read(path)
    table = reading.table.filter(pc.equal(reading.table["source"], "measured"))
    table = table.select([*_ROW, *_SAID])
    waiting = {
        (folder.parent.name, folder.name): len(files)
        for folder, files in folding.attempt_folders(path).items()
    }
    running = {holder.told.get("study"): holder for holder in machine.holders()}
    facts = []
    for study, host in _pairs(table):
        mine = pc.and_(
            pc.equal(table["study"], study), pc.equal(table["machine"], host)
        )
        rows = table.filter(mine).to_pylist()
        holder = running.get(study)
        facts.append(
            {
                "study": study,
                "machine": host,
                **_counted(rows),
                "unfolded": waiting.get((host, study), 0),
                "running": None
                if holder is None
                else holder.told.get("cell", "") + ("" if holder.alive else " (died)"),
            }
        )
    return facts, reading.set_aside


def _pairs(table: pa.Table) -> list[tuple[str, str]]:
    columns = (table["study"].to_pylist(), table["machine"].to_pylist())
    return sorted(set(zip(*columns, strict=True)))


def _counted(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Cells, and measurements by how their best attempt ended."""
    items: dict[tuple[Any, ...], set[str]] = {}
    for row in rows:
        key = (row["cell_id"], row["repetition"], row["role"])
        items.setdefault(key, set()).add(row["status"])
    own = {key: ended for key, ended in items.items() if key[2] == "cell"}
    times = [row["finished_at"] for row in rows if row["finished_at"] is not None]
    return {
        "cells": len({key[0] for key in own}),
        "finished": sum("ok" in ended for ended in own.values()),
        "failed": sum("ok" not in ended for ended in own.values()),
        "attempts": len(rows),
        "last": f"{max(times):%Y-%m-%d %H:%M} UTC" if times else None,
    }
