"""`mixer-bench verify`: a random sample of finished cells, measured again here."""

from __future__ import annotations

import dataclasses
import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import asked, machine, results, runner
from bench.backend import check_framework
from bench.cli import _print
from bench.errors import MissingPackage, ResultsError, StudyError, unknown
from bench.models import weights
from bench.specs import Cell, Effort, Study
from bench.units import duration, significant

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.verify import Checked, Finished, Sample

FORMATS = ("table", "github", "json", "csv")


def command(
    rows: Annotated[str, typer.Argument(help="The parquet file or folder to verify.")],
    sample: Annotated[int, typer.Option(help="Cells to measure again.")] = 5,
    hours: Annotated[
        float, typer.Option(help="Draw what fits, by the record's own times.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Draws the sample.")] = 0,
    max_change: Annotated[
        float, typer.Option(help="Change of a rate that counts, as a share.")
    ] = 0.05,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    out: Annotated[
        Path, typer.Option(help="Folder for the new rows, one for each call.")
    ] = Path("verified"),
    format: Annotated[str, typer.Option(help="table, github, json or csv.")] = "table",
) -> int:
    """Say of each sampled cell: agreed, differs, or not comparable here."""
    from bench.analysis import verify as verifying

    _check_numbers(sample, hours, max_change, format)
    reading = results.read(rows)
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = results.to_frame(reading.table, samples=True)
    host = machine.fingerprint(device)
    found = [_possible(one) for one in verifying.finished(frame, host.machine_id)]
    verifying.require_some(found, rows)
    drawn = verifying.sample(found, sample, hours, seed)
    if not drawn.cells:
        least = min(one.seconds for one in found if not one.obstacle) / 3600
        raise StudyError(
            f"--hours: {hours:g}: no cell fits; the shortest takes {least:.2g} h"
        )
    _print.note(_said(drawn, hours))
    measured = _measured(drawn.cells, out, rows)
    checked = verifying.check(drawn.cells, measured, frame, max_change)
    ran = [one.rows for one in drawn.cells if not one.obstacle]
    around = _around(ran, measured)
    print(_shown(checked, around, format, max_change))
    verdicts = {one.verdict for one in checked}
    if not verdicts & {"agreed", "differs"}:
        _print.note("nothing was verified: no cell could be compared here")
        return 1
    return 1 if "differs" in verdicts else 0


def _check_numbers(sample: int, hours: float, max_change: float, fmt: str) -> None:
    if fmt not in FORMATS:
        raise StudyError(f"--format: {unknown('format', fmt, FORMATS)}")
    if sample < 1:
        raise StudyError(f"--sample: {sample}: give 1 or more")
    if not 0 < hours < math.inf:
        raise StudyError(f"--hours: {hours:g}: must be a finite number above 0")
    if not 0 < max_change < 1:
        raise StudyError(f"--max-change: {max_change:g}: give a share as in 0.05")


def _possible(one: Finished) -> Finished:
    """The cell, with an obstacle if its framework is not installed here."""
    if one.obstacle:
        return one
    try:
        check_framework(one.cell.framework)
    except MissingPackage as error:
        return dataclasses.replace(one, obstacle=str(error))
    return dataclasses.replace(one, obstacle=_lacking_weights(one.cell))


def _lacking_weights(cell: Cell) -> str:
    """Why a fine-tuning cannot start from its file of weights; empty if it can."""
    if cell.init is None or cell.init_sha256 is None:
        return ""
    if not Path(cell.init).is_file():
        return f"the weights that it starts from, {cell.init}, are not here"
    if weights.file_sha256(cell.init) != cell.init_sha256:
        return f"{cell.init} holds other weights than it started from"
    return ""


def _said(drawn: Sample, hours: float) -> str:
    seconds = sum(one.seconds for one in drawn.cells if not one.obstacle)
    text = (
        f"{len(drawn.cells)} of {drawn.of} finished cells drawn; about "
        f"{duration(seconds)} by their own record"
    )
    if drawn.too_long:
        text += (
            f"; {drawn.too_long} passed over: longer than what is left of {hours:g} h"
        )
    return text


