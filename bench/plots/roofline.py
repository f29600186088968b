"""Roofline: achieved FLOP/s against arithmetic intensity, under the measured ceilings.

The bytes are a lower bound in closed form, what a step must move at the least: the
weights once (in training read and written), the images and the logits once. Whatever
else leaves the caches, intermediate activations above all, moves a point to the left,
so a point is drawn at the largest intensity that it can have. The flat roof is the
largest matrix product measured on that machine in that dtype; the slope is its copy
bandwidth, drawn where rows have it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.key import equal
from bench.plots import labels, panels, remember, style
from bench.units import significant

NEEDS = (
    "flop_per_sec",
    "ceiling_flop_per_sec",
    "ceiling_share",
    "macs",
    "param_count",
    "num_classes",
    "batch_size",
    "image_size",
    "mode",
    "dtype",
)
NOTHING = "no row has an achieved rate, its closed forms and a measured ceiling"
MOST_NAMES = 24
"""More names than this in a panel cannot be read; the fastest points keep theirs."""
MANY_SIZES = 4
_BANDWIDTH = "bandwidth_bytes_per_sec"
_EXTRA = (
    *("share", "flop_per_step", "bytes_per_step", "ceiling_gflop_per_sec"),
    *("bandwidth_gb_per_sec", "batch_size", "repetitions"),
)
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
    """One point per cell: the median rate over its repetitions, in GFLOP/s."""
    known = ["flop_per_sec", "ceiling_share", "macs", "param_count", "batch_size"]
    done = rows[
        equal(rows, "status", "ok")
        & equal(rows, "source", "measured")
        & ~equal(rows, "role", "anchor")
        & rows[[*known, "num_classes"]].notna().all(axis=1)
    ]
    parts = [
        _cell(part, title)
        for title, _, same in panels.titled(done, "img_per_sec_core")
        for _, part in same.groupby(["cell_id", "environment_id"], sort=False)
    ]
    if not parts:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    made = pd.DataFrame(parts).sort_values("share", ascending=False, kind="stable")
    made = made.assign(panel=_under_one_roof(made))
    made = made.assign(label=_named(made))
    best = made.drop_duplicates(["panel", "framework", "label"])
    found = panels.finished(best, "intensity", "gflop_per_sec")
    return panels.exact(panels.in_order(found, ["x", "framework"]), *_EXTRA)


def _under_one_roof(made: pd.DataFrame) -> pd.Series[Any]:
    """A panel for each ceiling: two sittings of one machine found two."""
    several = made.groupby("panel")["ceiling_gflop_per_sec"].transform("nunique") > 1
    roofs = made["ceiling_gflop_per_sec"].map(lambda one: significant(float(one)))
    return made["panel"].where(
        ~several, made["panel"] + ", ceiling " + roofs + " GFLOP/s"
    )


def _named(made: pd.DataFrame) -> pd.Series[Any]:
    """The model, with its image size where a panel has several."""
    sizes = made.groupby("panel")["image_size"].transform("nunique")
    names = made["model"].astype(str)
    full = names + "@" + made["image_size"].astype(str)
    return names.where(sizes == 1, full)


def _cell(part: pd.DataFrame, panel: str) -> dict[str, Any]:
    row = part.iloc[0]
    first = {str(name): row[name] for name in part.columns}
    flop, moved = flop_per_step(first), bytes_per_step(first)
    return {
        **{name: first.get(name) for name in panels.POINT_COLUMNS},
        "panel": panel,
        "batch_size": first["batch_size"],
        "share": 100 * _median(part, "ceiling_share"),
        "gflop_per_sec": _median(part, "flop_per_sec") / 1e9,
        "ceiling_gflop_per_sec": _median(part, "ceiling_flop_per_sec") / 1e9,
        "bandwidth_gb_per_sec": _median(part, _BANDWIDTH) / 1e9,
        "flop_per_step": flop,
        "bytes_per_step": moved,
        "intensity": flop / moved,
        "repetitions": len(part),
    }


def _median(part: pd.DataFrame, column: str) -> float:
    """NaN where no row has the column: rows of before it was recorded."""
    if column not in part:
        return float("nan")
    return float(part[column].astype("float64").median())


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    count = found["panel"].nunique()
    across = style.across(count, width_in)
    figure, grid = style.canvas(count, width_in, panel_height_in=2.9)
    roofs = []
    for axes, (name, part) in zip(grid, panels.by_panel(found), strict=True):
        roofs.append(_panel(axes, part))
        style.title(axes, name, across, bool(part["demo"].any()))
        axes.set_xlabel("arithmetic intensity, at most (FLOP/byte)")
        axes.set_ylabel("achieved GFLOP/s")
    style.legend(figure, found)
    labels.settle(figure)
    for axes, roof, (_, part) in zip(grid, roofs, panels.by_panel(found), strict=True):
        best = part.sort_values("y", ascending=False).drop_duplicates("label")
        spots = list(zip(part["x"], part["y"], strict=True))
        named = panels.as_labels(_shortened(best.head(MOST_NAMES)))
        labels.place(axes, [*named, *_roof_names(part, roof)], spots, roof)
    return figure


def _shortened(named: pd.DataFrame) -> pd.DataFrame:
    """A model at many sizes is named at its ends; between them its size is enough."""
    sizes = named["image_size"].astype(float)
    of_model = sizes.groupby(named["model"])
    between = (sizes > of_model.transform("min")) & (sizes < of_model.transform("max"))
    short = named["label"].astype(str).str.replace(r".*(?=@)", "", regex=True)
    many = of_model.transform("size") >= MANY_SIZES
    return named.assign(label=named["label"].where(~(between & many), short))


Line = list[tuple[float, float]]


def _panel(axes: Axes, part: pd.DataFrame) -> list[Line]:
    """Points and roofs; returns the roofs, one line for each pair of ceilings."""
    style.scatter(axes, part)
    pairs = part[["ceiling_gflop_per_sec", "bandwidth_gb_per_sec"]].drop_duplicates()
    ceilings = [(float(c), _known(b)) for c, b in pairs.to_numpy()]
    ridges = [ceiling / slope for ceiling, slope in ceilings if slope is not None]
    style.log_axis(axes, "x", [*part["x"], *ridges], pad=(0.2, 0.2))
    tops = [ceiling for ceiling, _ in ceilings]
    style.log_axis(axes, "y", [*part["y"], *tops], pad=(0.15, 0.15))
    roofs = [_roof(axes, ceiling, slope) for ceiling, slope in ceilings]
    for roof in roofs:
        x, y = zip(*roof, strict=True)
        axes.plot(x, y, color="#777777", linewidth=0.9, zorder=1, gid="roof")
    return roofs


def _known(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _roof(axes: Axes, ceiling: float, slope: float | None) -> Line:
    """From where the slope enters the panel, along the flat ceiling, to its edge."""
    (left, right), (low, _) = axes.get_xlim(), axes.get_ylim()
    if slope is None:
        return [(left, ceiling), (right, ceiling)]
    start = max(left, low / slope)
    return [(start, start * slope), (ceiling / slope, ceiling), (right, ceiling)]


def _roof_names(part: pd.DataFrame, roofs: list[Line]) -> list[labels.Label]:
    """What each roof is, written on its flat part and on its slope."""
    named = []
    pairs = part[["ceiling_gflop_per_sec", "bandwidth_gb_per_sec"]].drop_duplicates()
    for roof, (ceiling, slope) in zip(roofs, pairs.to_numpy(), strict=True):
        (x0, y0), (x1, y1) = roof[-2:]
        text = f"matrix product {significant(float(ceiling))} GFLOP/s"
        named.append(labels.Label((x0 * x1) ** 0.5, y1, text))
        if _known(slope) is not None:
            x, y = ((a * b) ** 0.5 for a, b in zip(roof[0], (x0, y0), strict=True))
            named.append(labels.Label(x, y, f"copy {significant(float(slope))} GB/s"))
    return named


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, how the bytes are counted, and the ceilings."""
    text = (
        "Achieved FLOP/s, counted in closed form, against arithmetic intensity. Bytes "
        "are a lower bound: weights once (training reads and writes them), images and "
        "logits once; activations that leave the caches move a point to the left. Flat "
        "roof: the largest matrix product measured on that machine in that dtype. Of a "
        "model timed with several batch sizes the best is drawn."
    )
    if found["bandwidth_gb_per_sec"].notna().any():
        text += " Slope: its measured copy bandwidth."
    if found["bandwidth_gb_per_sec"].isna().any():
        text += " No copy bandwidth was recorded with some rows: no slope for them."
    for name, part in panels.by_panel(found):
        best = part.iloc[int(part["share"].astype(float).to_numpy().argmax())]
        text += f" {name}: {best['label']} ({best['framework']}) reaches "
        text += f"{significant(float(best['share']))} % of its ceiling."
    return text + panels.demo_sentence(found)
