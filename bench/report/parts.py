"""Pieces of HTML for the report page: tables, lists, paragraphs, code.

Text of results is foreign: every word of it is escaped, and shown, never run.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.key import plain
from bench.report.grid import DASH

Line = Sequence[object]


@dataclass(frozen=True)
class Html:
    """Markup made here, from escaped text; everything else is text."""

    markup: str


def table(titles: Iterable[str], lines: Iterable[Line], numbers: Iterable[int]) -> str:
    """A table that scrolls by itself; `numbers` are the columns set to the right."""
    right = set(numbers)
    head = "".join(
        f'<th scope="col" class="{_side(place, right)}">{html.escape(title)}</th>'
        for place, title in enumerate(titles)
    )
    body = []
    for line in lines:
        cells = (
            f'<td class="{_side(place, right)}">{_shown(value)}</td>'
            for place, value in enumerate(line)
        )
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll"><table class="fluid"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>\n"
    )


def _side(place: int, right: set[int]) -> str:
    return "number" if place in right else "text"


def _shown(value: Any) -> str:
    if isinstance(value, Html):
        return value.markup
    return html.escape(word(value))


def word(value: Any) -> str:
    """A value as one would write it; a dash for what is not known."""
    value = plain(value)
    if isinstance(value, int):
        return f"{value:,}"
    return DASH if value is None else str(value)


def heading(text: str) -> str:
    """A heading inside a section."""
    return f"<h3>{html.escape(text)}</h3>\n"


def said(text: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(text)}</p>\n"


def listed(lines: Iterable[str]) -> str:
    """An unordered list."""
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>\n"


def code(lines: Iterable[str]) -> str:
    """Lines to copy, as they stand."""
    return f"<pre><code>{html.escape(chr(10).join(lines))}</code></pre>\n"


def shows(text: str, column: str, asked: str) -> Html:
    """A button that filters the table of attempts by one column."""
    given = f'data-column="{html.escape(column)}" data-asked="{html.escape(asked)}"'
    label = html.escape(f"show these rows: {column} {asked}")
    return Html(
        f'<button type="button" class="show" {given} title="{label}">'
        f"{html.escape(text)}</button>"
    )
