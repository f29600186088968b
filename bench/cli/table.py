"""`mixer-bench table`: the paper's tables, or a comparison table of your rows."""

from __future__ import annotations

from typing import Annotated

import typer

from bench import models, results
from bench.cli import _print
from bench.errors import ResultsError, StudyError


def command(
    rows: Annotated[
        list[str], typer.Argument(help="Parquet files or folders, or: published")
    ],
    format: Annotated[
        str, typer.Option(help="table, github, latex, html, csv or json.")
    ] = "table",
    baseline: Annotated[
        str | None, typer.Option(help="Model that rates are given relative to.")
    ] = None,
) -> None:
    """Print the paper's two tables (published), or your rows side by side."""
    from bench.report import paper

    if baseline is not None:
        baseline = models.canonical_name(baseline)
    reading = results.read(rows)
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = results.to_frame(reading.table, samples=True)
    published = frame[frame["source"] == "published"]
    measured = frame[frame["source"] == "measured"]
    parts = []
    if len(published):
        parts += [paper.paper_table(published, number, format) for number in (2, 3)]
    if baseline is not None and not len(measured):
        raise StudyError(
            "--baseline: the paper's tables are printed as they stand; "
            "give it with measured rows"
        )
    parts += _print.comparison(measured, format, baseline)
    if not parts:
        raise ResultsError(f"{', '.join(rows)}: no rows; nothing to tabulate")
    print("\n\n".join(parts))
    for line in _print.drift_lines(measured):
        _print.note(line)
