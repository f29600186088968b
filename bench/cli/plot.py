"""`mixer-bench plot`: redraw the figures from rows alone, with no framework."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import results
from bench.cli import _print
from bench.errors import ResultsError, StudyError


def command(
    rows: Annotated[
        list[str], typer.Argument(help="Parquet files or folders, or: published")
    ],
    figure: Annotated[
        list[str] | None, typer.Option(help="Only this figure; repeatable.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Figures folder.")] = Path("plots"),
    format: Annotated[str, typer.Option(help="png,svg,pdf")] = "png,svg,pdf",
    width: Annotated[str, typer.Option(help="3.25in (a column) or 6.75in.")] = "6.75in",
) -> None:
    """Draw every figure that the rows allow, beside the published rows."""
    from bench.plots import gallery

    if out.exists() and not out.is_dir():
        raise ResultsError(f"{out}: is a file; --out takes a folder")
    reading = results.read([*rows, "published"])
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = results.to_frame(reading.table, samples=True)
    if "published" not in rows and not (frame["source"] != "published").any():
        _print.note(f"{', '.join(rows)}: no rows; the published ones are drawn alone")
    drawn = gallery.draw_all(
        frame,
        out,
        names=figure,
        formats=list(dict.fromkeys(filter(None, format.split(",")))),
        width_in=inches(width),
    )
    if drawn.written:
        drawn.written.append(gallery.write_page(out, rows, drawn.skipped))
    for path in drawn.written:
        print(path)
    for name, sentence in drawn.skipped.items():
        _print.note(f"{name}: {sentence}")


def inches(text: str) -> float:
    """`3.25in` as a number."""
    number = text.strip().lower().removesuffix("in")
    try:
        return float(number)
    except ValueError as error:
        raise StudyError(
            f"--width: {text!r}: give inches, such as 3.25in (a column)"
        ) from error
