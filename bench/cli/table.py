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

    from bench.report.markup import Grid

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
    _check(format, layout, pivot, value, baseline or sort)
    if bib and any((pivot, baseline, sort, layout != "comparison", format != "table")):
        raise StudyError("--bib: prints BibTeX alone; give it with rows and --where")
    if baseline is not None:
        baseline = _model(baseline)
    frame = _rows(rows, where or [])
    if bib:
        print(_bibtex(frame))
        return
    if pivot is not None:
        grids = _pivoted(frame, pivot, value or "img_per_sec_core")
    elif layout == "paper":
        grids = _in_the_papers_layout(frame)
    else:
        grids = _side_by_side(frame, bool(where or sort), baseline, sort)
    if not grids:
        raise ResultsError(f"{', '.join(rows)}: no rows; nothing to tabulate")
    print(_print.tables(grids, format))
    for line in _print.drift_lines(frame[frame["source"] == "measured"]):
        _print.note(line)


def _model(baseline: str) -> str:
    """The name as rows spell it."""
    try:
        return models.canonical_name(baseline)
    except StudyError as error:
        raise StudyError(f"--baseline: {error}") from error


def _check(
    fmt: str, layout: str, pivot: str | None, value: str | None, ranked: str | None
) -> None:
    """Refuse what cannot go together, before anything is read."""
    from bench.report import markup
    from bench.report import pivot as pivots

    if fmt not in markup.FORMATS:
        raise StudyError(f"--format: {unknown('format', fmt, markup.FORMATS)}")
    if layout not in LAYOUTS:
        raise StudyError(f"--layout: {unknown('layout', layout, LAYOUTS)}")
    if layout == "paper" and ranked:
        raise StudyError("--layout paper: takes neither --baseline nor --sort")
    if value is not None and pivot is None:
        raise StudyError(f"--value: {value}: goes with --pivot COLUMN")
    if pivot is not None and (ranked or layout != "comparison"):
        raise StudyError("--pivot: takes neither --baseline, --sort nor --layout")
    if pivot is not None:
        pivots.check(pivot, value or "img_per_sec_core")


def _rows(names: list[str], where: list[str]) -> pd.DataFrame:
    from bench.analysis import join

    wanted = select.conditions(where, "--where")
    reading = results.read(names, join.NESTED)
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = results.to_frame(reading.table, samples=True)
    return select.where(frame, wanted, "--where")


def _pivoted(frame: pd.DataFrame, column: str, value: str) -> list[Grid]:
    """Inference with all that was trained, then training steps."""
    from bench.report.pivot import pivot_grid

    stepped = frame["mode"].eq("train").fillna(False).astype(bool)
    if value != "img_per_sec_core" or stepped.all():
        mode = "train" if stepped.all() else "infer"
        return [pivot_grid(frame, column, value, mode)]
    parts = {"infer": frame[~stepped], "train": frame[stepped]}
    held = {mode: part for mode, part in parts.items() if part[value].notna().any()}
    return [
        pivot_grid(part, column, value, mode)
        for mode, part in (held or {"infer": parts["infer"]}).items()
    ]


def _in_the_papers_layout(frame: pd.DataFrame) -> list[Grid]:
    from bench.report.layout import layout_grid

    return [layout_grid(frame)]


def _side_by_side(
    frame: pd.DataFrame, chosen: bool, baseline: str | None, sort: str | None
) -> list[Grid]:
    """The paper's tables as printed, unless rows of them were chosen; then the rest."""
    from bench.report import paper, tables

    printed = frame["source"] == "published"
    published, others = frame[printed], frame[~printed]
    if chosen:
        published, others = frame[:0], frame
    if baseline is not None and not len(others):
        raise StudyError(
            "--baseline: the paper's tables are printed as they stand; "
            "give it with measured rows, or choose rows with --where"
        )
    papers = [paper.paper_grid(published, n) for n in (2, 3) if len(published)]
    rest = tables.comparison_grids(others, baseline, sort or "img_per_sec_core")
    return [*papers, *rest]


def _bibtex(frame: pd.DataFrame) -> str:
    """The papers behind the published rows; always the one whose claims these are."""
    from bench.report import bib

    return bib.bibtex(dict.fromkeys([bib.MIXER, *bib.cited(frame)]))
