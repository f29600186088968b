"""Two machines' results in one file: each attempt once, and no two rows of one id."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from bench import results, sifting
from bench.errors import ResultsError


@dataclass(frozen=True)
class Merged:
    """What a merge wrote."""

    rows: int
    twice: int
    """Rows that stood in more than one place, value for value."""
    set_aside: list[str]


def merge(paths: Sequence[str | os.PathLike[str]], out: Path) -> Merged:
    """Every attempt of `paths` once, as a new file `out`; old schemas are raised.

    Raises:
        ResultsError: `out` exists, a path is missing or damaged, nothing was read, or
            one attempt_id stands for two different rows.
    """
    reading = results.read_each(paths)
    if not reading.table.num_rows:
        raise ResultsError(f"{', '.join(map(str, paths))}: no rows; nothing to merge")
    refuse_conflicts(reading)
    merged = sifting.once(reading.table)
    results.write(merged, out)
    twice = reading.table.num_rows - merged.num_rows
    return Merged(merged.num_rows, twice, reading.set_aside)


def refuse_conflicts(reading: results.Reading) -> None:
    """One attempt is one row: two that differ were edited, or are no attempts."""
    table = reading.table
    counts = table["attempt_id"].drop_null().value_counts()
    again = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    chosen = pc.is_in(table["attempt_id"], again)
    files = itertools.compress(reading.files, chosen.to_pylist())
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for file, row in zip(files, table.filter(chosen).to_pylist(), strict=True):
        home, kept = first.setdefault(row["attempt_id"], (file, row))
        differ = differing(row, kept)
        if differ:
            raise ResultsError(
                f"{file}: attempt {row['attempt_id']} stands otherwise in {home}: they "
                f"differ in {', '.join(differ[:5])}; keep the file that you trust"
            )


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The columns in which two rows differ."""
    return [name for name in one if not _same(one[name], other[name])]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or repr(one) == repr(other))  # NaN, also in a list
