"""Achieved FLOP/s as a share of the largest matrix product measured on that device.

The roof without its slope: an arithmetic intensity needs the bytes that a step moves,
and these are not recorded (caches decide them, no closed form does), nor is a copy
bandwidth. So there is no such axis, and no guess in its place.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.key import equal
from bench.plots import labels, panels, style
from bench.units import significant

NEEDS = (
    "flop_per_sec",
    "ceiling_flop_per_sec",
    "ceiling_share",
    "ceiling_method",
    "batch_size",
    "image_size",
    "mode",
)
NOTHING = "no row has both an achieved rate and a measured ceiling"
MOST_LINES = 24
"""More models than this in a figure cannot be read; the fastest sizes are kept."""
_EXTRA = ("gflop_per_sec", "ceiling_gflop_per_sec", "batch_size", "repetitions")


def points(rows: pd.DataFrame) -> pd.DataFrame:
    """One point per cell: the median share over its repetitions, in per cent."""
    done = rows[
        equal(rows, "status", "ok")
        & equal(rows, "source", "measured")
        & ~equal(rows, "role", "anchor")
        & rows["ceiling_share"].notna()
    ]
    parts = [
        _cell(part, title)
        for title, _, same in panels.titled(done, "img_per_sec_core")
        for _, part in same.groupby(["cell_id", "environment_id"], sort=False)
    ]
    if not parts:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    made = pd.DataFrame(parts)
    best = made.sort_values("share", ascending=False, kind="stable")
    best = best.drop_duplicates(["panel", "framework", "label"])
    known = panels.finished(_lines(best), "share", "line")
    return panels.exact(panels.in_order(known, ["y", "framework"]), *_EXTRA)


def _cell(part: pd.DataFrame, panel: str) -> dict[str, Any]:
    first = {name: part.iloc[0][name] for name in part.columns}
    achieved = part["flop_per_sec"].astype(float).median()
    ceiling = part["ceiling_flop_per_sec"].astype(float).median()
    return {
        **{name: first.get(name) for name in panels.POINT_COLUMNS},
        "panel": panel,
        "label": f"{first['model']}, {first['image_size']} px",
        "batch_size": first["batch_size"],
        "share": 100 * part["ceiling_share"].astype(float).median(),
        "gflop_per_sec": achieved / 1e9,
        "ceiling_gflop_per_sec": ceiling / 1e9,
        "repetitions": len(part),
    }


def _lines(made: pd.DataFrame) -> pd.DataFrame:
    """One line per model and size, the same in all panels, highest share on top."""
    order = made.groupby("label")["share"].max().sort_values(ascending=False)
    kept = list(order.index[:MOST_LINES])
    height = {label: float(len(kept) - 1 - i) for i, label in enumerate(kept)}
    shown = made[made["label"].isin(kept)]
    return shown.assign(line=[height[label] for label in shown["label"]])


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    count = found["panel"].nunique()
    lines = found["label"].nunique()
    across = style.across(count, width_in)
    figure, grid = style.canvas(count, width_in, panel_height_in=0.9 + 0.15 * lines)
    names = found.drop_duplicates("label").sort_values("y")
    for i, (axes, (name, part)) in enumerate(
        zip(grid, panels.by_panel(found), strict=True)
    ):
        _panel(axes, part)
        style.title(axes, name, across, bool(part["demo"].any()))
        axes.set_ylim(-0.7, lines - 0.3)
        axes.set_yticks(names["y"], names["label"] if i % across == 0 else [""] * lines)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("share of largest matrix product (%)")
    style.legend(figure, found)
    labels.settle(figure)
    return figure


def _panel(axes: Axes, part: pd.DataFrame) -> None:
    axes.axvline(100, color="#777777", linewidth=0.8, zorder=1)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    style.scatter(axes, part)
    axes.set_xlim(0, max(108.0, 1.05 * float(part["x"].max())))


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, its ceilings, and why it is no full roofline."""
    text = (
        "Achieved FLOP/s, counted in closed form, as a share of the largest matrix "
        "product measured beside it in the same framework and dtype (100 %). The bytes "
        "that a step moves are not recorded, so there is no axis of arithmetic "
        "intensity and no bandwidth roof."
    )
    for name, part in panels.by_panel(found):
        for framework, same in part.groupby("framework"):
            low, high = (
                significant(float(value))
                for value in (
                    same["ceiling_gflop_per_sec"].min(),
                    same["ceiling_gflop_per_sec"].max(),
                )
            )
            span = low if low == high else f"{low} to {high}"
            text += f" {name}, {framework}: ceiling {span} GFLOP/s."
    return text + panels.demo_sentence(found)
