"""The page of `relative`: one line per model, a panel per machine, ratios at the right.

What panels of a row have in common in front of the colon of their names, as a machine,
is written once above them. In a column of 3.25 in three panels stand side by side, in
small letters: their ratios are read as numbers, their marks as an order.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.plots import labels, panels, style
from bench.units import significant

MOST_COLUMNS = 5
MOST_NARROW = 3
_VALUE_IN = 0.32
"""The column of ratios at the right edge of a panel."""
_LEFT = 0.08
"""Padding of the x axis on the left, a share of its span."""
_NAMES_IN = 0.6
"""The models' names left of the panels."""
_GAP_IN = 0.14
"""Between two panels."""
_EDGES = 0.4
"""Room above the first model and below the last, in lines."""
_LINE_EM = 1.2
"""From one line of a title to the next, in its letters' size."""
_TITLE_PAD_PT = 5
_TICKS_IN = 0.16
_LABEL_IN = 0.14
"""A line of the name of the x axis."""
_ROW_GAP_IN = 0.16
_DRAWN = ["x", "y", "flipped", "x_low", "x_high", "family"]


@dataclass(frozen=True)
class _Page:
    """What follows from the width of the page and the number of panels."""

    width_in: float
    count: int

    @property
    def narrow(self) -> bool:
        return self.width_in < style.NARROW_IN

    @property
    def across(self) -> int:
        """Panels in a row, all rows of equal length but the last."""
        most = MOST_NARROW if self.narrow else MOST_COLUMNS
        return math.ceil(self.count / math.ceil(self.count / most))

    @property
    def panel_in(self) -> float:
        """The width of the axes of a panel."""
        return (self.width_in - _NAMES_IN) / self.across - _GAP_IN

    @property
    def title_in(self) -> float:
        """The width of a panel's title, which may reach over the gap."""
        return self.panel_in + 0.9 * _GAP_IN

    @property
    def title_pt(self) -> float:
        return style.SMALL_PT if self.narrow else style.TEXT_PT

    @property
    def line_in(self) -> float:
        """From one model to the next."""
        return 0.1 if self.narrow else 0.12

    def inches_of(self, count: int) -> float:
        """The width of so many neighbours, the gaps between them included."""
        return count * (self.panel_in + _GAP_IN) - _GAP_IN

    def rows(self) -> list[range]:
        """The panels of each row."""
        every = range(self.count)
        return [every[i : i + self.across] for i in every[:: self.across]]


@dataclass(frozen=True)
class _Title:
    """A panel's own words, and what is written above it and its neighbours."""

    text: str
    head: str = ""
    below: int = 0
    """Lines of the longest title under the head."""
    over: int = 1
    """How many panels the head is of."""

    @property
    def lines(self) -> int:
        return self.text.count("\n") + 1


