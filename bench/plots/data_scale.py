"""Accuracy against the number of pre-training images, a line for each setting.

Measured rows only: figure 2, right, of Tolstikhin et al. (2021) is drawn there and
its values are not tabulated, so nothing is published to put beside them.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.join import SETTINGS, training_rows
from bench.analysis.key import equal, plain
from bench.plots import labels, panels, remember, style

NEEDS = ("unique_images", "top1", "chance", "model", "family", "mode")
NOTHING = (
    "accuracy against pre-training images is not tabulated in the paper, and no model "
    "was measured at two data sizes"
)
_DATA_SIZE = ("data_examples", "data_fraction")
_LINE = [*(name for name in SETTINGS if name not in _DATA_SIZE), "environment_id"]
"""What a line shares: all that its cells declare, except the size of the data."""


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points: medians over seeds, with their range."""
    done = rows[
        equal(rows, "status", "ok")
        & equal(rows, "source", "measured")
        & equal(rows, "mode", "pretrain")
    ]
    parts = panels.split_by_key(
        training_rows(done), "top1", "core_days", name=panels.measured_name
    )
    if not parts:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    both = pd.concat(parts, ignore_index=True)
    for name in ("top1", "top1_low", "top1_high"):
        both[name] = 100 * both[name].astype(float)
    known = panels.finished(both.assign(label=_labels(both)), "unique_images", "top1")
    known = known.rename(columns={"top1_low": "y_low", "top1_high": "y_high"})
    lines = panels.one_line_each(known, _LINE)
    kept = panels.in_order(lines, ["model", "framework", "label", "x"])
    return panels.exact(kept, *_EXTRA)


_EXTRA = ("shuffle", "n_train", "y_low", "y_high", "total_steps")


def _labels(rows: pd.DataFrame) -> list[str]:
    return [
        f"{model}, {shuffle}" if plain(shuffle) not in (None, "none") else str(model)
        for model, shuffle in rows[["model", "shuffle"]].to_numpy()
    ]


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    count = found["panel"].nunique()
    figure, grid = style.canvas(count, width_in, panel_height_in=2.9)
    across = style.across(count, width_in)
    for axes, (name, part) in zip(grid, panels.by_panel(found), strict=True):
        _panel(axes, part, across)
        style.title(axes, name, across, bool(part["demo"].any()))
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
        axes.vlines(
            line["x"], line["y_low"], line["y_high"], color=colour, linewidth=0.9
        )
    for chance in sorted(set(part["chance"].dropna())):
        axes.axhline(100 * chance, color="#777777", linestyle=":", linewidth=0.8)
        axes.annotate(
            "chance",
            (1, 100 * chance),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            fontsize=style.SMALL_PT,
            color="#555555",
        )
    style.log_axis(axes, "x", part["x"], pad=style.room_for_names(axes, across))
    style.ticks_at(axes, "x", sorted(set(part["x"])))
    axes.set_xlabel("distinct pre-training images")
    axes.set_ylabel(f"{panels.tested_on(part)} top-1 accuracy (%)")


def caption(found: pd.DataFrame) -> str:
    """What the figure shows and what it does not."""
    seeds = sorted({int(n) for n in found["n_train"]})
    text = (
        "Accuracy against distinct pre-training images; points are medians over "
        f"{' or '.join(map(str, seeds))} runs, bars their whole range; what a line "
        "joins differs in the size of the data alone. "
        "The paper's own curve is not tabulated, so no published point is drawn."
    )
    return text + panels.demo_sentence(found)
