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
NOTHING = "no row of images in order has both pre-training core-days and an accuracy"


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points; y is per cent."""
    paper = model_rows(figure_2(rows)).assign(panel=panels.PUBLISHED_PANEL)
    trained = equal(rows, "source", "measured") & rows["mode"].isin(
        TRAINING_MODES
    ).astype(bool)
    mine = panels.pixels_in_order(model_rows(rows[trained]))
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
    named = panels.with_runs_told_apart(known)
    marked = panels.by_panel(panels.mark_frontier(named, "lower"))
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


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    return panels.accuracy_panels(
        found, width_in, x_label="pre-training core-days", x_better="lower"
    )


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, and who is on the paper's frontier."""
    front = found[found["on_frontier"].astype(bool) & (found["source"] == "published")]
    text = (
        "Accuracy against pre-training cost. Hollow: published; filled: measured; "
        "dashed: Pareto frontier of its panel."
    )
    sure = plain(front["p_on_frontier"].min())
    words = "" if sure is None else f" (P at least {sure:.2f} each)"
    text += panels.published_frontier(found, words)
    text += (
        " P is the share of draws, from the rounding of printed figures or from five "
        "measured runs or more, in which a point is on the frontier; it stands beside "
        "the figure with who dominates each other point and by how much."
    )
    if (found["core_days_kind"] == "extrapolated").any():
        text += " ‡: core-days extrapolated, not reported for that run."
    return text + panels.demo_sentence(found)
