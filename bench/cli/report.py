"""`mixer-bench report`: one page of a set of results, complete in one file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

import bench
from bench import results
from bench.analysis import select
from bench.cli import _print
from bench.errors import ResultsError


def command(
    rows: Annotated[
        list[str], typer.Argument(help="Parquet files or folders, or: published")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path(
        "report.html"
    ),
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only rows with this column=value; repeatable."),
    ] = None,
) -> None:
    """Write results as one HTML page that opens without a network."""
    from bench.report import html

    if out.is_dir():
        raise ResultsError(f"{out}: is a folder; --out takes a file, as in report.html")
    wanted = select.conditions(where or [], "--where")
    reading = results.read(rows)
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = results.to_frame(reading.table, samples=True)
    frame = select.where(frame, wanted, "--where")
    conditions = [word for text in where or [] for word in ("--where", text)]
    own = shlex.join(["mixer-bench", "report", *rows, *conditions, "--out", str(out)])
    text = html.page(frame, rows, own, bench.__version__)
    _write(out, text)
    print(out)


def _write(out: Path, text: str) -> None:
    """All of it or nothing: an older page stays until the new one is complete."""
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(out)
    except OSError as error:
        raise ResultsError(
            f"{out}: cannot write: {error.strerror}; name another file with --out"
        ) from error
    finally:
        if temporary.exists():
            temporary.unlink()
