"""Rows as compact, safe JSON for the report page: columns, their words, their keys.

A view is a frame column by column. Text is kept once and referred to, numbers keep six
significant digits, and each row knows its comparability key: the page plots one key at
a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench import record
from bench.analysis import demo
from bench.analysis.join import model_rows
from bench.analysis.key import by_key, equal, plain
from bench.specs import SPEED_MODES

DIGITS = 6
"""Significant digits of a number on the page; the parquet files hold them all."""

_METRICS = ("img_per_sec_core", "top1", "core_days")
_BARS = {"img_per_sec_core": ("low", "high"), "top1": ("top1_low", "top1_high")}
"""Columns of a view of models that bound another column."""
_DOCS = {
    "core_days": ("core-day", "measured, else extrapolated"),
    "core_days_kind": ("", "measured or extrapolated"),
    "n": ("1", "fresh processes behind the rate"),
    "low": ("image/s/core", "lower end of the rate's interval over processes"),
    "high": ("image/s/core", "upper end of the rate's interval over processes"),
    "n_train": ("1", "training runs behind the accuracy"),
    "top1_low": ("1", "lowest of the training runs"),
    "top1_high": ("1", "highest of the training runs"),
    "anchor_drift": ("1", "how the anchor's rate changed around this row"),
    "cautions": ("", "kinds of caution that the measurement raised"),
    "train_batch_size": ("image", "batch size of the training"),
    "train_device": ("", "device asked for in training"),
}
_WORDS = {"infer": "inference", "train": "training", "pretrain": "pre-training"}


def views(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What the page can show: the models joined from attempts, and every attempt."""
    found = []
    for mode in SPEED_MODES:
        of_mode = rows if mode == "infer" else rows[equal(rows, "mode", mode)]
        models = model_rows(of_mode, mode)
        if len(models):
            found.append(_view(f"models, {_WORDS[mode]}", _flat(models)))
    return [*found, _view("attempts", _attempts(rows))]


def as_script(value: object) -> str:
    r"""`value` as JSON that may stand inside a script element.

    Nothing in it can close the element or open a comment, and what JavaScript once
    took for a line end (U+2028) is escaped with all that is not ASCII.

    >>> as_script({"a": "</script><!--"})
    '{"a":"\\u003c/script\\u003e\\u003c!--"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _attempts(rows: pd.DataFrame) -> pd.DataFrame:
    """Every row as it stands, its cautions by kind, its other nested columns left."""
    kinds = [_kinds(value) for value in rows["cautions"]]
    return _flat(rows).assign(cautions=pd.Series(kinds, rows.index, dtype=object))


def _kinds(cautions: Any) -> str | None:
    names = [str(one["kind"]) for one in plain(cautions) or ()]
    return ", ".join(dict.fromkeys(names)) or None


def _flat(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[[name for name in rows.columns if not _is_nested(rows[name])]]


def _is_nested(column: pd.Series[Any]) -> bool:
    if column.name in record.NESTED:
        return True
    known = column.dropna()
    return len(known) > 0 and not pd.api.types.is_scalar(known.iloc[0])


def _view(name: str, frame: pd.DataFrame) -> dict[str, Any]:
    keys, at, own = _keys(frame)
    columns = [_column(str(n), frame[n]) for n in frame.columns]
    kept = [column for column in columns if column is not None]
    present = {column["name"] for column in kept}
    bars = {
        name: list(ends) for name, ends in _BARS.items() if present.issuperset(ends)
    }
    small = [str(n) for n in frame["model"].dropna().unique() if demo.is_demo(str(n))]
    return {
        "name": name, "rows": len(frame), "columns": kept,
        "keys": keys, "key": at, "own": own, "bars": bars,
        "demo": small, "note": demo.NOTE,
    }  # fmt: skip


def _keys(frame: pd.DataFrame) -> tuple[list[str], list[int], int]:
    """Name of each comparability key, each row's key by number, how many are measured.

    Keys of measured rows come first: the page begins with one of them.
    """
    numbered = frame.assign(_at=range(len(frame)))
    if "core_days" not in numbered:
        numbered = numbered.assign(core_days=None)
    found = sorted(by_key(numbered, *_METRICS), key=lambda one: not _is_own(one[0]))
    at = [0] * len(frame)
    for number, (_, part) in enumerate(found):
        for row in part["_at"]:
            at[int(row)] = number
    own = sum(_is_own(key) for key, _ in found)
    return _distinct([key for key, _ in found]), at, own


def _is_own(key: Mapping[str, Any]) -> bool:
    return bool(key["source"] == "measured")


def _distinct(keys: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys in words; those that read alike are told apart by what differs."""
    names = [_key_name(key) for key in keys]
    made = []
    for key, name in zip(keys, names, strict=True):
        alike = [k for k, n in zip(keys, names, strict=True) if n == name]
        differ = [c for c in key if len({repr(k[c]) for k in alike}) > 1]
        made.append(", ".join([name, *(f"{c} {key[c]}" for c in differ)]))
    return made


def _key_name(key: Mapping[str, Any]) -> str:
    where = ("source", "machine", "core_kind")
    words = [str(key[name]) for name in where if key[name]]
    words.append(_WORDS.get(str(key["mode"]), "throughput not measured"))
    words += [str(key["dtype"])] if key["dtype"] else []
    words += [f"{key['track']} track"] if key["track"] else []
    words += (
        [f"trained on {key['pretrain_dataset']}"] if key["pretrain_dataset"] else []
    )
    words += [f"tested on {key['eval_dataset']}"] if key["eval_dataset"] else []
    return ", ".join(words)


def _column(name: str, values: pd.Series[Any]) -> dict[str, Any] | None:
    """One column in its smallest form; none where nothing is known."""
    if values.isna().all():
        return None
    cells = [_cell(value) for value in values]
    known = [cell for cell in cells if cell is not None]
    unit, doc = _described(name)
    number = all(isinstance(c, int | float) and not isinstance(c, bool) for c in known)
    about = {"name": name, "unit": unit, "doc": doc, "number": number}
    if number:
        return {**about, "values": cells}
    texts = [None if cell is None else _text(cell) for cell in cells]
    words = list(dict.fromkeys(text for text in texts if text is not None))
    places = {word: place for place, word in enumerate(words)}
    at = [-1 if text is None else places[text] for text in texts]
    return {**about, "words": words, "at": at}


def _cell(value: Any) -> Any:
    """A JSON scalar, rounded; null for what is missing or not finite."""
    value = plain(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _short(value) if math.isfinite(value) else None
    return str(value)


def _short(value: float) -> float | int:
    if value.is_integer() and abs(value) < 2**53:
        return int(value)  # counts stay exact
    return float(f"{value:.{DIGITS}g}")


def _text(cell: Any) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _described(name: str) -> tuple[str, str]:
    if name in _DOCS:
        return _DOCS[name]
    if name not in record.COLUMNS:
        return "", name.replace("_", " ")
    about = record.SCHEMA.field(name).metadata
    return about[b"unit"].decode(), about[b"doc"].decode()
