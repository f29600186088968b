"""Accuracy against pre-training core-days, with the Pareto frontier.

The published panel is figure 2, left, of Tolstikhin et al. (2021): their Table 2 and
three rows of Table 3. Measured rows get a panel for each comparability key.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.join import model_rows
from bench.analysis.key import equal, plain
from bench.analysis.pareto import figure_2, standing
from bench.plots import panels, remember, style
from bench.specs import TRAINING_MODES

NEEDS = ("core_days_measured", "core_days_extrapolated", "top1", "model", "mode")
NOTHING = "no row has both pre-training core-days and an accuracy"


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points; y is per cent."""
    paper = model_rows(figure_2(rows)).assign(panel=panels.PUBLISHED_PANEL)
    trained = equal(rows, "source", "measured") & rows["mode"].isin(
        TRAINING_MODES
    ).astype(bool)
    mine = model_rows(rows[trained])
    parts = panels.split_by_key(
        mine[mine["core_days"].notna() & mine["top1"].notna()],
        "core_days",
        "top1",
        name=panels.measured_name,
    )
    both = pd.concat([paper, *parts], ignore_index=True)
    both = both.assign(y=100 * both["top1"].astype(float), label=_labels(both))
    known = panels.finished(both, "core_days", "y")
    if known.empty:
        return known
    marked = panels.by_panel(panels.mark_frontier(known, "lower"))
    stood = pd.concat(
        [standing(part, "core_days", "top1", names="label") for _, part in marked],
        ignore_index=True,
    )
    stood["y_gap"] *= 100
    return panels.exact(stood, "core_days_kind", "on_frontier", *_STANDING, "citation")


_STANDING = ("p_on_frontier", "dominated_by", "x_factor", "y_gap")


def _labels(rows: pd.DataFrame) -> list[str]:
    """The printed name; the image size where a paper's fine-tuning raised it."""
    columns = ["printed_model", "model", "image_size", "source", "core_days_kind"]
    return [_label(*map(plain, row)) for row in rows[columns].to_numpy()]


def _label(
    printed: str | None, model: str, size: float | None, source: str, kind: str
) -> str:
    name = printed or model
    if source == "published" and size is not None and size > 224:
        name += f"@{size:.0f}"
    return name + ("‡" if kind == "extrapolated" else "")


def _sure(front: pd.DataFrame) -> list[str]:
    chances = [plain(value) for value in front["p_on_frontier"]]
    said = ["not estimable" if p is None else f"{p:.2f}" for p in chances]
    return [f"{name} (P {p})" for name, p in zip(front["label"], said, strict=True)]


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    return panels.accuracy_panels(
        found, width_in, x_label="pre-training core-days", x_better="lower"
    )


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, and who is on each frontier."""
    text = (
        "Accuracy against pre-training cost. Hollow: published; filled: measured; "
        "dashed: Pareto frontier of its panel."
    )
    for name, part in panels.by_panel(found):
        front = part[part["on_frontier"]].sort_values("x")
        text += f" {name}: on the frontier are {panels.listed(_sure(front))}."
    text += (
        " P: share of draws on the frontier, from five runs or more where measured, "
        "from the rounding of the printed figures where published. Beside the figure "
        "stands who dominates each other point: x_factor times cheaper, y_gap points "
        "better."
    )
    if (found["core_days_kind"] == "extrapolated").any():
        text += " ‡: core-days extrapolated, not reported for that run."
    return text + panels.demo_sentence(found)
