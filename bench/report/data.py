"""Tables for programs: csv and json hold numbers, never the text made for people.

Every line is a record: names and units as in the parquet rows, nulls where a part is
missing, shares between 0 and 1, and the ids of the attempts behind it. Several tables
make one document, whose lines have the columns of all.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench import record
from bench.report.grid import Grid

DATA = ("csv", "json")

_RATE = record.SCHEMA.field("img_per_sec_core").metadata[b"unit"].decode()
_DAYS = record.SCHEMA.field("core_days_measured").metadata[b"unit"].decode()
_UNITS: dict[str, str] = {
    "image_size": "px",
    "batch_size": "image",
    "img_per_sec_core_low": _RATE,
    "img_per_sec_core_high": _RATE,
    "core_days": _DAYS,
    "core_days_extrapolated_low": _DAYS,
    "core_days_extrapolated_high": _DAYS,
}
"""Of columns that a cell declares or a table makes."""


def document(grids: Sequence[Grid], fmt: str) -> str:
    """All lines of `grids` as one csv or json text, without a newline at its end."""
    lines = [
        {"group": group.heading, **{name: _value(v) for name, v in facts.items()}}
        for grid in grids
        for group in grid.groups
        for facts in group.facts
    ]
    names = list(dict.fromkeys(name for line in lines for name in line))
    units = {name: unit for grid in grids for name, unit in grid.units.items()}
    known = {name: units.get(name, unit_of(name)) for name in names}
    if fmt == "csv":
        return _csv(lines, known)
    notes = list(dict.fromkeys(note for grid in grids for note in grid.notes))
    return _json(lines, known, notes)


def unit_of(name: str) -> str:
    """The unit of a column: the record's where it has such a one.

    >>> unit_of("img_per_sec_core"), unit_of("core_days"), unit_of("model")
    ('image/s/core', 'core-day', '')
    """
    if name in _UNITS or name not in record.COLUMNS:
        return _UNITS.get(name, "")
    unit: bytes = record.SCHEMA.field(name).metadata[b"unit"]
    return unit.decode()


def _value(value: Any) -> Any:
    """A plain value; whole numbers without a point, what is no number as null."""
    if hasattr(value, "item"):  # of numpy
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() else value
    return value


def _csv(lines: Iterable[Mapping[str, Any]], units: Mapping[str, str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_titles(units))
    writer.writerows([_text(line.get(name)) for name in units] for line in lines)
    return out.getvalue().rstrip("\n")


def _titles(units: Mapping[str, str]) -> Iterator[str]:
    """`img_per_sec_core (image/s/core)`; a bare name for words and pure numbers."""
    for name, unit in units.items():
        yield f"{name} ({unit})" if unit not in ("", "1") else name


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return ";".join(map(str, value))
    return "" if value is None else value


def _json(
    lines: Iterable[Mapping[str, Any]], units: Mapping[str, str], notes: list[str]
) -> str:
    made = {
        "units": {name: unit for name, unit in units.items() if unit},
        "rows": [{name: line.get(name) for name in units} for line in lines],
        "notes": notes,
    }
    return json.dumps(made, ensure_ascii=False, indent=2, allow_nan=False)
