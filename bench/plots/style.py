"""How every figure looks: one colour per family, one marker per framework.

Published points are hollow, measured ones filled. The colours keep apart for colour
blind readers and, by falling lightness, in greyscale. No text is under 6 pt.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.analysis import demo
from bench.analysis.key import values

WIDTH_IN = 6.75
"""A two-column page; one column is 3.25 in."""
NARROW_IN = 5.0
"""Below this width panels are stacked instead of standing side by side."""
PAGE_IN = 9.0
"""The text of a paper's page is 9 to 9.5 in high."""
_LEAST_IN = 1.2
"""The least height of a row of panels with its title and its axis."""
_FOOT_IN = 0.35
"""Room for the legend."""
_LOW = 20
"""Characters of a line beside a panel of a narrow page, which may be low."""
TEXT_PT = 7.0
SMALL_PT = 6.0
MANY_POINTS = 1_000
"""More points of one look stand in SVG and PDF as pixels: shapes are slow to open."""

COLOURS = {
    "vit": "#14205c",
    "resnet_v1": "#8a3a9c",
    "mixer": "#d1495b",
    "resnet": "#3aa6a0",
    "other": "#c6b896",
}
NAMES = {
    "vit": "ViT",
    "resnet_v1": "ResNet v1",
    "mixer": "Mixer",
    "resnet": "ResNet (BiT)",
    "other": "other",
}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_ENTRY_IN = 0.95
"""Width of an entry of a legend."""
_PLAIN_SOURCES = ("measured", "published", "closed form")
"""Any other source is the name of whose figures were imported."""
MARKERS = {"jax": "o", "torch": "s", "": "D"}
"""A published row of no stated framework is a diamond."""

_TICKS = {
    "axes.axisbelow": True,
    "axes.edgecolor": ".15",
    "axes.facecolor": "white",
    "axes.grid": False,
    "axes.labelcolor": ".15",
    "axes.spines.bottom": True,
    "axes.spines.left": True,
    "figure.facecolor": "white",
    "grid.color": ".8",
    "grid.linestyle": "-",
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "text.color": ".15",
    "xtick.bottom": True,
    "xtick.color": ".15",
    "xtick.direction": "out",
    "xtick.top": False,
    "ytick.color": ".15",
    "ytick.direction": "out",
    "ytick.left": True,
    "ytick.right": False,
}
"""seaborn's style `ticks`, written out: importing it takes as long as two figures."""
_RC = {
    **_TICKS,
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same bytes everywhere
    "font.size": TEXT_PT,
    "axes.titlesize": TEXT_PT,
    "axes.labelsize": TEXT_PT,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "legend.fontsize": SMALL_PT,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "mixer-bench",
    "savefig.dpi": 200,
    "figure.dpi": 100,
}


@contextmanager
def style() -> Iterator[None]:
    """The settings of every figure, for drawing and for saving."""
    settings: dict[Any, Any] = _RC
    with matplotlib.rc_context(settings):
        yield


def family_of(value: object) -> str:
    """A family with a colour of its own, or `other` (published families only)."""
    return str(value) if value in COLOURS else "other"


def across(panels: int, width_in: float, columns: int = 2, narrow: int = 1) -> int:
    """How many panels stand in a row: `columns`, or `narrow` on a narrow page."""
    return min(panels, narrow if width_in < NARROW_IN else columns)


def canvas(
    panels: int,
    width_in: float,
    *,
    columns: int = 2,
    narrow: int = 1,
    panel_height_in: float | Sequence[float] = 2.6,
    shares: Sequence[float] | None = None,
    names: Sequence[int] | None = None,
) -> tuple[Figure, list[Axes]]:
    """An empty figure with `panels` axes, side by side where the width allows.

    Rows of panels may have heights of their own, title and axis included; `shares` are
    then the heights of their axes relative to each other. Given the number of labels in
    each panel, `names`, rows that do not fit on a page share it: the more labels, the
    higher.
    """
    wide = across(panels, width_in, columns, narrow)
    deep = math.ceil(panels / wide)
    heights = np.broadcast_to(np.asarray(panel_height_in, dtype=float), deep)
    high = _FOOT_IN + float(heights.sum())
    if names is not None and high > PAGE_IN:
        high = max(PAGE_IN, _FOOT_IN + deep * _LEAST_IN)
        shares = _by_names(names, wide)
    figure = Figure(figsize=(width_in, high), layout="constrained")
    FigureCanvasAgg(figure)
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(w_pad=0.07)  # text is measured at another resolution than it is saved
    grid = figure.subplots(deep, wide, squeeze=False, height_ratios=shares).ravel()
    for spare in grid[panels:]:
        spare.remove()
    return figure, list(grid[:panels])


