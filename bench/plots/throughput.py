"""Accuracy against images per second per core.

The published panel is figure 3, right, of Tolstikhin et al. (2021): the rows of their
Table 3 that were pre-trained on JFT-300M and fine-tuned at 224 px.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.against import ours
from bench.analysis.join import model_rows
from bench.analysis.key import equal, kept
from bench.plots import panels, remember, style

NEEDS = ("img_per_sec_core", "top1", "model", "family")
NOTHING = "no row of images in order has both a throughput and an accuracy"


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points; y is per cent."""
    jft = table_3(rows) & equal(rows, "pretrain_dataset", "JFT-300M")
    paper = model_rows(rows[jft])
    mine = ours(model_rows(kept(rows, equal(rows, "source", "measured"))))
    found = with_accuracy(paper, panels.pixels_in_order(mine), "img_per_sec_core")
    if found.empty:
        return found
    named = panels.with_runs_told_apart(found)
    marked = panels.mark_frontier(named, "higher")
    return panels.exact(marked, "pretrain_epochs", "on_frontier", "n", "citation")


def table_3(rows: pd.DataFrame) -> pd.Series[bool]:
    """The rows of the paper's Table 3 that were fine-tuned at 224 px."""
    return equal(rows, "table", "mixer-table3") & equal(rows, "image_size", 224)


def with_accuracy(paper: pd.DataFrame, mine: pd.DataFrame, x: str) -> pd.DataFrame:
    """Points of model rows against their column `x`, a panel for each key."""
    named = {_published_name: paper, panels.measured_name: mine}
    parts = [
        part
        for name, rows in named.items()
        for part in panels.split_by_key(
            rows[rows[x].notna() & rows["top1"].notna()], x, "top1", name=name
        )
    ]
    both = pd.concat([paper.iloc[:0].assign(panel=""), *parts], ignore_index=True)
    both = both.assign(y=100 * both["top1"].astype(float), label=_labels(both))
    return panels.finished(both, x, "y")


def _published_name(key: Mapping[str, Any]) -> str:
    return f"{panels.PUBLISHED_PANEL}, {key['pretrain_dataset']}, 224 px"


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
