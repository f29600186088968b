"""What several verbs print alike: records of facts in three formats, files, notes."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tabulate import tabulate

from bench.errors import ResultsError, StudyError, unknown
from bench.specs import SPEED_MODES

if TYPE_CHECKING:
    import pandas as pd

    from bench.report.markup import Grid

PIPED = 160
"""Columns of a table that goes to a file or to another program."""
NARROWEST = 40
"""Columns; in less nothing is readable."""
DATA_FORMATS = ("table", "json", "csv")


def check_format(fmt: str) -> None:
    """Refuse an unknown format, before anything is done for it."""
    if fmt not in DATA_FORMATS:
        raise StudyError(f"--format: {unknown('format', fmt, DATA_FORMATS)}")


def check_names(names: Sequence[str]) -> None:
    """Refuse an empty name: an unset variable of a shell, and not this folder."""
    if not all(names):
        raise ResultsError("an empty name; give a result file or a folder")


def counted(number: int, what: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def data(rows: Sequence[Mapping[str, Any]], fmt: str) -> str:
    """Rows of facts as a table, JSON objects or CSV."""
    check_format(fmt)
    if fmt == "json":
        return as_json(list(rows))
    if fmt == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(
            text, list(rows[0]) if rows else [], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().rstrip("\n")
    if not rows:
        return ""
    shown = [{k: _readable(v) for k, v in row.items()} for row in rows]
    sides = ["right" if _numeric(rows, name) else "left" for name in rows[0]]
    return tabulate(shown, headers="keys", disable_numparse=True, colalign=sides)


def _numeric(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    known = [row[name] for row in rows if row[name] is not None]
    return bool(known) and all(isinstance(one, int | float) for one in known)


def as_json(value: object) -> str:
    """A value as JSON for people and programs; what is no number is null there."""
    return json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def _readable(value: Any) -> str:
    if value is None:
        return "—"
    return f"{value:,}" if isinstance(value, int) else str(value)


def width(otherwise: int) -> int:
    """Columns of the terminal that is written to, or that COLUMNS claims."""
    told = os.environ.get("COLUMNS", "").isdigit()
    if not told and not sys.stdout.isatty():
        return otherwise
    return max(shutil.get_terminal_size().columns, NARROWEST)


def note(text: str) -> None:
    """A line for the person, apart from the data on standard output."""
    print(text, file=sys.stderr, flush=True)


def drift_lines(measured: pd.DataFrame) -> list[str]:
    """The verdict on drift of each study that measured speed, one line each."""
    from bench.analysis import drift, key

    of_speed = measured["mode"].isin(SPEED_MODES).astype(bool)
    timed = measured.loc[of_speed, ["study", "machine", *drift.NEEDS]]
    groups = timed.groupby(["study", "machine"], sort=True)
    return [
        f"{study} on {machine}: {drift.verdict(key.records(_anchors(part))).sentence}"
        for (study, machine), part in groups
    ]


def caution_lines(measured: pd.DataFrame) -> list[str]:
    """Each kind of caution once: how many rows have it, one as it was seen, what to do.

    The oftenest first. Every row keeps all of its own.
    """
    seen: dict[str, list[tuple[str, Mapping[str, str]]]] = {}
    for row in measured[["model", "framework", "mode", "cautions"]].to_dict("records"):
        cell = f"{row['model']} {row['framework']} {row['mode']}"
        listed = row["cautions"]
        for one in listed if isinstance(listed, Sequence | np.ndarray) else ():
            seen.setdefault(one["kind"], []).append((cell, one))
    often = sorted(seen.items(), key=lambda item: -len(item[1]))
    return [
        f"{kind} in {len(found)} of {len(measured)} rows, as in {found[0][0]}: "
        f"{found[0][1]['seen']}; likely {found[0][1]['cause']}; {found[0][1]['remedy']}"
        for kind, found in often
    ]


def _anchors(rows: pd.DataFrame) -> pd.DataFrame:
    """All that a verdict looks at: few of the rows."""
    return rows[rows["role"].eq("anchor").fillna(False).astype(bool)]


def comparison(rows: pd.DataFrame, fmt: str) -> str:
    """The comparison tables that rows allow: inference first, then training."""
    from bench.report.tables import comparison_grids

    return tables(comparison_grids(rows), fmt)


def table(grid: Grid, fmt: str) -> str:
    """A table, as wide as the terminal allows."""
    return tables([grid], fmt)


def tables(grids: Sequence[Grid], fmt: str) -> str:
    """Tables below each other; as data, one document."""
    from bench.report import markup

    return markup.render_all(grids, fmt, width(PIPED))