def _by_names(names: Sequence[int], across: int) -> list[float]:
    """The heights of the axes of each row relative to each other, by its labels."""
    most = [max(names[i : i + across]) for i in range(0, len(names), across)]
    return [min(max(0.5 + 0.08 * count, 0.8), 2.2) for count in most]


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _page_in(axes: Axes) -> float:
    """The width of the page that these axes are on."""
    return float(_figure_of(axes).get_size_inches()[0])


def is_narrow(axes: Axes) -> bool:
    """Whether the page of these axes is one column, its panels low."""
    return _page_in(axes) < NARROW_IN


def is_lowest(axes: Axes) -> bool:
    """Whether no panel of the figure stands below these axes."""
    own = _place(axes)
    return not any(
        other.colspan == own.colspan and other.rowspan.start > own.rowspan.start
        for other in map(_place, _figure_of(axes).axes)
    )


def _place(axes: Axes) -> SubplotSpec:
    place = axes.get_subplotspec()
    assert place is not None
    return place


def y_label(axes: Axes, text: str) -> None:
    """Name the y axis; beside a low panel in short lines."""
    axes.set_ylabel(textwrap.fill(text, _LOW) if is_narrow(axes) else text)


def scatter(axes: Axes, points: pd.DataFrame) -> None:
    """Draw `x` and `y` of points, one collection per look, named by its group id."""
    looks = ["family", "framework", "source"]
    for look, part in points.groupby(looks, sort=True):
        family, framework, source = map(str, look)
        colour = COLOURS[family]
        axes.scatter(
            part["x"],
            part["y"],
            s=20,
            marker=MARKERS[framework],
            facecolors=colour if source == "measured" else "white",
            edgecolors=colour,
            linewidths=1.1,
            zorder=3,
            gid=f"points {family} {framework} {source}",
            rasterized=len(part) > MANY_POINTS,
        )


