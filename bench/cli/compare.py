"""`mixer-bench compare`: two result sets cell by cell.

Exit 1 if B is slower, 2 if nothing could be compared: a comparison in a script must
not pass because it looked at nothing.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import results
from bench.analysis import select
from bench.cli import _print
from bench.errors import ResultsError, StudyError, unknown
from bench.units import significant

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.compare import Compared, Comparison

FORMATS = ("table", "github", "json", "csv")
_SIDE = (
    "PATH, or PATH@column=value,... for some of its rows, as in results@git_sha=1a2b"
)
_MEANS = (
    "A and B: geometric means of images/s/core over n repetitions; B/A: their ratio."
)


def command(
    a: Annotated[str, typer.Argument(help=f"Reference: {_SIDE}.")],
    b: Annotated[str, typer.Argument(help="The other side, written alike.")],
    min_effect: Annotated[
        str, typer.Option(help="Change of the rate that counts as one.")
    ] = "2%",
    max_slowdown: Annotated[
        str | None,
        typer.Option(help="Growth of time per image to accept; default: min-effect."),
    ] = None,
    format: Annotated[str, typer.Option(help="table, github, json or csv.")] = "table",
) -> int:
    """Say for each timed cell: same, faster, slower, ambiguous or invalid.

    Exit code: 0 no regression; 1 a cell of B is slower than accepted, or only fails
    there; 2 nothing to compare (no cell in common beside the anchor, or none with an
    interval, which needs five repetitions a side), or wrong usage.
    """
    from bench.analysis.compare import compare

    if format not in FORMATS:
        raise StudyError(f"--format: {unknown('format', format, FORMATS)}")
    effect = _share("--min-effect", min_effect)
    limit = effect if max_slowdown is None else _share("--max-slowdown", max_slowdown)
    if limit < effect:
        raise StudyError(
            f"--max-slowdown: {max_slowdown}: below --min-effect ({min_effect}), under "
            f"which a change is none; give --min-effect {max_slowdown}, too"
        )
    (path_a, of_a), (path_b, of_b) = _side("A", a), _side("B", b)
    found = compare(
        _rows("A", path_a, of_a),
        _rows("B", path_b, of_b),
        min_effect=effect,
        varied=[name for name in of_a if name in of_b and of_a[name] != of_b[name]],
    )
    worse = any(cell.is_regression(limit) for cell in found.cells)
    if not worse:
        _require_compared(found.cells)
    print(_shown(found, format, limit))
    return 1 if worse else 0


def _require_compared(cells: Sequence[Compared]) -> None:
    """Refuse to call it well where no cell could be compared at all."""
    if any(cell.ratio is not None for cell in cells):
        return
    reasons = Counter(cell.reason for cell in cells).most_common()
    told = "; ".join(f"{reason} ({count})" for reason, count in reasons[:3])
    more = f"; and {len(reasons) - 3} other reasons" if len(reasons) > 3 else ""
    raise ResultsError(
        f"nothing could be compared, no common cell has a ratio: {told}{more}; "
        "give sides that differ in code or time alone, each with five repetitions"
    )


def _share(flag: str, text: str) -> float:
    """`5%` or `0.05` as 0.05."""
    number = text.strip().removesuffix("%")
    try:
        value = float(number) / (100 if "%" in text else 1)
    except ValueError as error:
        raise StudyError(f"{flag}: {text!r}: give a share, as in 5%") from error
    if not 0 < value < 1:
        raise StudyError(f"{flag}: {text!r}: give a share between 0% and 100%")
    return value


def _side(name: str, text: str) -> tuple[str, select.Conditions]:
    """A path and its conditions; a path that exists is taken as it stands."""
    if Path(text).exists() or "@" not in text:
        return text, {}
    path, _, words = text.rpartition("@")
    return path, select.conditions(words.split(","), f"{name}: {text}")


def _rows(name: str, path: str, wanted: select.Conditions) -> pd.DataFrame:
    reading = results.read(path, sound=False)  # a cell without a rate is told here
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = results.to_frame(reading.table, samples=True)
    return select.where(frame, wanted, f"{name}: {path}")


def _shown(found: Comparison, fmt: str, limit: float) -> str:
    if fmt == "json":
        return _print.as_json(
            {
                "differences": [dataclasses.asdict(one) for one in found.differences],
                "cells": [_facts(cell, limit) for cell in found.cells],
                "notes": found.notes,
            }
        )
    if fmt == "csv":
        return _print.data([_facts(cell, limit) for cell in found.cells], "csv")
    return _tables(found, fmt, limit)


def _facts(cell: Compared, limit: float) -> dict[str, Any]:
    facts = dataclasses.asdict(cell)
    del facts["broken"]
    return {**facts, "regression": cell.is_regression(limit)}


def _tables(found: Comparison, fmt: str, limit: float) -> str:
    """First what differs around the measurements, then the cells, then the answer."""
    from bench.report.markup import Column, Grid, Group

    text = [Column(name, text=True) for name in ("differs", "A", "B")]
    around = [[one.what, one.a, one.b] for one in found.differences]
    cells = [
        *(Column(name, text=True) for name in ("cell", "verdict")),
        *map(Column, ("A img/s/core", "B img/s/core", "B/A", "95 % interval", "n")),
        Column("why", text=True),
    ]
    lines = [_line(cell) for cell in found.cells]
    notes = [*found.notes, _MEANS, _answer(found, limit)]
    parts = [_print.table(Grid(text, [Group("", around)]), fmt)] if around else []
    if not around:
        parts.append("A and B: same code, versions, flags and machine.")
    return "\n\n".join(
        [
            *parts,
            _print.table(Grid(cells, [Group("", lines)], notes), fmt),
        ]
    )


def _line(cell: Compared) -> list[str]:
    dash, means = "—", (cell.geomean_a, cell.geomean_b)
    return [
        cell.cell,
        cell.verdict,
        *(dash if mean is None else significant(mean) for mean in means),
        dash if cell.ratio is None else f"{cell.ratio:.3f}x",
        dash if cell.low is None else f"{cell.low:.3f} – {cell.high:.3f}",
        f"{cell.n_a}, {cell.n_b}",
        cell.reason,
    ]


def _answer(found: Comparison, limit: float) -> str:
    counts: dict[str, int] = {}
    for cell in found.cells:
        counts[cell.verdict] = counts.get(cell.verdict, 0) + 1
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    bad = sum(cell.is_regression(limit) for cell in found.cells)
    return (
        f"{said or 'no cells'}; {bad} regression{'s' * (bad != 1)} beyond "
        f"{100 * limit:g} % more time per image."
    )
