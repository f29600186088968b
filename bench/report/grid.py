"""A table before it is written: columns, groups of rows, sentences below.

Cells are text already: nothing rounds, guesses a type or drops a character. Beside them
stand the same lines as numbers, for the formats of programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

DASH = "—"


class Best(str):
    """A cell that holds the best value of its column inside its group."""


@dataclass(frozen=True)
class Column:
    """A heading, and whether its cells are text (left) or numbers (right)."""

    title: str
    text: bool = False
    optional: bool = False
    """Left out where it holds dashes alone."""
    told: bool = False
    """Left out, as the heading or a note tells what it holds."""


@dataclass(frozen=True)
class Group:
    """Rows under one heading; an empty heading prints nothing."""

    heading: str
    rows: list[list[str]]
    facts: list[dict[str, Any]] = field(default_factory=list)
    """For each row its numbers and attempts, by name: what csv and json hold."""


@dataclass(frozen=True)
class Grid:
    """A table: columns, groups of rows, and sentences that stand below it."""

    columns: list[Column]
    groups: list[Group]
    notes: list[str] = field(default_factory=list)
    cites: list[str] = field(default_factory=list)
    """Keys of the papers behind published rows; latex cites them."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Units of facts whose names are not those of record columns."""


def for_people(grid: Grid) -> Grid:
    """The table without the columns that would only make it wide."""
    rows = [row for group in grid.groups for row in group.rows]
    kept = [
        place
        for place, column in enumerate(grid.columns)
        if not column.told
        and not (column.optional and all(row[place] == DASH for row in rows))
    ]
    groups = [
        replace(group, rows=[[row[place] for place in kept] for row in group.rows])
        for group in grid.groups
    ]
    return replace(grid, columns=[grid.columns[place] for place in kept], groups=groups)


def apart(grid: Grid) -> list[Grid]:
    """Each group as a table of its own, without the columns that it leaves empty."""
    return [_of_one(grid, group) for group in grid.groups]


def _of_one(grid: Grid, group: Group) -> Grid:
    kept = [
        place
        for place in range(len(grid.columns))
        if place == 0 or any(row[place] not in (DASH, "") for row in group.rows)
    ]
    rows = [[row[place] for place in kept] for row in group.rows]
    columns = [grid.columns[place] for place in kept]
    return replace(grid, columns=columns, groups=[replace(group, rows=rows)], notes=[])


def sides(grid: Grid) -> list[str]:
    """How the cells of each column are aligned, in the words of tabulate."""
    return ["left" if column.text else "right" for column in grid.columns]