def looks_of(points: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that decide a point's look: family, framework, demo."""
    models, frameworks = values(points["model"]), values(points["framework"])
    small = {name: demo.is_demo(str(name)) for name in set(models)}
    return points.assign(
        family=[family_of(value) for value in values(points["family"])],
        framework=[str(v) if v in MARKERS else "" for v in frameworks],
        demo=[small[name] for name in models],
    )


def legend(
    figure: Figure, points: pd.DataFrame, extra: tuple[Line2D, ...] = ()
) -> None:
    """One legend below all panels, of the looks that occur."""
    handles: list[Artist] = [*_families(points), *_frameworks(points), *extra]
    most = max(2, int(figure.get_size_inches()[0] / _ENTRY_IN))
    lines = math.ceil(len(handles) / most)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=math.ceil(len(handles) / lines),  # lines of equal length
        frameon=False,
        handlelength=1.6,
        handletextpad=0.3,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def _families(points: pd.DataFrame) -> Iterator[Patch]:
    """Colours alone: a marker's form is the framework's."""
    for family in [name for name in COLOURS if name in set(points["family"])]:
        yield Patch(facecolor=COLOURS[family], edgecolor="none", label=NAMES[family])


def _frameworks(points: pd.DataFrame) -> Iterator[Line2D]:
    seen = (
        points[["framework", "source"]]
        .drop_duplicates()
        .sort_values(["source", "framework"])
    )
    looks = dict.fromkeys(
        (source if source in _PLAIN_SOURCES else "imported", framework)
        for framework, source in seen.itertuples(index=False)
    )
    for source, framework in looks:
        words = ", ".join(word for word in (source, framework) if word)
        fill = "#444444" if source == "measured" else "white"
        yield _key(words, MARKERS[framework], fill, "#444444")


def _key(label: str, marker: str, fill: str, edge: str) -> Line2D:
    return Line2D(
        [], [], linestyle="", marker=marker, markersize=4.2, label=label,
        markerfacecolor=fill, markeredgecolor=edge,
    )  # fmt: skip


def title(
    axes: Axes,
    text: str,
    across: int,
    warn: bool = False,
    inches: float | None = None,
    size_pt: float = TEXT_PT,
) -> None:
    """A panel's title, with the demo warning inside the image where it is due.

    Both are broken to `inches`, by default the width of a panel when `across` of them
    stand in a row.
    """
    inches = inches or _page_in(axes) / across - 0.6
    note = broken(demo.NOTE, inches, SMALL_PT) if warn else ""
    lines = note.count("\n") + 1 if warn else 0
    axes.set_title(
        broken(text, inches, size_pt),
        loc="left",
        pad=5 + 1.35 * SMALL_PT * lines,
        fontsize=size_pt,
    )
    if warn:
        axes.annotate(
            note,
            (0, 1),
            xytext=(0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=SMALL_PT,
            style="italic",
            color="#8a1c1c",
            annotation_clip=False,
            gid="demo",
        )


def broken(text: str, inches: float, size_pt: float) -> str:
    """Each line of `text` in lines that fit; a character is about 0.56 em wide."""
    most = max(16, int(inches * 72 / (0.56 * size_pt)))
    lines = text.split("\n")  # amd-epyc is one word
    return "\n".join(textwrap.fill(one, most, break_on_hyphens=False) for one in lines)


def log_axis(
    axes: Axes, which: str, values: Any, pad: tuple[float, float] = (0.08, 0.08)
) -> None:
    """A log axis over `values` with plain ticks; `pad` is a share of its span."""
    low, high = float(min(values)), float(max(values))
    span = max(high / low, 1.5)
    low, high = low / span ** pad[0], high * span ** pad[1]
    axis = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(low, high)
    axis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))


def room_for_names(axes: Axes, across: int) -> tuple[float, float]:
    """Padding of an x axis whose lines are named at their right ends."""
    left = 0.45 if is_narrow(axes) else 0.0  # names of y axes have two lines there
    return 0.08, 1.35 / (_page_in(axes) / across - left)


def ticks_at(axes: Axes, which: str, values: list[float]) -> None:
    """Ticks at the values themselves, leaving out those too close to be read."""
    kept = values[:1]
    apart = max(1.12, (values[-1] / values[0]) ** 0.08) if values else 1.12
    for value in values[1:]:
        if value / kept[-1] > apart:
            kept.append(value)
    getattr(axes, f"{which}axis").set_major_locator(FixedLocator(kept))


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between `low` and `high` for a log axis, at most `most`.

    >>> log_ticks(80, 25_000), log_ticks(3, 8)
    ([100.0, 300.0, 1000.0, 3000.0, 10000.0], [3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    >>> log_ticks(0.5, 2e6, most=4)
    [10.0, 1000.0, 100000.0]
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for step in range(1, len(decades) + 1):
        for digits in ((1, 2, 5), (1, 3), (1,)) if step == 1 else ((1,),):
            ticks = [digit * 10.0**e for e in decades[::step] for digit in digits]
            ticks = [tick for tick in ticks if low <= tick <= high]
            if 3 <= len(ticks) <= most:
                return ticks
    locator = MaxNLocator(most - 1, steps=[1, 2, 5, 10])
    return [float(t) for t in locator.tick_values(low, high) if low <= t <= high]


def plain_number(value: float) -> str:
    """A tick label, with a power of ten only below a thousandth.

    >>> plain_number(10_000.0), plain_number(0.002), plain_number(1.5)
    ('10,000', '0.002', '1.5')
    >>> plain_number(4e-5), plain_number(1e-6)
    ('4×10⁻⁵', '10⁻⁶')
    """
    if 0 < value < 1e-3:
        digits, _, power = f"{value:.9e}".partition("e")
        digits = f"{float(digits):g}×" if float(digits) != 1 else ""
        return f"{digits}10{str(int(power)).translate(_RAISED)}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.10f}".rstrip("0").rstrip(".")
