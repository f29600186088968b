"""Tables 2 and 3 of Tolstikhin et al. (2021), every cell as it is printed there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.key import equal, need, plain
from bench.errors import UserError
from bench.report.bib import cited
from bench.report.markup import DASH, Column, Grid, Group, render


@dataclass(frozen=True)
class _Layout:
    """Columns (title, record column) and headings (regime, text) of one table."""

    table: str
    columns: tuple[tuple[str, str], ...]
    headings: tuple[tuple[str, str], ...]
    marks: bool
    notes: tuple[str, ...]


_ACCURACIES = (
    ("ImNet top-1", "top1"),
    ("ReaL top-1", "real_top1"),
    ("Avg 5 top-1", "avg5_top1"),
)
_COSTS = (
    ("Throughput img/sec/core", "img_per_sec_core"),
    ("TPUv3 core-days", "core_days"),
)
_SOURCE = "Source: Tolstikhin et al. (2021), arXiv:2105.01601v4, Table {}."

_LAYOUTS = {
    2: _Layout(
        table="mixer-table2",
        columns=(*_ACCURACIES, ("VTAB-1k 19 tasks", "vtab19"), *_COSTS),
        headings=(
            ("sota-i21k", "Pre-trained on ImageNet-21k (public)"),
            ("sota-jft", "Pre-trained on JFT-300M (proprietary)"),
            (
                "sota-weak",
                "Pre-trained on unlabelled or weakly labelled data (proprietary)",
            ),
        ),
        marks=False,
        notes=(_SOURCE.format(2),),
    ),
    3: _Layout(
        table="mixer-table3",
        columns=(
            ("Image size", "image_size"),
            ("Pre-Train Epochs", "pretrain_epochs"),
            *_ACCURACIES,
            *_COSTS,
        ),
        headings=(
            ("imagenet+reg", "Pre-trained on ImageNet (with extra regularization)"),
            ("i21k+reg", "Pre-trained on ImageNet-21k (with extra regularization)"),
            ("jft", "Pre-trained on JFT-300M"),
        ),
        marks=True,
        notes=(
            "(‡) Extrapolated by the paper's authors from their JFT-300M runs of the "
            "same model without extra regularisation.",
            "(☎) Numbers given to them by the authors of ViT.",
            _SOURCE.format(3),
        ),
    ),
}


def paper_table(rows: pd.DataFrame, number: int, fmt: str = "github") -> str:
    """Table 2 or 3 of the paper from published rows, in its layout.

    Cells are the printed text. Table 3 marks extrapolated core-days with (‡) and rows
    by personal communication with (☎); Table 2 prints no marks.
    """
    return render(paper_grid(rows, number), fmt)


def paper_grid(rows: pd.DataFrame, number: int) -> Grid:
    """The same before it is written; its facts hold numbers beside the printed text."""
    if number not in _LAYOUTS:
        raise UserError(f"unknown paper table {number}; known: 2, 3")
    layout = _LAYOUTS[number]
    need(rows, ("table", "regime", "printed", "printed_model"), f"paper table {number}")
    mine = rows[equal(rows, "table", layout.table)]
    if mine.empty:
        raise UserError(
            f"no published rows of Table {number} among these results; "
            "add `published` to the results to read"
        )
    groups = [
        Group(
            text,
            [_cells(row, layout) for _, row in part.iterrows()],
            [_facts(row, layout) for _, row in part.iterrows()],
        )
        for regime, text in layout.headings
        for part in [mine[equal(mine, "regime", regime)]]
    ]
    columns = [Column("", text=True), *(Column(title) for title, _ in layout.columns)]
    return Grid(columns, groups, list(layout.notes), cited(mine))


_IS = (
    *("source", "table", "machine", "core_kind", "model", "printed_model"),
    *("pretrain_dataset", "image_size"),
)
_FROM = ("core_days_halfwidth", "accuracy_source", "citation", "run_id")


def _facts(row: pd.Series[Any], layout: _Layout) -> dict[str, Any]:
    """The numbers of a line, the text printed for each, and where they are from."""
    values = {str(name): plain(value) for name, value in row.items()}
    guessed = values["core_days_extrapolated"] is not None
    values["core_days_kind"] = "extrapolated" if guessed else "measured"
    values["core_days"] = values[f"core_days_{values['core_days_kind']}"]
    printed = {k: None if v == DASH else v for k, v in dict(row["printed"]).items()}
    found = {name: values[name] for name in _IS}
    for _, name in layout.columns:
        text = {f"{name}_printed": printed[name]} if name in printed else {}
        found |= {name: values[name], **text}
    found |= {name: values[name] for name in ("core_days_kind", *_FROM)}
    return {**found, "attempt_ids": [str(row["attempt_id"])]}


def _cells(row: pd.Series[Any], layout: _Layout) -> list[str]:
    printed = dict(row["printed"])
    name = str(row["printed_model"])
    if layout.marks and "telephone" in str(plain(row["accuracy_source"])):
        name += " (☎)"
    if layout.marks and plain(row["core_days_extrapolated"]) is not None:
        printed["core_days"] += "(‡)"
    return [name, *(_cell(row, printed, column) for _, column in layout.columns)]


def _cell(row: pd.Series[Any], printed: dict[str, str], column: str) -> str:
    if column in ("image_size", "pretrain_epochs"):
        return f"{row[column]:.0f}"
    return printed.get(column, DASH)
