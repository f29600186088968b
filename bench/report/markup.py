"""Tables with group headings and notes, written in the formats people paste.

Cells are text already: nothing here rounds, guesses a type or drops a character. What
programs read is written by `bench.report.data`.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from tabulate import tabulate

from bench.errors import UserError, unknown
from bench.report.data import DATA, document
from bench.report.grid import DASH as DASH
from bench.report.grid import Best as Best
from bench.report.grid import Column as Column
from bench.report.grid import Grid as Grid
from bench.report.grid import Group as Group
from bench.report.grid import for_people, sides
from bench.report.plain import plain, within


def render(grid: Grid, fmt: str, width: int | None = None) -> str:
    """The table in one of `FORMATS`, ending without a newline.

    `width` is for `table` alone: where the whole is wider, each group stands on its own
    with the columns that it needs, and long text is broken.
    """
    return render_all([grid], fmt, width)


def render_all(grids: Sequence[Grid], fmt: str, width: int | None = None) -> str:
    """Several tables below each other; as data, one document with the lines of all."""
    if fmt not in FORMATS:
        raise UserError(unknown("table format", fmt, FORMATS))
    if fmt in DATA:
        return document(grids, fmt)
    shown = [for_people(grid) for grid in grids]
    if fmt == "table" and width is not None:
        return "\n\n".join(within(grid, width) for grid in shown)
    return "\n\n".join(_WRITERS[fmt](grid) for grid in shown)


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
        colalign=sides(grid),
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
    titles = "".join(
        f'<th scope="col" {sides[c.text]}>{_escaped(c.title)}</th>'
        for c in grid.columns
    )
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


_WRITERS: dict[str, Callable[[Grid], str]] = {
    "table": plain,
    "github": _github,
    "latex": _latex,
    "html": _html,
}

FORMATS = (*_WRITERS, *DATA)

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