def _measured(cells: list[Finished], out: Path, rows: str) -> pd.DataFrame:
    """Rows of the new measurements, in a folder that nothing else has."""
    todo = [one for one in cells if not one.obstacle]
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder = out / stamp
    if folder.exists() or out.is_file():
        raise ResultsError(f"{folder}: exists; name another folder with --out")
    if not todo:
        return results.to_frame(results.read([]).table, samples=True)
    for mode_cells in _by_effort(todo):
        study = Study(
            name="verify",
            question=f"Does {rows} hold here?",
            cells=tuple(dict.fromkeys(_with_parents(mode_cells))),
            repetitions=5,
            effort=_effort(mode_cells[0]),
        )
        runner.run_study(
            study,
            out=folder,
            command=asked.line(sys.argv[1:]),
            on_item=_progress,
            on_wait=_print.note,
        )
    _print.note(f"new rows in {folder}")
    return results.read_results(folder, samples=True)


def _with_parents(cells: list[Finished]) -> list[Cell]:
    from bench.analysis.verify import again

    parents = [one.parent for one in cells if one.parent is not None]
    return [*parents, *map(again, cells)]


def _by_effort(cells: list[Finished]) -> list[list[Finished]]:
    groups: dict[tuple[Effort, str], list[Finished]] = {}
    for one in cells:
        groups.setdefault((_effort(one), one.cell.device), []).append(one)
    return list(groups.values())


def _effort(one: Finished) -> Effort:
    """As careful as the record."""
    from bench.analysis.key import plain

    row = one.rows.iloc[-1]
    window, goal = plain(row["window_goal_s"]), plain(row["precision_goal"])
    base = Effort()
    return Effort(
        precision=base.precision if goal is None else float(goal),
        window_s=base.window_s if window is None else float(window),
        time_limit_s=max(base.time_limit_s, 3 * one.seconds),
    )


def _progress(progress: runner.Progress) -> None:
    label, status = progress.item.cell.label, progress.row["status"]
    _print.note(f"[{progress.done}/{progress.total}] {label}: {status}")


def _around(
    recorded: list[pd.DataFrame], measured: pd.DataFrame
) -> list[tuple[str, str, str]]:
    import pandas as pd

    from bench.analysis.verify import differing_environment

    if not recorded:
        return []
    return differing_environment(pd.concat(recorded), measured)


def _shown(
    checked: list[Checked],
    around: list[tuple[str, str, str]],
    fmt: str,
    max_change: float,
) -> str:
    facts = [dataclasses.asdict(one) for one in checked]
    if fmt == "csv":
        return _print.data(facts, "csv")
    if fmt == "json":
        differs = [{"what": w, "in_file": a, "here": b} for w, a, b in around]
        return _print.as_json({"differences": differs, "cells": facts})
    return _tables(checked, around, fmt, max_change)


def _tables(
    checked: list[Checked],
    around: list[tuple[str, str, str]],
    fmt: str,
    max_change: float,
) -> str:
    from bench.report.markup import Column, Grid, Group

    text = [Column(name, text=True) for name in ("differs", "in the file", "here")]
    columns = [Column(name, text=True) for name in ("cell", "verdict")]
    columns += map(Column, ("recorded", "here", "ratio [95 %]", "power at 10 %"))
    columns.append(Column("why", text=True))
    notes = [
        f"A rate differs beyond {100 * max_change:g} % by Welch's test, Holm's "
        "adjustment over the sample: any false alarm in at most one verification in "
        "twenty, if both sittings were alike. A sitting on a shared or warm machine "
        "is not: measure twice before you trust `differs`. Rates are geometric means "
        "over repetitions, and their ratio is here over recorded.",
    ]
    grid = Grid(columns, [Group("", [_line(one) for one in checked])], notes)
    head = [_print.table(Grid(text, [Group("", [list(a) for a in around])]), fmt)]
    return "\n\n".join([*(head if around else []), _print.table(grid, fmt)])


def _line(one: Checked) -> list[str]:
    dash = "—"

    def number(value: float | None) -> str:
        return dash if value is None else significant(value)

    ratio: Any = dash
    if one.ratio is not None:
        ratio = f"{one.ratio:.3f} [{one.low:.3f}, {one.high:.3f}]"
    power = dash if one.power is None else f"{one.power:.2f}"
    values = number(one.recorded), number(one.here)
    return [one.cell, one.verdict, *values, ratio, power, one.reason]
