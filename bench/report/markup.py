"""A table with group headings and notes, written in the formats people paste.

Cells are text already: nothing here rounds, guesses a type or drops a character.
"""

from __future__ import annotations

import csv
import html
import io
import itertools
import json
import operator
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tabulate import tabulate

from bench.errors import UserError, unknown

DASH = "—"


class Best(str):
    """A cell that holds the best value of its column inside its group."""


@dataclass(frozen=True)
class Column:
    """A heading, and whether its cells are text (left) or numbers (right)."""

    title: str
    text: bool = False
    optional: bool = False
    """Left out for people where it holds dashes alone; data formats keep it."""
    data_only: bool = False
    """Kept for programs; a note tells people what it holds."""

    @property
    def name(self) -> str:
        """The title, or `model` for the blank first heading of a paper's table."""
        return self.title or "model"


@dataclass(frozen=True)
class Group:
    """Rows under one heading; an empty heading prints nothing."""

    heading: str
    rows: list[list[str]]
    behind: list[list[str]] = field(default_factory=list)
    """For each row the attempts that it is made of; json carries them."""


@dataclass(frozen=True)
class Grid:
    """A table: columns, groups of rows, and sentences that stand below it."""

    columns: list[Column]
    groups: list[Group]
    notes: list[str] = field(default_factory=list)
    group_title: str = "group"
    """Name of the column that holds the headings in csv and json."""
    cites: list[str] = field(default_factory=list)
    """Keys of the papers behind published rows; latex cites them."""


def render(grid: Grid, fmt: str) -> str:
    """The table in one of `FORMATS`, ending without a newline."""
    if fmt not in FORMATS:
        raise UserError(unknown("table format", fmt, FORMATS))
    return FORMATS[fmt](grid if fmt in _DATA else for_people(grid))


def for_people(grid: Grid) -> Grid:
    """The table without the columns that would only make it wide."""
    rows = [row for group in grid.groups for row in group.rows]
    kept = [
        place
        for place, column in enumerate(grid.columns)
        if not column.data_only
        and not (column.optional and all(row[place] == DASH for row in rows))
    ]
    groups = [
        replace(group, rows=[[row[place] for place in kept] for row in group.rows])
        for group in grid.groups
    ]
    return replace(grid, columns=[grid.columns[place] for place in kept], groups=groups)


def _plain(grid: Grid) -> str:
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
        colalign=_sides(grid),
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
    widest = max(map(len, [*cells, *title.split(), "-"]))
    return textwrap.wrap(
        title, widest, break_long_words=False, break_on_hyphens=False
    ) or [""]


def _sides(grid: Grid) -> list[str]:
    return ["left" if column.text else "right" for column in grid.columns]


def _github(grid: Grid) -> str:
    rows = []
    for group in grid.groups:
        blank = [""] * (len(grid.columns) - 1)
        rows += [[f"**{markdown(group.heading)}**", *blank]] if group.heading else []
        rows += [
            [_bold(text, markdown, "**{}**") for text in row] for row in group.rows
        ]
    body = _tabulated(grid, "github", rows)
    return "\n\n".join([body, *map(markdown, grid.notes)])


def _bold(text: str, escape: Callable[[str], str], frame: str) -> str:
    return frame.format(escape(text)) if isinstance(text, Best) else escape(text)


def _tabulated(grid: Grid, style: str, rows: list[list[str]]) -> str:
    return tabulate(
        rows,
        headers=[column.title for column in grid.columns],
        tablefmt=style,
        colalign=_sides(grid),
        disable_numparse=True,
    )


def _latex(grid: Grid) -> str:
    letters = "".join("l" if column.text else "r" for column in grid.columns)
    titles = " & ".join(latex(column.title) for column in grid.columns)
    body = [f"{titles} \\\\"]
    for group in grid.groups:
        body.append("\\midrule")
        if group.heading:
            across = f"\\multicolumn{{{len(grid.columns)}}}{{l}}"
            body.append(f"{across}{{\\emph{{{latex(group.heading)}}}}} \\\\")
        body += [" & ".join(map(_latex_cell, row)) + " \\\\" for row in group.rows]
    notes = [f"\n{latex(note)}" for note in grid.notes]
    if grid.cites:
        notes.append(f"\nPublished rows: \\cite{{{','.join(grid.cites)}}}.")
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,pifont,siunitx}",
            f"\\begin{{tabular}}{{{letters}}}",
            "\\toprule",
            *body,
            "\\bottomrule",
            "\\end{tabular}",
            *notes,
        ]
    )


_NUMBER = re.compile(r"(0|[1-9]\d{0,2}(,\d{3})+|[1-9]\d*)(\.\d+)?")


