"""Measured rows in the columns of the paper's Table 3, dashes where a part is missing.

A line is a model row of the join: core-days and accuracies of its training, throughput
of the same model on the same machine. Nothing is filled in from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.analysis.against import ours
from bench.analysis.join import model_rows
from bench.analysis.key import by_key, equal, plain
from bench.errors import UserError
from bench.report.citation import citation
from bench.report.markup import DASH, Column, Grid, Group, render
from bench.units import percent, significant

_SORT = ["core_days", "img_per_sec_core", "model"]
_ORDER = [True, False, True]


def layout_table(rows: pd.DataFrame, fmt: str = "table") -> str:
    """Table 3 of the paper, filled from measured rows."""
    models = ours(model_rows(rows[equal(rows, "source", "measured")]))
    if models.empty:
        raise UserError(
            "--layout paper: no finished measured row among these results; "
            "the paper's own tables are: mixer-bench table published"
        )
    groups, notes = [], []
    for number, (key, part) in enumerate(
        by_key(_one_track(models), "img_per_sec_core", "top1", "core_days"), start=1
    ):
        ranked = part.sort_values(_SORT, ascending=_ORDER, kind="stable")
        lines = [_line(row) for row in ranked.to_dict("records")]
        groups.append(Group(f"[{number}] {_heading(key)}", lines))
        notes.append(f"[{number}] {citation(part)}")
    return render(Grid(_columns(models), groups, notes, "pre-training"), fmt)


def _one_track(models: pd.DataFrame) -> pd.DataFrame:
    """Rows without throughput join those with, where there is one way of timing."""
    found = models.copy()
    timed = found["img_per_sec_core"].notna()
    for name in ("mode", "track", "input"):
        ways = found.loc[timed, name]
        if ways.nunique(dropna=False) == 1:
            found.loc[~timed, name] = ways.iloc[0]
    return found


def _columns(models: pd.DataFrame) -> list[Column]:
    tested = [str(name) for name in models["eval_dataset"].dropna().unique()]
    accuracy = f"{tested[0]} top-1" if len(tested) == 1 else "top-1"
    kinds = [str(kind) for kind in models["core_kind"].dropna().unique()]
    cost = f"{kinds[0]} core-days" if len(kinds) == 1 else "core-days"
    titles = ["Image size", "Pre-Train Epochs", accuracy, "ReaL top-1", "Avg 5 top-1"]
    titles += ["Throughput img/sec/core", cost]
    names = [Column("", text=True), Column("framework", text=True)]
    return [*names, *map(Column, titles)]


def _heading(key: Mapping[str, Any]) -> str:
    learned, tested = key["pretrain_dataset"], key["eval_dataset"]
    words = [f"Pre-trained on {learned}" if learned else "Not trained here"]
    words += [f"tested on {tested}"] if tested and tested != learned else []
    return ", ".join([*words, str(key["machine"]), str(key["dtype"])])


def _line(row: Mapping[Any, Any]) -> list[str]:
    row = {str(name): plain(value) for name, value in row.items()}
    accuracies = [row[name] for name in ("top1", "real_top1", "avg5_top1")]
    mark = "(‡)" if row["core_days_kind"] == "extrapolated" else ""
    cost, rate = row["core_days"], row["img_per_sec_core"]
    return [
        str(row["model"]),
        str(row["framework"]),
        _whole(row["image_size"]),
        DASH if row["epochs"] is None else f"{row['epochs']:.3g}",
        *(DASH if share is None else percent(share, 2) for share in accuracies),
        DASH if rate is None else significant(rate),
        DASH if cost is None else significant(cost) + mark,
    ]


def _whole(value: float | None) -> str:
    return DASH if value is None else f"{value:.0f}"
