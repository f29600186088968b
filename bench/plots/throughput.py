"""Accuracy against images per second per core.

The published panel is figure 3, right, of Tolstikhin et al. (2021): the rows of their
Table 3 that were pre-trained on JFT-300M and fine-tuned at 224 px.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.against import ours
from bench.analysis.join import model_rows
from bench.analysis.key import equal
from bench.plots import panels, remember, style

NEEDS = ("img_per_sec_core", "top1", "model", "family")
NOTHING = "no row of images in order has both a throughput and an accuracy"


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points; y is per cent."""
    paper = model_rows(rows[_figure_3(rows)]).assign(
        panel=f"{panels.PUBLISHED_PANEL}, JFT-300M, 224 px"
    )
    mine = ours(model_rows(rows[equal(rows, "source", "measured")]))
    mine = panels.pixels_in_order(mine)
    parts = panels.split_by_key(
        mine[mine["img_per_sec_core"].notna() & mine["top1"].notna()],
        "img_per_sec_core",
        "top1",
        name=panels.measured_name,
    )
    both = pd.concat([paper, *parts], ignore_index=True)
    both = both.assign(y=100 * both["top1"].astype(float), label=_labels(both))
    known = panels.finished(both, "img_per_sec_core", "y")
    if known.empty:
        return known
    named = panels.with_runs_told_apart(known)
    marked = panels.mark_frontier(named, "higher")
    return panels.exact(marked, "pretrain_epochs", "on_frontier", "n", "citation")


def _figure_3(rows: pd.DataFrame) -> pd.Series[bool]:
    return (
        equal(rows, "table", "mixer-table3")
        & equal(rows, "pretrain_dataset", "JFT-300M")
        & equal(rows, "image_size", 224)
    )


def _labels(rows: pd.DataFrame) -> list[str]:
    """The model; the epochs where one was published with two lengths of training."""
    twice = equal(rows, "source", "published") & rows.duplicated(
        ["panel", "model"], keep=False
    )
    return [
        f"{row.model} ({row.pretrain_epochs:.0f} ep)" if again else str(row.model)
        for row, again in zip(rows.itertuples(), twice, strict=True)
    ]


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    return panels.accuracy_panels(
        found, width_in, x_label="images / s / core", x_better="higher"
    )


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, and who is on the paper's frontier."""
    text = (
        "Accuracy against inference throughput. Hollow: published; filled: measured; "
        "dashed: Pareto frontier of its panel. A core is what each axis names: "
        "rates of different panels are not comparable."
    )
    text += panels.published_frontier(found, "")
    return text + panels.demo_sentence(found)
