"""`mixer-bench import`: figures from elsewhere, with their source and citation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import imports, record, results, timm_results
from bench.cli import _print
from bench.errors import StudyError, unknown

FORMATS = ("timm", "csv")
_NAMED = 3
"""Models named of those that were left out."""


def command(
    file: Annotated[Path, typer.Argument(help="A CSV; with --from timm also JSON.")],
    source: Annotated[str, typer.Option(help="One word for the origin.")],
    citation: Annotated[str, typer.Option(help="Paper, file or page to cite.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New parquet file.")],
    from_: Annotated[
        str,
        typer.Option("--from", help="timm (its results or benchmark files) or csv."),
    ] = "csv",
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="COLUMN=FIELD of the record; FIELD% for per cents; repeatable.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE for every row; repeatable."),
    ] = None,
) -> None:
    """Write a CSV's rows as a result file; they never mix with measured rows."""
    if from_ not in FORMATS:
        raise StudyError(f"--from: {unknown('format', from_, FORMATS)}")
    if from_ == "timm" and map_:
        raise StudyError("--map: timm's columns are known; use it with --from csv")
    if from_ == "csv" and not map_:
        raise StudyError("--map: give COLUMN=FIELD for each column, as in name=model")
    made = imports.origin(source, citation, set_ or [])
    if from_ == "timm":
        found = timm_results.read(file, made)
    else:
        found = imports.read_csv(file, made, imports.column_map(map_ or []))
    results.write(record.table(found.rows), out)
    print(f"{out} ({_print.counted(len(found.rows), 'row')}, source {source})")
    for line in [*_left_out(found), *_coreless(found)]:
        _print.note(line)


def _left_out(found: imports.Imported) -> list[str]:
    """What of the file is not in the rows, and why."""
    kinds = (
        (found.strangers, "left out: no model of ours"),
        (found.failed, "left out: nothing was measured"),
    )
    lines = []
    for names, why in kinds:
        if names:
            some = ", ".join(names[:_NAMED]) + (", ..." if names[_NAMED:] else "")
            lines.append(f"{_print.counted(len(names), 'line')} {why} ({some})")
    if found.twice:
        lines.append(f"{_print.counted(found.twice, 'line')} stood there twice")
    return lines


def _coreless(found: imports.Imported) -> list[str]:
    """Rates that nothing is divided by: most verbs compare those of one core."""
    lacking = [
        row
        for row in found.rows
        if row["img_per_sec"] is not None and row["img_per_sec_core"] is None
    ]
    if not lacking:
        return []
    return [
        f"{_print.counted(len(lacking), 'row')} with img/sec but no img/sec/core: add "
        "--set cores=1 --set core_kind=gpu, or as many cores as were timed"
    ]
