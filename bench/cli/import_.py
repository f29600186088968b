"""`mixer-bench import`: figures from elsewhere, with their source and citation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import imports, record, results
from bench.cli import _print
from bench.errors import StudyError, unknown


def command(
    file: Annotated[Path, typer.Argument(help="A CSV file.")],
    source: Annotated[str, typer.Option(help="One word for the origin.")],
    citation: Annotated[str, typer.Option(help="Paper, file or page to cite.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New parquet file.")],
    from_: Annotated[
        str, typer.Option("--from", help="timm (its results or benchmark CSV) or csv.")
    ] = "csv",
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="COLUMN=FIELD of the record; repeatable."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE for every row; repeatable."),
    ] = None,
) -> None:
    """Write a CSV's rows as a result file; they never mix with measured rows."""
    if from_ not in imports.FORMATS:
        raise StudyError(f"--from: {unknown('format', from_, imports.FORMATS)}")
    if from_ == "timm" and map_:
        raise StudyError("--map: timm's columns are known; use it with --from csv")
    if from_ == "csv" and not map_:
        raise StudyError("--map: give COLUMN=FIELD for each column, as in name=model")
    made = imports.origin(source, citation, set_ or [])
    if from_ == "timm":
        found = imports.read_timm(file, made)
    else:
        found = imports.read_csv(file, made, imports.column_map(map_ or []))
    results.write(record.table(found.rows), out)
    print(f"{out} ({len(found.rows)} rows, source {source})")
    if found.left_out:
        _print.note(f"{found.left_out} lines left out: models of other families")
