"""`mixer-bench report`: one page of a set of results, complete in one file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import bench
from bench import results
from bench.analysis import select
from bench.cli import _print, claims
from bench.errors import ResultsError

if TYPE_CHECKING:
    import pandas as pd

    from bench.report.verdicts import Judged


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
    text = html.page(
        frame,
        rows,
        _again(rows, where or [], out),
        bench.__version__,
        judged=_judged(frame, rows),
        set_aside=reading.set_aside,
    )
    _write(out, text)
    print(out)


def _again(rows: list[str], where: Sequence[str], out: Path) -> list[str]:
    """The commands that redraw this; the file's folder is the writer's own affair."""
    which = [word for text in where for word in ("--where", text)]
    return [
        shlex.join(["mixer-bench", "report", *rows, *which, "--out", out.name]),
        shlex.join(["mixer-bench", "table", *rows, *which]),
        shlex.join(["mixer-bench", "plot", *rows, *which]),
    ]


def _judged(frame: pd.DataFrame, rows: list[str]) -> list[Judged]:
    """The claims of the paper by these rows, beside the published ones."""
    import pandas as pd

    from bench.analysis.claims import answer

    published = results.to_frame(results.read(["published"]).table, samples=True)
    mine = frame[frame["source"] != "published"]
    named = [name for name in rows if name != "published"]
    found = answer(claims.with_sizes(pd.concat([mine, published], ignore_index=True)))
    return [(one, claims.figure_of(one, named)) for one in found]


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
