"""`mixer-bench status`: what is finished, failed, running, left, and about how long."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import standing, studies
from bench.cli import _print
from bench.errors import StudyError
from bench.units import duration


def command(
    what: Annotated[
        str, typer.Argument(help="A study (YAML, or a shipped one), or results.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="With a study: its results folder.")
    ] = None,
    reuse: Annotated[
        str | None,
        typer.Option(help="With a study: which rows stand, as in run. Default: strict"),
    ] = None,
    format: Annotated[str, typer.Option(help="table, json or csv.")] = "table",
) -> None:
    """Say how far a study is on this machine, or what a results folder holds.

    Reads only: nothing is run, and a run that is going on is not disturbed.
    """
    _print.check_format(format)
    _print.check_names([what])
    if studies.is_one(what):
        _study(what, out or Path("results"), reuse or "strict", format)
        return
    if out is not None or reuse is not None:
        flag = "--reuse" if out is None else "--out"
        raise StudyError(f"{flag}: goes with a study; {what} is a place of results")
    facts, set_aside = standing.of_results(Path(what))
    for message in set_aside:
        _print.note(f"set aside: {message}")
    print(_print.data(facts, format))
    if facts:
        _print.note("what is left, a study says: mixer-bench status STUDY --out FOLDER")
    else:
        _print.note(f"{what}: holds no measured row")


def _study(name: str, out: Path, reuse: str, fmt: str) -> None:
    found = standing.of_study(studies.load(name), out, reuse)
    for message in found.set_aside:
        _print.note(f"set aside: {message}")
    print(_print.data([_facts(one, fmt) for one in found.cells], fmt))
    _print.note(_total(found))


def _facts(one: standing.CellStanding, fmt: str) -> dict[str, Any]:
    seconds: Any = one.seconds if one.left else 0.0
    if fmt == "table":
        seconds = None if seconds is None else duration(seconds) if one.left else ""
    return {
        "cell_id": one.cell.cell_id,
        "cell": one.cell.label,
        "state": one.state,
        "finished": one.finished,
        "left": one.left,
        "time left" if fmt == "table" else "left_s": seconds,
        "note": one.note if fmt != "table" else one.note or "",
    }


def _total(found: standing.Standing) -> str:
    states = Counter(one.state for one in found.cells)
    said = ", ".join(f"{count} {state}" for state, count in states.items())
    left = sum(one.left for one in found.cells) + found.anchors
    head = f"{found.machine}: {len(found.cells)} cells: {said}"
    if not left:
        return f"{head}; nothing is left"
    anchors = f" ({found.anchors} of the anchor)" if found.anchors else ""
    if found.seconds is not None:
        time = f"about {duration(found.seconds)}"
    else:
        time = f"the whole study by rule of thumb {duration(found.rule_s)}"
    return f"{head}; {left} measurements left{anchors}: {time}"
