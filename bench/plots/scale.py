"""Accuracy against pre-training core-days at model scale: the sizes of each family.

The published panel on JFT-300M is figure 3, left, of Tolstikhin et al. (2021); their
Table 3 has four rows more on each of two smaller sets. Measured rows get a panel where
two sizes of a family were trained alike: `pareto` shows the others.
"""

from __future__ import annotations

from collections.abc import Hashable

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.join import TRAIN_SETTINGS, model_rows
from bench.analysis.key import equal
from bench.analysis.repetitions import SETTINGS
from bench.plots import panels, remember, style, throughput
from bench.specs import TRAINING_MODES

NEEDS = ("core_days_measured", "core_days_extrapolated", "top1", "model", "mode")
NOTHING = (
    "no row is of the paper's Table 3, and no two sizes of a family were trained alike "
    "with images in order"
)
_DATA_SIZE = ("data_examples", "data_fraction")  # `unique_images` says it
_NOT_SHARED = ("model", "tokens_mlp_dim", "device", "batch_size", *_DATA_SIZE)
_SEEN = ("train_mode", "unique_images", "images_seen", "learning_rates")
_LINE = [
    name
    for name in dict.fromkeys([*SETTINGS, *TRAIN_SETTINGS, *_SEEN, "environment_id"])
    if name not in _NOT_SHARED
]
"""What a measured line shares: all but the size of the network."""


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points; y is per cent, `line` what a line joins."""
    trained = equal(rows, "source", "measured") & rows["mode"].isin(
        TRAINING_MODES
    ).astype(bool)
    mine = panels.pixels_in_order(model_rows(rows[trained]))
    found = throughput.with_accuracy(
        model_rows(rows[throughput.table_3(rows)]), mine, "core_days"
    )
    if found.empty:
        return found
    lines = pd.concat([_of_the_paper(found), _measured(found)], ignore_index=True)
    if lines.empty:
        return lines
    marked = panels.mark_frontier(panels.with_runs_told_apart(lines), "lower")
    return panels.exact(
        marked, "line", "pretrain_epochs", "core_days_kind", "on_frontier", *_EXTRA
    )


_EXTRA = ("unique_images", "n_train", "citation")


def _of_the_paper(found: pd.DataFrame) -> pd.DataFrame:
    """A line for each family of a panel, the costliest data set first."""
    paper = found[found["source"] == "published"]
    kinds = zip(paper["label"], paper["core_days_kind"], strict=True)
    marked = [f"{name}‡" if kind == "extrapolated" else name for name, kind in kinds]
    named = paper.assign(label=marked, line=paper["family"])
    most = -named.groupby("panel")["x"].transform("max")
    return named.loc[most.sort_values(kind="stable").index]


def _measured(found: pd.DataFrame) -> pd.DataFrame:
    """The points of a line of two sizes or more; any other is in `pareto` as it is."""
    mine = found[found["source"] == "measured"]
    mine = mine[~mine["train_attempts"].map(str).duplicated()]  # timed in several ways
    lines = panels.one_line_each(mine.assign(label=mine["family"]), _LINE)
    words = zip(lines["framework"], lines["label"], strict=True)
    return mine.loc[lines.index].assign(line=[" ".join(each) for each in words])


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    return panels.accuracy_panels(
        _named(found), width_in, x_label="pre-training core-days", x_better="lower"
    )


def _named(found: pd.DataFrame) -> pd.DataFrame:
    """Of measured lines the best names its sizes, any other itself at its right end."""
    mine = found[found["source"] == "measured"].sort_values("x")
    said: dict[Hashable, str] = {}
    for _, panel in mine.groupby("panel"):
        alone = panel["family"].nunique() == 1
        for _, part in panel.groupby(["family", "framework"]):
            best = part["line"].iloc[int(part["y"].to_numpy(float).argmax())]
            for name, line in part.groupby("line"):
                sizes = [str(model) if name == best else "" for model in line["model"]]
                whole = str(line["model"].iloc[-1]) if name == best or not alone else ""
                facts = _what_it_was(str(line["label"].iloc[-1]), str(name))
                sizes[-1] = ", ".join(filter(None, (whole, facts)))
                said |= zip(line.index, sizes, strict=True)
    kept = [said.get(at, text) for at, text in found["label"].items()]
    return found.assign(label=kept)


def _what_it_was(label: str, line: str) -> str:
    """What tells a line from the others: what its points say, else its own words."""
    return label.partition(", ")[2] or line.partition(", ")[2]


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, what a line joins, and who is on the paper's frontier."""
    text = (
        "Accuracy against pre-training cost at model scale. Hollow: published, "
        "fine-tuned at 224 px, a panel for each pre-training set; filled: measured; "
        "dashed: Pareto frontier of its panel. A line joins the sizes of a family by "
        "cost. Published sizes differ in patch size and epochs too, and ImageNet and "
        "ImageNet-21k were learned with extra regularisation; a measured line differs "
        "in the size of the network alone, and its right end tells it from the others."
    )
    text += panels.published_frontier(
        found[found["pretrain_dataset"] == "JFT-300M"], " of JFT-300M"
    )
    if (found["core_days_kind"] == "extrapolated").any():
        text += " ‡: core-days extrapolated, not reported for that run."
    return text + panels.demo_sentence(found)
