"""A pivot: one line per model, one column per value of a setting, one number in each.

Columns stand side by side under their own heading; no number is averaged, divided or
made bold across them. Two rows that would share a cell are refused, never merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.analysis.join import model_rows
from bench.analysis.key import key_columns, plain, records
from bench.errors import UserError, unknown
from bench.report.data import unit_of
from bench.report.facts import ids
from bench.report.markup import DASH, Column, Grid, Group
from bench.report.tables import core_days_text, rate_text, top1_text
from bench.report.varying import setting, title_of, varying_settings

VALUES = {
    "img_per_sec_core": rate_text,
    "top1": top1_text,
    "core_days": core_days_text,
}
"""What a cell can hold, and how it is written."""
_LINE = ("model", "framework", "image_size", "batch_size", "unique_images")
PIVOTS = (
    *("framework", "dtype", "machine", "track", "variant", "image_size", "batch_size"),
    *("eval_dataset", "pretrain_dataset", "unique_images", "environment_id", "peer"),
)
"""Settings whose values can be columns."""


def check(column: str, value: str) -> None:
    """Refuse an unknown column or value."""
    if column not in PIVOTS:
        raise UserError(f"--pivot: {unknown('column', column, PIVOTS)}")
    if value not in VALUES:
        raise UserError(f"--value: {unknown('number', value, VALUES)}")


def pivot_grid(rows: pd.DataFrame, column: str, value: str, mode: str) -> Grid:
    """One number of each model under each value of `column`.

    Raises:
        UserError: an unknown column or value, nothing to show, or two rows for a cell.
    """
    check(column, value)
    models = model_rows(rows, mode)
    models = models[models[value].notna()]
    if models.empty:
        raise UserError(f"--pivot {column}: no row has {value}; choose another --value")
    by = _telling(models, column, value)
    heads = list(dict.fromkeys(_word(one) for one in models[column]))
    lines: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in records(models):
        cells = lines.setdefault(tuple(_word(row[name]) for name in by), {})
        head = _word(row[column])
        if head in cells:
            raise UserError(_twice(column, head, [str(row[name]) for name in by]))
        cells[head] = row
    columns = [
        Column(title_of(name), text=name in ("model", "framework")) for name in by
    ]
    columns += [Column(_title(column, head)) for head in heads]
    write, ranked = VALUES[value], sorted(lines.items())
    made = [
        [*line, *(write(cells[h]) if h in cells else DASH for h in heads)]
        for line, cells in ranked
    ]
    told = [_facts(cells, by, heads, column, value) for _, cells in ranked]
    units = {_title(column, head): unit_of(value) for head in heads}
    group = Group("", made, told)
    return Grid(columns, [group], _notes(column, value), units=units)


def _facts(
    cells: dict[str, dict[str, Any]],
    by: list[str],
    heads: list[str],
    column: str,
    value: str,
) -> dict[str, Any]:
    """The numbers of a line, null where nothing was measured, and their attempts."""
    first = next(iter(cells.values()))
    numbers = {
        _title(column, h): cells[h][value] if h in cells else None for h in heads
    }
    alike = {name: first[name] for name in ("mode", *by)}
    return {**alike, **numbers, "attempt_ids": ids(cells.values())}


def _title(column: str, head: str) -> str:
    return f"{title_of(column)} {head}"


def _telling(models: pd.DataFrame, column: str, value: str) -> list[str]:
    """The model, and whatever else differs between rows."""
    known = [*_LINE, *key_columns(value), *varying_settings(models), "environment_id"]
    differ = [
        name
        for name in dict.fromkeys(known)
        if name != column and models[name].nunique(dropna=False) > 1
    ]
    kept = ["model"]
    for name in differ:
        more = list(dict.fromkeys([*kept, name]))
        if _distinct(models, [*more, column]) > _distinct(models, [*kept, column]):
            kept = more
    return kept


def _distinct(models: pd.DataFrame, names: Sequence[str]) -> int:
    return len(models[list(names)].drop_duplicates())


def _word(value: Any) -> str:
    return setting(plain(value))


def _twice(column: str, head: str, line: list[str]) -> str:
    return (
        f"--pivot {column}: two rows for {', '.join(line)} under {head}; "
        "choose among them with --where"
    )


def _notes(column: str, value: str) -> list[str]:
    return [
        f"{value} under each {title_of(column)}; nothing is compared across columns. "
        "Intervals, n and citations stand in the table without --pivot."
    ]
