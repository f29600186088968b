"""A table as people save it: a CSV of any delimiter, its cells and their numbers.

Nothing is guessed: a number that can be read in two ways, a formula, a line with other
columns than the heading are refused, each with its file and line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import ResultsError

MISSING = frozenset(("", "-", "–", "—", "na", "n/a", "#n/a", "nan", "null", "none"))
"""What stands in a cell without a value, in lower case."""

_DELIMITERS = (",", ";", "\t")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I | re.A)
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", re.A)
_AS_TEXT = re.compile(r'="([^"]*)"')
"""How a spreadsheet is told that a cell is text: `="0123"`."""


@dataclass(frozen=True)
class Line:
    """One line under the heading."""

    where: str
    """File and line, as an error names it."""
    cells: Mapping[str, str]
    commas_group: bool = True
    """A comma in a number parts thousands; elsewhere it may be a decimal one."""


def read(path: Path) -> list[Line]:
    """The lines of a CSV under its heading; empty ones are left out.

    The delimiter is the one of the heading that parts it into most columns.

    Raises:
        ResultsError: no such file, no text, no lines, an ambiguous or ragged table.
    """
    content = text(path)
    start, delimiter = 0, _delimiter(content.split("\n", 1)[0])
    if told := re.match(r"sep=(.)\r?\n", content):  # as a spreadsheet writes it
        start, delimiter = 1, told[1]
        content = content[told.end() :]
    reader = csv.reader(
        io.StringIO(content, newline=""), delimiter=delimiter, strict=True
    )
    try:
        found = [
            (start + reader.line_num, cells)
            for cells in reader
            if any(map(_full, cells))
        ]
    except csv.Error as error:
        raise ResultsError(f"{path}:{reader.line_num}: {error}; give a CSV") from error
    if len(found) < 2:
        raise ResultsError(f"{path}: holds no rows under a heading")
    heading = _heading(found[0][1], path)
    return [
        Line(
            f"{path}:{number}",
            _cells(heading, cells, f"{path}:{number}"),
            delimiter == ",",
        )
        for number, cells in found[1:]
    ]


def text(path: Path) -> str:
    """A file's text: UTF-8, or UTF-16 with its mark, as spreadsheets save it.

    Raises:
        ResultsError: there is no such file, or it is no text of these.
    """
    try:
        raw = path.read_bytes()
        marked = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        found = raw.decode("utf-16" if marked else "utf-8-sig")
    except FileNotFoundError as error:
        raise ResultsError(f"{path}: no such file; give a CSV") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(
            f"{path}: cannot be read as text; give a CSV saved as UTF-8"
        ) from error
    if "\0" in found:
        raise ResultsError(f"{path}: cannot be read as text; give a CSV saved as UTF-8")
    return found


def _delimiter(heading: str) -> str:
    return max(_DELIMITERS, key=heading.count)


def _full(cell: str) -> bool:
    return bool(cell.strip())


def _heading(cells: list[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise ResultsError(
            f"{path}: the heading holds {min(twice)!r} twice; rename one of them"
        )
    return names


def _cells(heading: list[str], cells: list[str], where: str) -> dict[str, str]:
    """The line as column -> cell; a nameless column must be empty."""
    while len(cells) > len(heading) and not _full(cells[-1]):
        cells = cells[:-1]
    if len(cells) != len(heading):
        raise ResultsError(
            f"{where}: {len(cells)} cells under a heading of {len(heading)}; quote a "
            "cell that holds the delimiter"
        )
    return {
        name: plain(cell, where)
        for name, cell in zip(heading, cells, strict=True)
        if name
    }


def plain(cell: str, where: str) -> str:
    """A cell's text without the dress of a spreadsheet; a formula is refused."""
    found = cell.strip()
    if told := _AS_TEXT.fullmatch(found):
        return told[1].strip()
    if found.startswith("="):
        raise ResultsError(
            f"{where}: {found!r}: is a formula, not a value; save the sheet's values"
        )
    return found


def missing(cell: str) -> bool:
    """The cell says that there is no value."""
    return cell.strip().lower() in MISSING


def number(cell: str, commas_group: bool = True) -> float | None:
    """A number as it is written, `1,234.5` where commas part thousands; else None.

    >>> number("1,234.5"), number("1,5"), number("1,234", commas_group=False)
    (1234.5, None, None)
    """
    found = cell.strip()
    if commas_group and _GROUPED.fullmatch(found):
        found = found.replace(",", "")
    if not _NUMBER.fullmatch(found):
        return None
    return float(found)
