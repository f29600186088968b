"""Accuracy against pre-training core-days, with the Pareto frontier.

The published panel is figure 2, left, of Tolstikhin et al. (2021): their Table 2 and
three rows of Table 3. Measured rows get a panel for each comparability key.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.join import model_rows
from bench.analysis.key import equal, plain, values
from bench.analysis.pareto import SHORT_SETS, figure_2, standing, told_by_set
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


_STANDING = ("p_on_frontier", "dominated_by", "x_ratio", "y_gap")


def _labels(rows: pd.DataFrame) -> list[str]:
    """The printed name; the set it learned from where a panel has the name twice."""
    names = _names(rows)
    told: pd.Series[Any] = pd.Series(names, rows.index, dtype=object)
    for _, part in rows.assign(name=names).groupby("panel", sort=False):
        sets = values(part["pretrain_dataset"])
        told[part.index] = told_by_set(list(part["name"]), sets)
    guessed = equal(rows, "core_days_kind", "extrapolated")
    return [name + "‡" * mark for name, mark in zip(told, guessed, strict=True)]


def _names(rows: pd.DataFrame) -> list[str]:
    """The printed name, with the image size where a paper's fine-tuning raised it."""
    columns = ["printed_model", "model", "image_size", "source"]
    return [_name(*map(plain, row)) for row in rows[columns].to_numpy()]


def _name(printed: str | None, model: str, size: float | None, source: str) -> str:
    name = printed or model
    if source == "published" and size is not None and size > 224:
        name += f"@{size:.0f}"
    return name


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
    text += panels.published_frontier(found, words) + _mixed(found)
    text += (
        " P is the share of draws, from the rounding of printed figures or from five "
        "measured runs or more, in which a point is on the frontier; it stands beside "
        "the figure with who dominates each other point and by how much."
    )
    if (found["core_days_kind"] == "extrapolated").any():
        text += " ‡: core-days extrapolated, not reported for that run."
    return text + panels.demo_sentence(found)


def _mixed(found: pd.DataFrame) -> str:
    """What else differs inside the papers' panel: it is no comparison of models alone.

    Names in short are written out where a label has them.
    """
    sets = found.loc[equal(found, "source", "published"), "pretrain_dataset"]
    if sets.nunique() < 2:
        return ""
    short = [
        f"{short}: {name}"
        for name, short in SHORT_SETS.items()
        if found["label"].str.contains(f"({short})", regex=False).any()
    ]
    told = f" ({', '.join(short)})" if short else ""
    return (
        " The points of the published panel differ in pre-training data (partly "
        f"proprietary) and image size, as in the paper's figure 2{told}."
    )
