"""Selections: rows whose columns have the values that a person typed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bench import checkout, record
from bench.analysis.key import plain
from bench.errors import ResultsError, unknown

SELECTABLE = tuple(name for name in record.COLUMNS if name not in record.NESTED)

Conditions = dict[str, str]


def conditions(texts: Sequence[str], flag: str) -> Conditions:
    """`["mode=infer"]` as `{"mode": "infer"}`; refuses what is no condition."""
    found: Conditions = {}
    for text in texts:
        column, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not value:
            raise ResultsError(f"{flag}: {text!r}: give column=value, as in mode=infer")
        if column not in SELECTABLE:
            raise ResultsError(f"{flag}: {unknown('column', column, SELECTABLE)}")
        if column in found:
            raise ResultsError(f"{flag}: {column} is given twice; give one value of it")
        _typed(column, value, flag)
        found[column] = value
    return found


def where(rows: pd.DataFrame, wanted: Conditions, flag: str) -> pd.DataFrame:
    """The rows that meet every condition; refuses a condition that no row meets."""
    kept = rows
    for column, text in wanted.items():
        value = _typed(column, text, flag)
        found = np.array([_meets(column, cell, value) for cell in kept[column]], bool)
        if not found.any():
            raise ResultsError(_none_has(kept[column], column, text, flag))
        kept = kept[found]
    return kept


def _none_has(values: pd.Series[Any], column: str, text: str, flag: str) -> str:
    known = sorted({value for value in values if plain(value) is not None})
    present = [str(value) for value in known]
    near = difflib.get_close_matches(text, present, n=1)
    more = f" and {len(present) - 8} more" if len(present) > 8 else ""
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"{flag}: no row has {column}={text}; "
        f"present: {', '.join(present[:8]) or 'none'}{more}{hint}"
    )


def _meets(column: str, cell: object, value: object) -> bool:
    if plain(cell) is None:
        return False
    if column == "git_sha":  # abbreviated, as git prints it
        return str(cell).startswith(str(value))
    if column == "model":  # as forgiving as the names of a command line
        return _bare(cell) == _bare(value)
    return bool(cell == value)


def _bare(name: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _typed(column: str, text: str, flag: str) -> object:
    kind = record.SCHEMA.field(column).type
    if pa.types.is_boolean(kind):
        if text.lower() not in ("true", "false"):
            raise ResultsError(f"{flag}: {column}={text}: give true or false")
        return text.lower() == "true"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        try:
            return float(text)
        except ValueError as error:
            raise ResultsError(f"{flag}: {column}={text}: give a number") from error
    return _commit(text, flag) if column == "git_sha" else text


def _commit(text: str, flag: str) -> str:
    """Hexadecimal digits as they are; another name of a commit as git resolves it."""
    if re.fullmatch("[0-9a-f]{4,40}", text):
        return text
    if re.fullmatch("[0-9a-f]{1,3}", text):
        raise ResultsError(f"{flag}: git_sha={text}: give 4 characters or more")
    found = checkout.commit_of(text)
    if found is None:
        raise ResultsError(
            f"{flag}: git_sha={text}: is no commit of the checkout that mixer-bench "
            "runs from; give 4 or more of its digits"
        )
    return found
