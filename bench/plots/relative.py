"""Throughput relative to Mixer-B/16 on the same machine.

Rates of different machines cannot be compared; their ratios to one model can. Panels:
TPUv3 as published by Tolstikhin et al. (2021), Table 3, 224 px; the GPUs of timm's own
results; and every measured key in which Mixer-B/16 was timed at 224 px. A model that
stands on the other side of the reference than on TPUv3 is printed in bold: the paper's
ordering is not that of every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.join import speed_rows, typed
from bench.analysis.key import by_key, equal
from bench.plots import labels, panels, style
from bench.units import significant

NEEDS = ("img_per_sec_core", "image_size", "model", "family", "machine", "mode")
REFERENCE = "Mixer-B/16"
NOTHING = f"no machine has a throughput of {REFERENCE} at 224 px to divide by"
MOST_COLUMNS = 5
_EXTRA = ("flipped", "citation")


def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points: x is the ratio, y the model's line."""
    done = rows[
        equal(rows, "status", "ok")
        & equal(rows, "image_size", 224)
        & ~equal(rows, "role", "anchor")
    ]
    paper = done[equal(done, "table", "mixer-table3")].drop_duplicates("model")
    timm = done[equal(done, "table", "timm")]
    mine = done[equal(done, "source", "measured") & ~equal(done, "mode", "pretrain")]
    parts = [
        *_ratios(typed(paper), "Published, TPUv3"),
        *_ratios(typed(timm), "timm"),
        *_ratios(speed_rows(mine), "Measured"),
    ]
    if not parts:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    found = pd.concat(parts, ignore_index=True)
    found = _lines(found[found.groupby("model")["panel"].transform("nunique") > 1])
    return panels.exact(style.looks_of(_flips(found)), *_EXTRA)


def _ratios(rows: pd.DataFrame, origin: str) -> list[pd.DataFrame]:
    """Rows of each key and framework that hold the reference, divided by it."""
    made = []
    for key, part in by_key(rows, "img_per_sec_core"):
        for framework, one in part.groupby("framework", dropna=False, sort=False):
            best = one.sort_values("img_per_sec_core", ascending=False)
            best = best.drop_duplicates("model")
            rate = best["img_per_sec_core"]
            reference = rate[best["model"] == REFERENCE]
            if len(reference):
                name = _panel_name(origin, key, framework)
                ratio = rate / float(reference.iloc[0])
                made.append(best.assign(panel=name, x=ratio, label=best["model"]))
    return made


def _panel_name(origin: str, key: Mapping[str, Any], framework: object) -> str:
    if origin.startswith("Published"):
        return f"{origin}: inference"
    mode = {"infer": "inference", "train": "training"}[key["mode"]]
    words = [f"{origin}, {key['machine']}: {mode}"]
    if origin == "Measured":
        words += [str(framework), str(key["dtype"])]
    if key["track"] == "tuned":
        words.append("tuned")
    return ", ".join(words)


def _lines(found: pd.DataFrame) -> pd.DataFrame:
    """One line per model: families together, the fastest on top."""
    speed = found.groupby("model")["x"].median()
    family = found.drop_duplicates("model").set_index("model")["family"]
    order = sorted(speed.index, key=lambda name: (_rank(family[name]), -speed[name]))
    height = {name: len(order) - 1 - i for i, name in enumerate(order)}
    return found.assign(y=[float(height[name]) for name in found["model"]])


def _rank(family: object) -> int:
    order = ("mixer", "vit", "resnet")
    return order.index(str(family)) if family in order else len(order)


def _flips(found: pd.DataFrame) -> pd.DataFrame:
    """Mark models on the other side of the reference than the paper has them."""
    paper = found[equal(found, "table", "mixer-table3")].set_index("model")["x"]
    here = np.sign(found["x"].astype(float) - 1)
    there = np.sign(found["model"].map(paper.astype(float)) - 1)
    return found.assign(flipped=(here * there < 0).astype(bool))


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    count = found["panel"].nunique()
    lines = found["model"].nunique()
    columns = math.ceil(count / math.ceil(count / MOST_COLUMNS))  # rows of equal length
    figure, grid = style.canvas(
        count, width_in, columns=columns, narrow=2, panel_height_in=0.6 + 0.145 * lines
    )
    across = style.across(count, width_in, columns=columns, narrow=2)
    names = found.drop_duplicates("model").sort_values("y")
    for i, (axes, (name, part)) in enumerate(
        zip(grid, panels.by_panel(found), strict=True)
    ):
        _panel(axes, part, found["x"], across)
        style.title(axes, name, across, bool(part["demo"].any()))
        axes.set_ylim(-0.7, lines - 0.3)
        axes.set_yticks(names["y"], names["model"] if i % across == 0 else [""] * lines)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"relative to {REFERENCE}")
    style.legend(figure, found)
    labels.settle(figure)
    return figure


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else significant(value, 2)


def _panel(axes: Axes, part: pd.DataFrame, every: pd.Series[Any], across: int) -> None:
    axes.axvline(1, color="#777777", linewidth=0.8, zorder=1)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    style.scatter(axes, part)
    room = 0.13 * across  # decades; a value's text needs more in a narrow panel
    style.log_axis(axes, "x", every, pad=(room + 0.1, room))
    for x, y, flipped in part[["x", "y", "flipped"]].to_numpy():
        right = x >= 1  # away from the line of the reference
        axes.annotate(
            _ratio(x),
            (x, y),
            xytext=(5 if right else -5, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=style.SMALL_PT,
            fontweight="bold" if flipped else "normal",
            color="#8a1c1c" if flipped else "#222222",
            gid="value",
        )


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, and which models change sides."""
    text = (
        f"Throughput relative to {REFERENCE} (= 1) of the same machine, at 224 px, for "
        "models known on two panels or more. Hollow: published; filled: measured."
    )
    for name, part in panels.by_panel(found):
        flipped = part[part["flipped"].astype(bool)]
        if len(flipped):
            values = panels.listed(
                f"{model} ({_ratio(x)})"
                for model, x in flipped[["model", "x"]].to_numpy()
            )
            text += f" {name} does not reproduce the paper's ordering: {values}."
    return text
