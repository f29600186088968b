"""What the cells of a study will take, by finished rows or probes; never guessed.

A row of the same cell says it directly. Else a row of the same step (mode, model,
framework, input, dtype, batch) gives seconds per step and the rest of an attempt. A
probe is such a row, of a few real steps, made for the purpose and not kept.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench.specs import SPEED_MODES, Cell, Effort, WorkItem
from bench.units import core_days

PROBE_STEPS = 24
PROBE_WINDOW_S = 0.5
_STEP = ("mode", "model", "framework", "image_size", "dtype", "pool", "tokens_mlp_dim")
COLUMNS = (
    *_STEP,
    *("cell_id", "role", "status", "machine_id", "batch_size", "batch_rule", "cores"),
    *("started_at", "finished_at", "window_goal_s", "measured_s", "steps", "dataset"),
    *("data_examples", "data_fraction", "unique_images", "peak_memory_bytes"),
    "host_peak_memory_bytes",
)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Forecast:
    """What one attempt will take; null where nothing says it."""

    seconds: float | None
    peak_bytes: float | None = None
    core_days: float | None = None
    basis: str = ""
    """`same cell`, `same step` or `probe`; empty without a forecast."""


NONE = Forecast(None)


def usable(table: pa.Table, machine_id: str) -> list[Row]:
    """Finished rows of this machine, with the columns that a forecast needs."""
    kept = pc.and_(
        pc.equal(table["machine_id"], machine_id), pc.equal(table["status"], "ok")
    )
    rows: list[Row] = table.filter(kept).select(list(COLUMNS)).to_pylist()
    return rows


def forecast(item: WorkItem, rows: Iterable[Row]) -> Forecast:
    """What `item` will take by these rows, the same cell before the same step."""
    rows = [row for row in rows if _same_step(row, item.cell)]
    same = [row for row in rows if row["cell_id"] == item.cell.cell_id]
    if same:
        return _forecast(item, same, "same cell")
    basis = "probe" if any(row.get("probe") for row in rows) else "same step"
    return _forecast(item, rows, basis) if rows else NONE


def _same_step(row: Row, cell: Cell) -> bool:
    auto = cell.batch_size == "auto"
    if auto != (row["batch_rule"] == "auto"):
        return False
    batch = auto or row["batch_size"] == cell.batch_size
    return batch and all(row[name] == getattr(cell, name) for name in _STEP)


def _forecast(item: WorkItem, rows: Sequence[Row], basis: str) -> Forecast:
    peaks = [
        row["peak_memory_bytes"] or row["host_peak_memory_bytes"]
        for row in rows
        if row["peak_memory_bytes"] or row["host_peak_memory_bytes"]
    ]
    peak = statistics.median(peaks) if peaks else None
    if item.cell.mode in SPEED_MODES:
        return Forecast(_speed_s(rows, item.effort), peak, None, basis)
    steps = _steps(item.cell, rows)
    timed = [row for row in rows if row["measured_s"] and row["steps"]]
    if steps is None or not timed:
        return NONE
    step_s = statistics.median(row["measured_s"] / row["steps"] for row in timed)
    rest_s = statistics.median(_seconds(row) - row["measured_s"] for row in timed)
    cores = timed[-1]["cores"]
    days = core_days(cores, steps * step_s)
    return Forecast(rest_s + steps * step_s, peak, days, basis)


def _speed_s(rows: Sequence[Row], effort: Effort) -> float:
    """Their time, with this effort's window in place of theirs."""
    return max(
        0.0,
        statistics.median(
            _seconds(row) - (row["window_goal_s"] or effort.window_s) + effort.window_s
            for row in rows
        ),
    )


def _seconds(row: Row) -> float:
    return float((row["finished_at"] - row["started_at"]).total_seconds())


def _steps(cell: Cell, rows: Sequence[Row]) -> int | None:
    """Optimiser steps of a training cell; None if the size of its data is not known."""
    if cell.total_steps is not None:
        return cell.total_steps
    images = _images(cell, rows)
    if images is None or cell.total_epochs is None or cell.batch_size == "auto":
        return None
    return max(1, round(cell.total_epochs * images / cell.batch_size))


def _images(cell: Cell, rows: Sequence[Row]) -> float | None:
    if cell.data_examples is not None:
        return cell.data_examples
    for row in rows:
        whole = row["data_examples"] is None and row["data_fraction"] is None
        if row["dataset"] == cell.dataset and row["unique_images"]:
            if row["data_fraction"] == cell.data_fraction and not row["data_examples"]:
                return float(row["unique_images"])
            if whole and cell.data_fraction is not None:
                return float(row["unique_images"]) * cell.data_fraction
    return None


# Probes ----------------------------------------------------------------------


def probes(items: Sequence[WorkItem], rows: Sequence[Row]) -> list[WorkItem]:
    """The short items to run so that each of `items` has a forecast: one for a step."""
    made: dict[tuple[Any, ...], WorkItem] = {}
    for item in items:
        if forecast(item, rows) == NONE:
            key = (*(getattr(item.cell, n) for n in _STEP), item.cell.batch_size)
            made.setdefault(key, _short(item))
    return list(made.values())


def _short(item: WorkItem) -> WorkItem:
    effort = dataclasses.replace(item.effort, window_s=PROBE_WINDOW_S, precision=0.5)
    cell = item.cell
    if cell.mode not in SPEED_MODES:
        cell = dataclasses.replace(cell, total_steps=PROBE_STEPS, total_epochs=None)
    return dataclasses.replace(item, cell=cell, effort=effort)


def probe_row(
    item: WorkItem, run: Callable[[WorkItem], dict[str, Any]], now: Callable[[], Any]
) -> Row:
    """Run a short item; its row, or why it failed under `error_message`."""
    started = now()
    values = run(item)
    cell = item.cell
    auto = cell.batch_size == "auto"
    facts = dict.fromkeys(COLUMNS) | {name: getattr(cell, name) for name in _STEP}
    return {
        **facts,
        "dataset": cell.dataset,
        "data_examples": cell.data_examples,
        "data_fraction": cell.data_fraction,
        "batch_rule": "auto" if auto else "fixed",
        "window_goal_s": item.effort.window_s,
        **({} if auto else {"batch_size": cell.batch_size}),
        **values,
        "probe": True,
        "cell_id": "",  # shorter than the cell it stands for
        "started_at": started,
        "finished_at": now(),
    }


# Afterwards ------------------------------------------------------------------


@dataclass(frozen=True)
class Errors:
    """How wrong the forecasts of finished attempts were."""

    attempts: int
    predicted_s: float
    taken_s: float
    median: float
    """|taken / predicted - 1|, median over attempts."""
    core_days: float | None
    """The same of core-days, over the attempts that were told them."""


def errors(rows: Sequence[Row]) -> Errors | None:
    """Over the rows that carry a forecast; None without any."""
    known = [
        (float(row["predicted_s"]), _seconds(row))
        for row in rows
        if row.get("predicted_s") and row["status"] == "ok"
    ]
    if not known:
        return None
    days = [
        (float(row["predicted_core_days"]), float(row["core_days_measured"]))
        for row in rows
        if row["status"] == "ok"
        and row.get("predicted_core_days")
        and row.get("core_days_measured")
    ]
    return Errors(
        len(known),
        sum(predicted for predicted, _ in known),
        sum(taken for _, taken in known),
        _median_off(known),
        _median_off(days) if days else None,
    )


def _median_off(pairs: Sequence[tuple[float, float]]) -> float:
    return statistics.median(abs(taken / predicted - 1) for predicted, taken in pairs)