def _latex_cell(text: str) -> str:
    """A plain number goes through siunitx; the best one is set bold as it stands."""
    if _NUMBER.fullmatch(text) and not isinstance(text, Best):
        return f"\\num{{{text.replace(',', '')}}}"
    return _bold(text, latex, "\\textbf{{{}}}")


_INLINE = {True: 'style="text-align:left"', False: 'style="text-align:right"'}
_CLASSES = {True: 'class="text"', False: 'class="number"'}


def html_for_page(grid: Grid) -> str:
    """The table for a page with a style of its own, which may forbid inline styles."""
    return _html(for_people(grid), _CLASSES)


def _html(grid: Grid, sides: Mapping[bool, str] = _INLINE) -> str:
    titles = "".join(f'<th scope="col">{_escaped(c.title)}</th>' for c in grid.columns)
    body = list(_html_rows(grid, sides))
    notes = [f"<p>{_escaped(note)}</p>" for note in grid.notes]
    return "\n".join(
        ["<table>", f"<thead><tr>{titles}</tr></thead>", *body, "</table>", *notes]
    )


def _html_rows(grid: Grid, sides: Mapping[bool, str]) -> Iterator[str]:
    for group in grid.groups:
        yield "<tbody>"
        if group.heading:
            span = f'<th colspan="{len(grid.columns)}" scope="rowgroup">'
            yield f"<tr>{span}{_escaped(group.heading)}</th></tr>"
        for row in group.rows:
            cells = "".join(
                f"<td {sides[column.text]}>{_bold(text, _escaped, '<b>{}</b>')}</td>"
                for column, text in zip(grid.columns, row, strict=True)
            )
            yield f"<tr>{cells}</tr>"
        yield "</tbody>"


def _csv(grid: Grid) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([grid.group_title, *(column.name for column in grid.columns)])
    for group in grid.groups:
        writer.writerows([group.heading, *row] for row in group.rows)
    return out.getvalue().rstrip("\n")


def _json(grid: Grid) -> str:
    titles = [column.name for column in grid.columns]
    rows: list[dict[str, object]] = [
        {grid.group_title: group.heading, **dict(zip(titles, row, strict=True))}
        for group in grid.groups
        for row in group.rows
    ]
    behind = [attempts for group in grid.groups for attempts in group.behind]
    if behind:
        rows = [
            {**row, "attempt_ids": attempts}
            for row, attempts in zip(rows, behind, strict=True)
        ]
    made = {"rows": rows, "notes": grid.notes}
    return json.dumps(made, ensure_ascii=False, indent=2)


FORMATS: dict[str, Callable[[Grid], str]] = {
    "table": _plain,
    "github": _github,
    "latex": _latex,
    "html": _html,
    "csv": _csv,
    "json": _json,
}

_DATA = ("csv", "json")
"""Formats for programs: every column, always."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "—": "---",
    "–": "--",
    "×": r"$\times$",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "‡": r"\ddag{}",
    "†": r"\dag{}",
    "☎": r"\ding{37}",
    "™": r"\texttrademark{}",
    "µ": r"\textmu{}",
    "μ": r"\textmu{}",
}


# what pdflatex sets without another package; the rest of Unicode would stop it
_SET = {chr(code) for code in (*range(32, 127), *range(0xA0, 0x100))} - set("«»ÐÞðþ")


def latex(text: str) -> str:
    r"""`text` for LaTeX, its specials escaped; what it cannot set is its code point.

    >>> latex("a_b & 50 %, 2×3")
    'a\\_b \\& 50 \\%, 2$\\times$3'
    >>> latex("--out 机")
    '-{}-out [U+673A]'
    """
    pairs = itertools.pairwise(" " + text.replace("\n", " "))
    made = "".join(
        "{}-" if before == char == "-" else _in_latex(char) for before, char in pairs
    )
    return re.sub(r"^([*[])", r"{\1}", made)  # the end of a row would take it over


def _in_latex(char: str) -> str:
    if char in _LATEX:
        return _LATEX[char]
    return char if char in _SET else f"[U+{ord(char):04X}]"


def markdown(text: str) -> str:
    r"""`text` for a GitHub table cell: what would start markup is escaped.

    >>> markdown("a|b *c* <d>")
    'a\\|b \\*c\\* &lt;d&gt;'
    """
    text = text.replace("\\", "\\\\").replace("\n", " ")
    text = text.replace("<", "&lt;").replace(">", "&gt;")
    for special in "|*_`[]":
        text = text.replace(special, f"\\{special}")
    return text


def _escaped(text: str) -> str:
    return html.escape(text)