def draw(found: pd.DataFrame, reference: str, width_in: float) -> Figure:
    """The figure of these points, x divided by the reference's."""
    parts = [*panels.by_panel(found)]
    page = _Page(width_in, len(parts))
    titles = _titles([name for name, _ in parts], page)
    names = [_names([parts[i][1] for i in row]) for row in page.rows()]
    figure, grid = style.canvas(
        page.count,
        width_in,
        columns=page.across,
        narrow=page.across,
        panel_height_in=_heights_in(names, titles, _x_label(reference, page), page),
        shares=[len(one) + _EDGES for one in names],
    )
    every = pd.concat([found[name].dropna() for name in ("x", "x_low", "x_high")])
    for i, (axes, (_, part)) in enumerate(zip(grid, parts, strict=True)):
        here = names[i // page.across]
        line = {model: len(here) - 1.0 - n for n, model in enumerate(here)}
        _panel(axes, part.assign(y=part["model"].map(line)), every, page)
        demo = bool(part["demo"].any())
        style.title(axes, titles[i].text, 1, demo, page.title_in, page.title_pt)
        axes.set_ylim(-(1 + _EDGES) / 2, len(here) - (1 - _EDGES) / 2)
        first = i % page.across == 0
        axes.set_yticks([*line.values()], here if first else [""] * len(here))
        axes.tick_params(axis="y", length=0)
        if i in page.rows()[-1]:
            axes.set_xlabel(_x_label(reference, page))
        if page.narrow:  # the same numbers as below
            axes.tick_params(axis="x", labelbottom=style.is_lowest(axes))
    style.legend(figure, found)
    labels.settle(figure)
    for i, title in enumerate(titles):
        _write_head(figure, title, grid[i : i + title.over], page.title_pt)
    return figure


def _x_label(reference: str, page: _Page) -> str:
    return style.broken(f"relative to {reference}", page.title_in, style.TEXT_PT)


def _names(parts: list[pd.DataFrame]) -> list[str]:
    """The models of a row of panels, from the top: those that it shows."""
    row = pd.concat(parts).sort_values("y", ascending=False)
    return [*row["model"].drop_duplicates()]


def _titles(names: list[str], page: _Page) -> list[_Title]:
    """The title of each panel: the common head of neighbours stands over the first."""
    made: list[_Title] = []
    for row in page.rows():
        split = [names[i].rpartition(": ") for i in row]
        for head, run in itertools.groupby(split, key=lambda words: words[0]):
            texts = [text for _, _, text in run]
            made += _run(head, texts, page)
    return made


def _run(head: str, texts: list[str], page: _Page) -> list[_Title]:
    """The titles of neighbours that have this head in common."""
    wide, size = page.title_in, page.title_pt
    if len(texts) == 1 or not head:
        whole = [f"{head}: {text}" if head else text for text in texts]
        return [_Title(style.broken(one, wide, size)) for one in whole]
    own = [style.broken(text, wide, size) for text in texts]
    most = 1 + max(text.count("\n") for text in own)
    above = style.broken(f"{head}:", page.inches_of(len(texts)), size)
    blank = "\n" * (above.count("\n") + 1 + most - (own[0].count("\n") + 1))
    return [_Title(blank + own[0], above, most, len(texts)), *map(_Title, own[1:])]


def _write_head(figure: Figure, title: _Title, over: list[Axes], size: float) -> None:
    """The head over a line along its panels; blank lines of a title keep its room."""
    if not title.head:
        return
    box, last = over[0].get_position(), over[-1].get_position()
    high = figure.get_size_inches()[1]
    up = _TITLE_PAD_PT + _LINE_EM * size * title.below
    level = [box.y1 + (up - 0.1 * size) / 72 / high] * 2
    figure.add_artist(Line2D([box.x0, last.x1], level, color="#999999", linewidth=0.5))
    base = box.y1 + (up + 0.25 * size) / 72 / high
    figure.text(box.x0, base, title.head, fontsize=size, va="baseline", gid="head")


def _heights_in(
    names: list[list[str]], titles: list[_Title], x_label: str, page: _Page
) -> list[float]:
    """The height of each row of panels: its lines, its longest title, the x axis."""
    words = x_label.count("\n") + 1
    made = []
    for here, row in zip(names, page.rows(), strict=True):
        end = row[-1] + 1 == page.count
        lowest = row[-1] + page.across >= page.count
        longest = max(titles[i].lines for i in row)
        high = _ROW_GAP_IN + page.line_in * (len(here) + _EDGES)
        high += _LINE_EM * page.title_pt / 72 * longest
        high += _TICKS_IN * (lowest or not page.narrow) + _LABEL_IN * words * end
        made.append(high)
    return made


def ratio(value: float) -> str:
    """As it stands beside a point.

    >>> ratio(1.5), ratio(0.0632)
    ('1.50', '0.063')
    """
    return f"{value:.2f}" if value >= 0.1 else significant(value, 2)


def _room(page: _Page) -> float:
    """Padding of the x axis on the right, a share of its span: the column of ratios."""
    share = _VALUE_IN / page.panel_in
    return share * (1 + _LEFT) / (1 - share)


def _panel(axes: Axes, part: pd.DataFrame, every: pd.Series[Any], page: _Page) -> None:
    axes.axvline(1, color="#777777", linewidth=0.8, zorder=1)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    style.scatter(axes, part)
    style.log_axis(axes, "x", every, pad=(_LEFT, _room(page)))
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= every.max()])
    for x, y, flipped, *ends, family in part[_DRAWN].to_numpy():
        low, high = (x if end is None else end for end in ends)
        axes.hlines(y, low, high, color=style.COLOURS[family], linewidth=0.9, gid="bar")
        axes.annotate(
            ratio(x),
            (1, y),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            fontsize=style.SMALL_PT,
            fontweight="bold" if flipped else "normal",
            color="#8a1c1c" if flipped else "#222222",
            gid="value",
        )
