"""`mixer-bench plot`: redraw the figures from rows alone, with no framework."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import _print
from bench.errors import ResultsError, StudyError

if TYPE_CHECKING:
    import pandas as pd

    from bench.plots.gallery import Gallery


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
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only rows with this column=value; repeatable."),
    ] = None,
) -> None:
    """Draw every figure that the rows allow, beside the published rows.

    --where chooses among your rows; among the published ones only if they are named.
    """
    from bench.plots import gallery

    if out.exists() and not out.is_dir():
        raise ResultsError(f"{out}: is a file; --out takes a folder")
    asked = _asked(figure, format, width)
    with _no_garbage_collected():
        processes = gallery.begin(figure)  # before what takes long to import here
        frame = _read(rows, where or [])
        made = gallery.drawn(frame, out, **asked, processes=processes)
        skipped = _told(made, out, [*rows, *(f"--where={one}" for one in where or [])])
        for name, sentence in skipped.items():
            _print.note(f"{name}: {sentence}")
        _tell_of_imports(frame, figure)


@contextmanager
def _no_garbage_collected() -> Iterator[None]:
    """Looking for garbage takes a tenth of the time of a process that ends so soon."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _told(made: Iterable[Gallery], out: Path, again: list[str]) -> dict[str, str]:
    """Name each file once it is there; what had nothing to show, and why."""
    written, skipped = False, dict[str, str]()
    for part in made:
        for path in part.written:
            print(path, flush=True)
        written |= bool(part.written)
        skipped |= part.skipped
    if written:
        from bench.plots import gallery

        print(gallery.write_page(out, again, skipped))
    return skipped


def _asked(figure: list[str] | None, format: str, width: str) -> dict[str, Any]:
    """What is wanted, refused before anything is read if it cannot be."""
    from bench.plots import gallery

    formats = list(dict.fromkeys(filter(None, format.split(","))))
    gallery.check(figure or (), formats, inches(width))
    return {"names": figure, "formats": formats, "width_in": inches(width)}


def _read(rows: list[str], where: list[str]) -> pd.DataFrame:
    """The rows to draw, beside the published ones; of the columns what figures need."""
    from bench import results
    from bench.analysis import select
    from bench.plots import gallery

    wanted = select.conditions(where, "--where")
    reading = results.read([*rows, "published"], gallery.NESTED)
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = results.to_frame(reading.table, samples=True)
    if "published" not in rows and not (frame["source"] != "published").any():
        _print.note(f"{', '.join(rows)}: no rows; the published ones are drawn alone")
    if not wanted:
        return frame
    beside = (frame["source"] == "published") & ("published" not in rows)
    kept = select.where(frame[~beside.astype(bool)], wanted, "--where")
    return frame.loc[kept.index.union(frame.index[beside.astype(bool)])]


def _tell_of_imports(frame: pd.DataFrame, figure: list[str] | None) -> None:
    """How many imported rows no figure shows: only one divides by their own model."""
    from bench.analysis.key import imported
    from bench.plots import gallery

    frame = gallery.shown(frame)  # others are no point, whoever measured them
    left = int(imported(frame).sum())
    if not left:
        return
    if not figure or "relative" in figure:
        from bench.plots import relative

        left -= relative.imports_drawn(frame)
    if left:
        rows = _print.counted(left, "imported row")
        _print.note(
            f"{rows} not drawn: relative alone shows such, at 224 px where the source "
            "has Mixer-B/16, too; mixer-bench table shows all"
        )


def inches(text: str) -> float:
    """`3.25in` as a number."""
    number = text.strip().lower().removesuffix("in")
    try:
        return float(number)
    except ValueError as error:
        raise StudyError(
            f"--width: {text!r}: give inches, such as 3.25in (a column)"
        ) from error
