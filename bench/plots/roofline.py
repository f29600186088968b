"""Roofline: achieved share of the measured ceiling against arithmetic intensity.

Both axes are divided by what was measured on the machine in the run of the point:
FLOP/s by the largest matrix product in that dtype, intensity by that of the ridge
(product over copy bandwidth). One roof, 1 at a ridge at 1, then stands over runs whose
ceilings differ, and each point's distance to it is its own.

The bytes are a lower bound in closed form, what a step must move at the least: the
weights once (in training read and written), the images and the logits once. Whatever
else leaves the caches, intermediate activations above all, moves a point to the left,
so a point is drawn at the largest intensity that it can have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.key import equal, key_columns
from bench.plots import labels, panels, remember, style
from bench.units import significant

NEEDS = (
    "flop_per_sec",
    "ceiling_flop_per_sec",
    "ceiling_share",
    "bandwidth_bytes_per_sec",
    "macs",
    "param_count",
    "num_classes",
    "batch_size",
    "image_size",
    "mode",
    "dtype",
)
NOTHING = "no row has an achieved rate, its closed forms and both measured ceilings"
MANY_POINTS = 10
"""In a panel of more, a model is named once, at its best point."""
MOST_NAMES = 24
"""More names than this in a panel cannot be read; the fastest points keep theirs."""
MANY_SIZES = 4
_SIDE_IN = 0.45
"""Beside a panel that has the page for itself."""
_LEFT = 0.3
"""Of the ridge's intensity: from here on the slope is drawn."""
_STEPS = 25
"""Points of the drawn slope, which bends: its x axis is logarithmic, its y is not."""
_EXTRA = (
    *("gflop_per_sec", "intensity", "flop_per_step", "bytes_per_step"),
    *("ceiling_gflop_per_sec", "bandwidth_gb_per_sec", "batch_size", "repetitions"),
)
_READ = {
    *(*panels.POINT_COLUMNS, *_EXTRA, *NEEDS, "cell_id", "environment_id"),
    *key_columns("img_per_sec_core"),
}
_BYTES = {"float64": 8, "float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2}


def bytes_per_step(row: dict[str, Any]) -> float:
    """What one step moves at the least: weights, images and logits, each once.

    Parameters are float32 (float64 in that dtype); training reads and writes them.

    >>> row = {"mode": "infer", "dtype": "bfloat16", "param_count": 10, "batch_size": 2}
    >>> bytes_per_step({**row, "image_size": 4, "num_classes": 5})
    252.0
    """
    value = _BYTES[row["dtype"]]
    weights = max(value, 4) * row["param_count"] * (2 if row["mode"] == "train" else 1)
    image = 3 * row["image_size"] ** 2 + row["num_classes"]
    return float(weights + value * row["batch_size"] * image)


def flop_per_step(row: dict[str, Any]) -> float:
    """Two for each multiply-accumulate; training counts three forward passes."""
    passes = 3 if row["mode"] == "train" else 1
    return float(2 * passes * row["macs"] * row["batch_size"])


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """One point per cell, medians over its repetitions: x is 1 at the ridge, y in %."""
    known = [
        *("flop_per_sec", "ceiling_share", "bandwidth_bytes_per_sec"),
        *("macs", "param_count", "batch_size", "num_classes"),
    ]
    done = rows[
        equal(rows, "status", "ok")
        & equal(rows, "source", "measured")
        & ~equal(rows, "role", "anchor")
        & rows[known].notna().all(axis=1)
    ]
    done = done[[name for name in done.columns if name in _READ]]  # of two hundred
    parts = [
        _cell(part, title)
        for title, same in _panels(done)
        for _, part in same.groupby(["cell_id", "environment_id"], sort=False)
    ]
    if not parts:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    made = pd.DataFrame(parts).sort_values("share", ascending=False, kind="stable")
    made = made.assign(label=_named(made))
    best = made.drop_duplicates(["panel", "framework", "label"])
    found = panels.finished(best, "over_ridge", "share")
    return panels.exact(panels.in_order(found, ["x", "framework"]), *_EXTRA)


def _panels(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each comparability key; demo sizes apart, where they fill a panel."""
    for title, _, part in panels.titled(rows, "img_per_sec_core"):
        yield from panels.demo_apart(title, part)


def _named(made: pd.DataFrame) -> pd.Series[Any]:
    """The model, with its image size where a panel has it at several."""
    sizes = made.groupby(["panel", "model"])["image_size"].transform("nunique")
    names = made["model"].astype(str)
    full = names + "@" + made["image_size"].astype(str)
    return names.where(sizes == 1, full)


def _cell(part: pd.DataFrame, panel: str) -> dict[str, Any]:
    row = part.iloc[0]
    first = {str(name): row[name] for name in part.columns}
    flop, moved = flop_per_step(first), bytes_per_step(first)
    ceiling = _median(part, "ceiling_flop_per_sec") / 1e9
    bandwidth = _median(part, "bandwidth_bytes_per_sec") / 1e9
    return {
        **{name: first.get(name) for name in panels.POINT_COLUMNS},
        "panel": panel,
        "batch_size": first["batch_size"],
        "share": 100 * _median(part, "ceiling_share"),
        "over_ridge": flop / moved * bandwidth / ceiling,
        "gflop_per_sec": _median(part, "flop_per_sec") / 1e9,
        "intensity": flop / moved,
        "flop_per_step": flop,
        "bytes_per_step": moved,
        "ceiling_gflop_per_sec": ceiling,
        "bandwidth_gb_per_sec": bandwidth,
        "repetitions": len(part),
    }


def _median(part: pd.DataFrame, column: str) -> float:
    return float(part[column].astype("float64").median())


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    parts = [*panels.by_panel(found)]
    named = [_to_name(part) for _, part in parts]
    figure, grid = style.canvas(
        len(parts), width_in, panel_height_in=2.7, names=[*map(len, named)]
    )
    for axes, (name, part) in zip(grid, parts, strict=True):
        _panel(axes, part, found)
        _name(axes, name, bool(part["demo"].any()), width_in, len(parts))
    figure.supylabel("share of the ceiling (%)", fontsize=style.TEXT_PT)
    style.legend(figure, found)
    labels.settle(figure)
    for axes, names, (_, part) in zip(grid, named, parts, strict=True):
        spots = list(zip(part["x"], part["y"], strict=True))
        roof = _names_of_the_roof(axes, part)
        labels.place(axes, [*panels.as_labels(names), *roof], spots, [_roof(axes)])
    return figure


def _name(axes: Axes, title: str, demo: bool, width_in: float, count: int) -> None:
    """Its title and its x axis, which is the same in all panels.

    On a narrow page titles are small, and the axis has its numbers below the last.
    """
    across = style.across(count, width_in)
    if style.is_narrow(axes):
        room = width_in / across - _SIDE_IN
        style.title(axes, title, across, demo, room, style.SMALL_PT)
        axes.tick_params(axis="x", labelbottom=style.is_lowest(axes))
    else:
        style.title(axes, title, across, demo)
    if style.is_lowest(axes):
        axes.set_xlabel("arithmetic intensity / that of the ridge, at most")


def _to_name(part: pd.DataFrame) -> pd.DataFrame:
    """The points whose names can be read."""
    best = part.sort_values("y", ascending=False, kind="stable")
    if len(best) > MANY_POINTS:
        best = best.drop_duplicates("label")
    return _shortened(best.head(MOST_NAMES))


def _shortened(named: pd.DataFrame) -> pd.DataFrame:
    """A model at many sizes is named at its ends; between them its size is enough.

    Not where a second model has such sizes: nobody could tell whose they are.
    """
    sizes = named["image_size"].astype(float)
    of_model = sizes.groupby(named["model"])
    between = (sizes > of_model.transform("min")) & (sizes < of_model.transform("max"))
    short = named["label"].astype(str).str.replace(r".*(?=@)", "", regex=True)
    many = of_model.transform("size") >= MANY_SIZES
    if named.loc[between & many, "model"].nunique() > 1:
        return named
    return named.assign(label=named["label"].where(~(between & many), short))


def _panel(axes: Axes, part: pd.DataFrame, found: pd.DataFrame) -> None:
    """Points under the roof; all panels have the same axes."""
    style.scatter(axes, part)
    style.log_axis(axes, "x", [_LEFT, 1, *found["x"]], pad=(0.05, 0.12))
    axes.set_ylim(0, max(118.0, 1.1 * float(found["y"].max())))
    x, y = zip(*_roof(axes), strict=True)
    axes.plot(x, y, color="#777777", linewidth=0.9, zorder=1, gid="roof")


def _roof(axes: Axes) -> list[tuple[float, float]]:
    """Up to the ridge and along the flat ceiling, edge to edge."""
    left, right = axes.get_xlim()
    slope = np.geomspace(left, 1.0, _STEPS)
    return [*zip(slope.tolist(), (100 * slope).tolist(), strict=True), (right, 100.0)]


def _names_of_the_roof(axes: Axes, part: pd.DataFrame) -> list[labels.Label]:
    """What was measured, lowest to highest: the product above the flat, the copy rate
    right of the slope.
    """
    product = f"matmul {_range(part['ceiling_gflop_per_sec'])} GFLOP/s"
    copy = f"copy {_range(part['bandwidth_gb_per_sec'])} GB/s"
    middle = axes.get_xlim()[1] ** 0.5
    return [
        labels.Label(middle, 100.0, product),
        labels.Label(_LEFT, 100 * _LEFT, copy),
    ]


def _range(values: pd.Series[Any]) -> str:
    ends = significant(float(values.min())), significant(float(values.max()))
    return "–".join(dict.fromkeys(ends))


def caption(found: pd.DataFrame) -> str:
    """What the figure shows and how the bytes are counted."""
    text = (
        "Achieved FLOP/s, counted in closed form, over the largest matrix product "
        "(matmul), against arithmetic intensity over that of the ridge (product over "
        "copy bandwidth). Each point is divided by the ceilings measured in its own "
        "run, whose range is written on the roof. Bytes are a lower bound (weights, "
        "images and logits once; training writes the weights, too): other traffic "
        "moves a point to the left. Of several batch sizes of a model the best is "
        "drawn."
    )
    if (found["panel"].value_counts() > MANY_POINTS).any():
        text += f" Of more than {MANY_POINTS} points in a panel not all are named."
    return text + panels.demo_sentence(found)
