"""`mixer-bench table`: the paper's tables, or a comparison table of any rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bench import models, results
from bench.analysis import select
from bench.cli import _print
from bench.errors import ResultsError, StudyError, unknown

if TYPE_CHECKING:
    import pandas as pd

LAYOUTS = ("comparison", "paper")


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
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only rows with this column=value; repeatable."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="Column to sort by, as in top1; default: img_per_sec_core."),
    ] = None,
    pivot: Annotated[
        str | None,
        typer.Option(help="One column for each value of this, as in framework."),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(help="With --pivot: img_per_sec_core (default), top1, core_days."),
    ] = None,
    layout: Annotated[
        str, typer.Option(help="comparison, or paper: the columns of its Table 3.")
    ] = "comparison",
    bib: Annotated[
        bool, typer.Option("--bib", help="Only the BibTeX of the papers cited.")
    ] = False,
) -> None:
    """Print the paper's two tables (published), or rows side by side.

    Measured and imported rows stand in one table, in groups of their own: every group
    is of one source, and no ratio spans two.
    """
    if layout not in LAYOUTS:
        raise StudyError(f"--layout: {unknown('layout', layout, LAYOUTS)}")
    if layout == "paper" and (baseline or sort):
        raise StudyError("--layout paper: takes neither --baseline nor --sort")
    _check_pivot(pivot, value, baseline or sort or layout != "comparison")
    given = (pivot, baseline, sort, layout != "comparison", format != "table")
    if bib and any(given):
        raise StudyError("--bib: prints BibTeX alone; give it with rows and --where")
    if baseline is not None:
        baseline = models.canonical_name(baseline)
    frame = _rows(rows, where or [])
    if bib:
        parts = [_bibtex(frame)]
    elif pivot is not None:
        parts = _pivoted(frame, pivot, value or "img_per_sec_core", format)
    elif layout == "paper":
        from bench.report.layout import layout_table

        parts = [layout_table(frame, format)]
    elif where or sort:
        parts = _print.comparison(frame, format, baseline, sort or "img_per_sec_core")
    else:
        parts = _as_they_stand(frame, format, baseline)
    if not parts:
        raise ResultsError(f"{', '.join(rows)}: no rows; nothing to tabulate")
    print("\n\n".join(parts))
    if bib:
        return
    measured = frame[frame["source"] == "measured"]
    for line in _print.drift_lines(measured):
        _print.note(line)


def _rows(names: list[str], where: list[str]) -> pd.DataFrame:
    from bench.analysis import join

    wanted = select.conditions(where, "--where")
    reading = results.read(names, join.NESTED)
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = results.to_frame(reading.table, samples=True)
    return select.where(frame, wanted, "--where")


def _check_pivot(pivot: str | None, value: str | None, other: object) -> None:
    if value is not None and pivot is None:
        raise StudyError(f"--value: {value}: goes with --pivot COLUMN")
    if pivot is not None and other:
        raise StudyError("--pivot: takes neither --baseline, --sort nor --layout")


def _pivoted(frame: pd.DataFrame, column: str, value: str, fmt: str) -> list[str]:
    """Inference with all that was trained, then training steps."""
    from bench.report import pivot

    stepped = frame["mode"].eq("train").fillna(False).astype(bool)
    if value != "img_per_sec_core" or stepped.all():
        mode = "train" if stepped.all() else "infer"
        return [_print.table(pivot.pivot_grid(frame, column, value, mode), fmt)]
    grids = [pivot.pivot_grid(frame[~stepped], column, value, "infer")]
    if stepped.any():
        grids.append(pivot.pivot_grid(frame[stepped], column, value, "train"))
    return [_print.table(grid, fmt) for grid in grids]


def _as_they_stand(frame: pd.DataFrame, fmt: str, baseline: str | None) -> list[str]:
    """The paper's tables as printed, then measured and imported rows, grouped apart."""
    from bench.report import paper

    printed = frame["source"] == "published"
    published, others = frame[printed], frame[~printed]
    if baseline is not None and not len(others):
        raise StudyError(
            "--baseline: the paper's tables are printed as they stand; "
            "give it with measured rows, or choose rows with --where"
        )
    parts = []
    if len(published):
        parts += [paper.paper_table(published, number, fmt) for number in (2, 3)]
    return parts + _print.comparison(others, fmt, baseline)


def _bibtex(frame: pd.DataFrame) -> str:
    """The papers behind the published rows; always the one whose claims these are."""
    from bench.report import bib

    return bib.bibtex(dict.fromkeys([bib.MIXER, *bib.cited(frame)]))
