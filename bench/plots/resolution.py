"""Images per second per core against image size.

Published: models of Tolstikhin et al. (2021), Tables 2 and 3, that have throughput at
more than one size. Measured inference rows get a panel for each key.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.join import speed_rows, typed
from bench.analysis.key import equal, key_columns
from bench.plots import labels, panels, remember, style
from bench.specs import fields_of

NEEDS = ("img_per_sec_core", "image_size", "model", "family", "mode")
NOTHING = "no model has a throughput at two image sizes"


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points: models with two sizes or more."""
    done = rows[equal(rows, "status", "ok") & rows["image_size"].notna()]
    paper = done[done["table"].isin(["mixer-table2", "mixer-table3"])]
    paper = paper.drop_duplicates(["model", "image_size", "img_per_sec_core"])
    mine = done[equal(done, "source", "measured") & ~equal(done, "role", "anchor")]
    parts = panels.split_by_key(
        _at_best_batch(speed_rows(mine[equal(mine, "mode", "infer")])),
        "img_per_sec_core",
        name=panels.measured_name,
    )
    paper = typed(paper).assign(panel=panels.PUBLISHED_PANEL)
    both = pd.concat([paper, *parts], ignore_index=True)
    both = both.assign(label=both["model"])
    known = panels.finished(both, "image_size", "img_per_sec_core")
    lines = panels.one_line_each(known, _LINE)
    return panels.exact(
        panels.in_order(lines, ["model", "framework", "label", "x"]), *_EXTRA
    )


_EXTRA = ("batch_size", "batch_rule", "n", "citation")
_AXES = ("mode", "image_size", "batch_size")
_LINE = [*(name for name in fields_of("infer") if name not in _AXES), "environment_id"]
"""What a line shares: all that its cells declare, except the image and batch size."""


def _at_best_batch(rows: pd.DataFrame) -> pd.DataFrame:
    """Of several batch sizes the fastest, as in the paper: its throughput is at best.

    Anything else that differs makes another line.
    """
    if rows.empty:
        return rows
    ranked = rows.sort_values("img_per_sec_core", ascending=False, kind="stable")
    key = key_columns("img_per_sec_core")
    same = list(dict.fromkeys([*_LINE, "image_size", *key]))
    return ranked.drop_duplicates(same).sort_index()


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    count = found["panel"].nunique()
    figure, grid = style.canvas(count, width_in)
    across = style.across(count, width_in)
    for axes, (name, part) in zip(grid, panels.by_panel(found), strict=True):
        _panel(axes, part, across)
        style.title(axes, name, across, bool(part["demo"].any()))
        axes.set_ylabel(f"images / s / core ({panels.core_name(part)})")
    style.legend(figure, found)
    labels.settle(figure)
    for axes, (_, part) in zip(grid, panels.by_panel(found), strict=True):
        panels.name_line_ends(axes, part)
    return figure


def _panel(axes: Axes, part: pd.DataFrame, across: int) -> None:
    style.scatter(axes, part)
    for _, line in part.groupby(panels.LINE, dropna=False):
        colour = style.COLOURS[str(line["family"].iloc[0])]
        axes.plot(line["x"], line["y"], color=colour, linewidth=0.9, gid="line")
    style.log_axis(axes, "y", part["y"])
    style.log_axis(axes, "x", part["x"], pad=style.room_for_names(axes, across))
    style.ticks_at(axes, "x", sorted(set(part["x"])))
    axes.set_xlabel("image size (px)")


def caption(found: pd.DataFrame) -> str:
    """What the figure shows and what it does not."""
    text = (
        "Inference throughput against image size, for models timed at two sizes or "
        "more. Hollow: published; filled: measured. The published sizes are those of "
        "fine-tuning, and Mixer's token-mixing layers are wider at the larger size. "
        "Each point is at its best batch size of those timed, the paper's rule; what a "
        "line joins differs in image and batch size alone."
    )
    return text + panels.demo_sentence(found)
