"""`mixer-bench check`: can these results be trusted, or this study be run."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from bench import checking, lineage, ordering, studies
from bench.cli import _print


def command(
    paths: Annotated[
        list[str], typer.Argument(help="Result files and folders, or studies (YAML).")
    ],
    format: Annotated[str, typer.Option(help="table, json or csv.")] = "table",
) -> int:
    """Check result files row by row, or a study without running it.

    Results: one line for each fault, and exit code 1 if there is one. A study that
    cannot be run is one line and exit code 2.
    """
    _print.check_format(format)
    _print.check_names(paths)
    named = [name for name in paths if studies.is_one(name)]
    rows = [name for name in paths if name not in named]
    facts = [_study(name) for name in named]
    found = checking.check_results(rows) if rows else checking.Report()
    if format == "table":
        _lines(facts, found)
    else:
        faults = [_facts(one) for one in found.faults]
        print(_print.data([*facts, *faults], format))
    if rows:
        _print.note(
            f"{_print.counted(found.files, 'file')}, "
            f"{_print.counted(found.rows, 'row')}: "
            f"{_print.counted(len(found.faults), 'fault')}"
        )
    return 1 if found.faults else 0


def _study(name: str) -> dict[str, Any]:
    """What a valid study asks for; an invalid one raises."""
    study = studies.load(name)
    lineage.check_files(study)
    return {
        "study": study.source,
        "cells": len(study.cells),
        "measurements": sum(1 for _ in ordering.work_items(study)),
        "modes": dict(Counter(cell.mode for cell in study.cells)),
        "frameworks": study.frameworks,
    }


def _lines(facts: list[dict[str, Any]], found: checking.Report) -> None:
    for one in facts:
        modes = ", ".join(f"{count} {mode}" for mode, count in one["modes"].items())
        print(
            f"{one['study']}: fine: {one['cells']} cells ({modes}), "
            f"{one['measurements']} measurements, {' and '.join(one['frameworks'])}"
        )
    for fault in found.faults:
        print(fault.line)


def _facts(one: checking.Fault) -> dict[str, Any]:
    return {
        "file": one.file,
        "attempt_id": one.attempt_id,
        "column": one.column,
        "fault": one.said,
    }
