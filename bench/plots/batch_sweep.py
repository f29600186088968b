"""Images per second per core against the batch size, from the pilots' sweeps.

Pilots are short and serve to pick a batch; the rate that tables print was measured
afresh at the pick. Measured rows only: the paper names the best batch's rate alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.key import equal
from bench.plots import labels, panels, remember, style

NEEDS = ("sweep", "batch_size", "batch_knee", "cores", "image_size", "mode")
NOTHING = "no row holds a pilot sweep over batch sizes"
ENDS = {"oom": "did not fit", "memory": "would not fit", "time": "would take too long"}
_EXTRA = ("picked", "knee", "ended")


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Every batch size that a pilot timed; one sweep per cell, the first."""
    done = rows[
        equal(rows, "status", "ok")
        & equal(rows, "source", "measured")
        & rows["sweep"].notna()
        & rows["cores"].notna()
    ]
    parts = []
    for title, _, part in panels.titled(done, "img_per_sec_core"):
        for _, row in part.drop_duplicates("cell_id").iterrows():
            name = f"{title}, {row['framework']}, {row['image_size']} px"
            parts.append(_sweep(row).assign(panel=name))
    if not parts:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    known = panels.finished(pd.concat(parts, ignore_index=True), "batch", "rate")
    return panels.exact(panels.in_order(known, ["label", "x"]), *_EXTRA)


def _sweep(row: pd.Series[Any]) -> pd.DataFrame:
    """One row's sweep as points, with the row's own columns beside each."""
    pilots = pd.DataFrame(list(row["sweep"]))
    last = str(pilots["status"].iloc[-1])
    timed = pilots[pilots["step_s"].notna()]
    batch = timed["batch_size"].astype(int)
    rate = batch / timed["step_s"].astype(float) / float(row["cores"])
    kept = {name: row[name] for name in panels.POINT_COLUMNS if name in row.index}
    return timed[[]].assign(
        **kept,
        label=row["model"],
        batch=batch,
        rate=rate,
        picked=batch == row["batch_size"],
        knee=batch == row["batch_knee"],
        ended=ENDS.get(last, "gained under 3 % twice, or reached its largest"),
    )


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    count = found["panel"].nunique()
    across = style.across(count, width_in)
    figure, grid = style.canvas(
        count, width_in, panel_height_in=2.7, names=panels.lines_in_each(found)
    )
    for axes, (name, part) in zip(grid, panels.by_panel(found), strict=True):
        _panel(axes, part, across)
        style.title(axes, name, across, bool(part["demo"].any()))
        style.y_label(axes, f"images / s / core ({panels.core_name(part)})")
    style.legend(figure, found, tuple(_keys()))
    labels.settle(figure)
    for axes, (_, part) in zip(grid, panels.by_panel(found), strict=True):
        panels.name_line_ends(axes, part)
    return figure


def _keys() -> Iterator[Line2D]:
    for marker, size, label in (("o", 8, "picked"), ("|", 9, "knee")):
        yield Line2D(
            [], [], linestyle="", marker=marker, markersize=size, label=label,
            markerfacecolor="none", markeredgecolor="#222222", markeredgewidth=0.9,
        )  # fmt: skip


def _panel(axes: Axes, part: pd.DataFrame, across: int) -> None:
    style.scatter(axes, part)
    for _, line in part.groupby("label"):
        colour = style.COLOURS[str(line["family"].iloc[0])]
        axes.plot(line["x"], line["y"], color=colour, linewidth=0.9, gid="line")
    for column, marker, size in (("picked", "o", 75), ("knee", "|", 110)):
        marked = part[part[column].astype(bool)]
        axes.scatter(
            marked["x"], marked["y"], s=size, marker=marker, linewidths=0.9,
            facecolors="none" if marker == "o" else "#222222",
            edgecolors="#222222" if marker == "o" else None,
            zorder=4, gid=column,
        )  # fmt: skip
    style.log_axis(axes, "y", part["y"])
    style.log_axis(axes, "x", part["x"], pad=style.room_for_names(axes, across))
    batches = sorted(set(part["x"]))
    style.ticks_at(axes, "x", batches[:: 1 + len(batches) // 8])
    axes.set_xlabel("batch size")


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, and what ended a sweep early."""
    text = (
        "Pilot sweeps: throughput against batch size. Ring: the batch picked, at which "
        "fresh processes were then measured (the best of noisy pilots is too good). "
        "Bar: the knee, the smallest batch within 1 % of the best."
    )
    early = found[found["ended"].isin(list(ENDS.values()))]
    for (name, ended), part in early.groupby(["panel", "ended"], sort=False):
        text += f" {name}: a larger batch {ended} for {panels.listed(part['label'])}."
    return text + panels.demo_sentence(found)
