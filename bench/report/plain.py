"""Tables as text in columns, for a terminal or a file."""

from __future__ import annotations

import itertools
import operator
import textwrap
from dataclasses import replace

from tabulate import tabulate

from bench.report.grid import Column, Grid, Group, apart, sides

_COMMAND = ": mixer-bench "


def within(grid: Grid, width: int) -> str:
    """Plain text that keeps to `width` where its numbers allow."""
    notes = [_note(note, width) for note in grid.notes]
    whole = plain(replace(grid, notes=[]))
    if _widest(whole) <= width:
        return "\n\n".join([whole, *notes])
    parts = [_narrow(one, width) for one in apart(grid)]
    return "\n\n".join([*parts, *notes])


def _note(text: str, width: int) -> str:
    """A sentence, broken; one that ends in a command is to be copied as it stands."""
    if _COMMAND in text:
        return text
    return "\n".join(_broken(text, width))


def _narrow(grid: Grid, width: int) -> str:
    """A table of one group under its heading, its widest text broken until it fits."""
    (group,) = grid.groups
    heading = _broken(group.heading, width) if group.heading else []
    bare = replace(grid, groups=[replace(group, heading="")])
    limits = [
        max(map(len, ["", *column.title.split(), *(r[place] for r in group.rows)]))
        for place, column in enumerate(bare.columns)
    ]
    least = [
        max(map(len, ["", *column.title.split(), *_words(group, place, column)]))
        for place, column in enumerate(bare.columns)
    ]
    over = sum(limits) + 2 * (len(limits) - 1) - width
    while over > 0 and any(map(operator.gt, limits, least)):
        place = max(range(len(limits)), key=lambda i: (limits[i] > least[i], limits[i]))
        limits[place] -= 1
        over -= 1
    return "\n".join([*heading, plain(_folded(bare, limits))])


def _words(group: Group, place: int, column: Column) -> list[str]:
    """What of a column cannot be broken: numbers at all, words of a text."""
    cells = [row[place] for row in group.rows]
    return [word for cell in cells for word in cell.split()] if column.text else cells


def _folded(grid: Grid, limits: list[int]) -> Grid:
    """Cells over the limit of their column go on in rows below."""
    (group,) = grid.groups
    rows = [
        list(line)
        for row in group.rows
        for line in itertools.zip_longest(*(map(_broken, row, limits)), fillvalue="")
    ]
    return replace(grid, groups=[replace(group, rows=rows)])


def _broken(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, break_long_words=False, break_on_hyphens=False
    ) or [""]


def _widest(text: str) -> int:
    return max(map(len, text.splitlines()), default=0)


def plain(grid: Grid) -> str:
    """Headings on lines of their own, so that they widen no column."""
    rows = [row for group in grid.groups for row in group.rows]
    cells = [[row[place] for row in rows] for place in range(len(grid.columns))]
    titles = [
        _wrapped(column.title, texts)
        for column, texts in zip(grid.columns, cells, strict=True)
    ]
    head = [list(line) for line in itertools.zip_longest(*titles, fillvalue="")]
    widths = (max(map(len, both)) for both in map(operator.add, titles, cells))
    body = tabulate(
        [*head, *rows],
        tablefmt="plain",
        colalign=sides(grid),
        disable_numparse=True,
    ).splitlines()
    lines = [*body[: len(head)], "  ".join("-" * width for width in widths)]
    body = body[len(head) :]
    for group in grid.groups:
        lines += [group.heading] if group.heading else []
        lines += [body.pop(0) for _ in group.rows]
    return "\n\n".join(["\n".join(lines), *grid.notes])


def _wrapped(title: str, cells: list[str]) -> list[str]:
    """A title in lines no wider than its cells, if its words allow."""
    return _broken(title, max(map(len, [*cells, *title.split(), "-"])))
