"""A pivot: one line per model, one column per value of a setting, one number in each.

Columns stand side by side under their own heading; no number is averaged, divided or
made bold across them. Of the tuned track the fastest variant stands for the others;
any two rows that still share a cell are refused, never merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.analysis.against import best_variants
from bench.analysis.join import model_rows
from bench.analysis.key import equal, key_columns, plain, records
from bench.analysis.select import SELECTABLE
from bench.errors import UserError, unknown
from bench.report.bib import cited
from bench.report.citation import citation
from bench.report.data import unit_of
from bench.report.facts import ids
from bench.report.markup import DASH, Column, Grid, Group
from bench.report.tables import BEST, WORDS, core_days_text, rate_text, top1_text
from bench.report.varying import setting, title_of, varying_settings
from bench.specs import fields_of

VALUES = {
    "img_per_sec_core": rate_text,
    "top1": top1_text,
    "core_days": core_days_text,
}
"""What a cell can hold, and how it is written."""
_BEHIND = {
    "img_per_sec_core": "speed_attempts",
    "top1": "train_attempts",
    "core_days": "train_attempts",
}
"""The attempts that gave the number."""
_LINE = (
    *("model", "framework", "peer", "image_size", "batch_size", "unique_images"),
    *("pretrain_dataset", "eval_dataset", "regime", "pretrain_epochs"),
)
_OF_RATES = {
    "source": "{}",
    "machine": "{}",
    "mode": "{}",
    "image_size": "{:.0f} px",
    "batch_size": "batch {:.0f}",
    "dtype": "{}",
    "track": "{} track",
}
_OF_TRAINING = {
    "source": "{}",
    "machine": "{}",
    "image_size": "{:.0f} px",
    "dtype": "{}",
    "pretrain_dataset": "trained on {}",
    "eval_dataset": "tested on {}",
}
"""What a heading says where it is one for all numbers of the table."""
_WHAT = ("framework", "peer", "image_size")
"""With the comparability key: what a number is of, so that it is always told."""
_INTERVALS = "The interval of each rate: mixer-bench table without --pivot."
_TRAINED = {
    "top1": "top-1 %: median over training runs [their range, n] (chance).",
    "core_days": "core-days: median over training runs; ‡ extrapolated.",
}
_LAST = ("environment_id", "table")
"""Where a row comes from: it tells lines apart where no setting does."""
PIVOTS = (
    *("framework", "dtype", "machine", "track", "variant", "image_size", "batch_size"),
    *("eval_dataset", "pretrain_dataset", "unique_images", "environment_id", "peer"),
)
"""Settings whose values can be columns."""
_ASKED = tuple(
    name
    for name in dict.fromkeys(
        (*PIVOTS, *_LINE, *_LAST, *fields_of("infer"), *fields_of("pretrain"))
    )
    if name in SELECTABLE
)
"""What may tell two rows of one cell apart, and can be chosen with --where."""


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
    models = _candidates(rows, column, value, mode)
    if models.empty:
        raise UserError(f"--pivot {column}: no row has {value}; choose another --value")
    by = _telling(models, column, value)
    heads = list(dict.fromkeys(_word(one) for one in models[column]))
    lines: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in records(models):
        cells = lines.setdefault(tuple(_word(row[name]) for name in by), {})
        head = _word(row[column])
        if head in cells:
            raise UserError(_twice(column, by, cells[head], row))
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
    group = Group(_heading(models, column, value), made, told)
    notes = _notes(models, by, column, value)
    return Grid(columns, [group], notes, cited(models), units)


def _heading(models: pd.DataFrame, column: str, value: str) -> str:
    """What all the numbers share."""
    timed = value == "img_per_sec_core"
    words = []
    for name, text in (_OF_RATES if timed else _OF_TRAINING).items():
        found = models[name].drop_duplicates()
        only = plain(found.iloc[0])
        if name != column and len(found) == 1 and only is not None:
            words.append(text.format(WORDS[only] if name == "mode" else only))
    return ", ".join(words)


def _candidates(rows: pd.DataFrame, column: str, value: str, mode: str) -> pd.DataFrame:
    """Model rows with a value, each number once: many lineages share one rate.

    Slower variants of the tuned track are left out unless these are the columns.
    """
    models = model_rows(rows, mode)
    models = models[models[value].notna()]
    behind = models[_BEHIND[value]]
    number = pd.DataFrame({"attempts": behind.map(str), column: models[column]})
    models = models[behind.isna() | ~number.duplicated()]
    return best_variants(models) if _of_best(value, column) else models


def _of_best(value: str, column: str) -> bool:
    """Whether a variant stands for those that were slower: variants are of speed."""
    return value == "img_per_sec_core" and column != "variant"


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
    return {**alike, **numbers, "attempt_ids": _attempts(cells.values(), value)}


def _attempts(cells: Iterable[dict[str, Any]], value: str) -> list[str]:
    """Those behind the numbers of a line; published rows have one for all they say."""
    lists = (row[_BEHIND[value]] or ids([row]) for row in cells)
    return list(dict.fromkeys(name for found in lists for name in found))


def _title(column: str, head: str) -> str:
    return f"{title_of(column)} {head}"


def _telling(models: pd.DataFrame, column: str, value: str) -> list[str]:
    """The model, what the number is of, and whatever else differs between rows."""
    what = _differing(models, (*_WHAT, *key_columns(value)), column)
    kept = ["model", *(n for n in what if not _follows(models, n, column))]
    known = [*_LINE, *what, *varying_settings(models), *_LAST]
    for name in _differing(models, known, column):
        more = list(dict.fromkeys([*kept, name]))
        if _distinct(models, [*more, column]) > _distinct(models, [*kept, column]):
            kept = more
    order = list(dict.fromkeys(known))
    return ["model", *sorted(set(kept) - {"model"}, key=order.index)]


def _differing(models: pd.DataFrame, names: Iterable[str], column: str) -> list[str]:
    """Those of `names` with several values, beside the pivoted column."""
    return [
        name
        for name in dict.fromkeys(names)
        if name != column and models[name].nunique(dropna=False) > 1
    ]


def _follows(models: pd.DataFrame, name: str, column: str) -> bool:
    """Whether `name` is one in each column, so that a note can tell it."""
    each = models.groupby(column, dropna=False)[name].nunique(dropna=False)
    return bool((each == 1).all())


def _distinct(models: pd.DataFrame, names: Sequence[str]) -> int:
    return len(models[list(names)].drop_duplicates())


def _word(value: Any) -> str:
    return setting(plain(value))


def _twice(
    column: str, by: list[str], first: Mapping[str, Any], second: Mapping[str, Any]
) -> str:
    """Which line has two rows, and what tells these apart."""
    line = [f"{n}={_typed(first[n])}" for n in by if plain(first[n]) is not None]
    under = f"{column}={_typed(first[column])}"
    where = f"--pivot {column}: two rows for {', '.join(line)} under {under}"
    differ = {
        name: [first[name], second[name]]
        for name in _ASKED
        if name in first and plain(first[name]) != plain(second[name])
    }
    if not differ:
        return f"{where}, alike in every setting; give the files that hold them apart"
    told = [f"{n}: {', '.join(map(_typed, pair))}" for n, pair in differ.items()]
    name, pair = next(iter(differ.items()))
    one = next(value for value in pair if plain(value) is not None)
    return (
        f"{where}; they differ in {'; '.join(told)}; "
        f"choose with --where {name}={_typed(one)}"
    )


def _typed(value: Any) -> str:
    """A value as --where takes it."""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return "none" if plain(value) is None else str(value)


def _notes(models: pd.DataFrame, by: list[str], column: str, value: str) -> list[str]:
    """What the cells are, what goes with a column, and that variants were left out."""
    with_it = [
        _with_it(models, name, column)
        for name in _differing(models, (*_WHAT, *key_columns(value)), column)
        if name not in (*by, "machine_id")
    ]
    tuned = _of_best(value, column) and equal(models, "track", "tuned").any()
    return [
        f"{value} under each {title_of(column)}; nothing is compared across columns.",
        *_what_it_is(models, value),
        *with_it,
        *([BEST] if tuned else []),
    ]


def _what_it_is(models: pd.DataFrame, value: str) -> list[str]:
    """What the number is, and where it comes from."""
    if value == "img_per_sec_core":
        said = [citation(part) for _, part in models.groupby("source", sort=False)]
        return [*said, *([_INTERVALS] if models["low"].notna().any() else [])]
    known = models["citation"].dropna().drop_duplicates()
    return [
        *([_TRAINED[value]] if models["n_train"].notna().any() else []),
        *([f"Source: {'; '.join(known)}."] if len(known) else []),
    ]


def _with_it(models: pd.DataFrame, name: str, column: str) -> str:
    """`track: protocol (jax), tuned (torch).`"""
    pairs = models.drop_duplicates([name, column])[[name, column]]
    parts = [
        f"{_word(value)} ({', '.join(map(_word, part[column]))})"
        for value, part in pairs.groupby(name, dropna=False, sort=False)
    ]
    return f"{title_of(name)}: {', '.join(parts)}."
