"""Images per second per core, and accuracy, against image size.

Published: models of Tolstikhin et al. (2021), Tables 2 and 3, that have throughput at
more than one size, and those that Table 3 alone gives accuracies at two. Measured rows
get a panel for each key: inference, and one pre-trained network fine-tuned at each
size.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.join import lineages
from bench.analysis.key import equal, key_columns
from bench.analysis.repetitions import SETTINGS, speed_rows, typed
from bench.data.augment import wide
from bench.plots import labels, panels, remember, style
from bench.specs import TRAINING_MODES, fields_of

NEEDS = ("img_per_sec_core", "top1", "image_size", "model", "family", "mode")
NOTHING = "no model has a throughput or an accuracy at two image sizes"


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points: models with two sizes or more.

    `quantity` is what y is: `img_per_sec_core`, or `top1` in per cent.
    """
    done = equal(rows, "status", "ok") & rows["image_size"].notna()
    mine = equal(rows, "source", "measured")
    paper, mine = rows[done & ~mine], done & mine & ~equal(rows, "role", "anchor")
    timed, tuned = (mine & equal(rows, "mode", one) for one in ("infer", "finetune"))
    trained = mine & rows["mode"].isin(TRAINING_MODES).astype(bool) & bool(tuned.any())
    parts = [
        _lines(_published_rates(paper), "img_per_sec_core", _LINE),
        _lines(_published_accuracies(paper), "top1", ["regime", "pretrain_epochs"]),
        _lines(_rates(rows[timed]), "img_per_sec_core", _LINE),
        _lines(_accuracies(rows[trained]), "top1", _FINE_TUNED),
    ]
    return pd.concat(parts, ignore_index=True).astype(object)


def _lines(rows: pd.DataFrame, metric: str, by: list[str]) -> pd.DataFrame:
    """Points of one quantity on lines that share all of `by`."""
    if rows.empty:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    known = panels.finished(rows, "image_size", metric).assign(quantity=metric)
    if metric == "top1":
        known["y"] *= 100
    lines = panels.one_line_each(known, by)
    return panels.exact(
        panels.in_order(lines, ["model", "framework", "label", "x"]), *_EXTRA
    )


def _published_rates(done: pd.DataFrame) -> pd.DataFrame:
    paper = done[done["table"].isin(["mixer-table2", "mixer-table3"])]
    paper = paper.drop_duplicates(["model", "image_size", "img_per_sec_core"])
    return typed(paper).assign(panel=panels.PUBLISHED_PANEL, label=paper["model"])


def _published_accuracies(done: pd.DataFrame) -> pd.DataFrame:
    """Table 3 alone: the paper evaluates its Table 2 on images prepared otherwise."""
    paper = typed(done[equal(done, "table", "mixer-table3")])
    names = paper["model"] + ", " + paper["pretrain_dataset"]
    return paper.assign(panel=_FINE_TUNED_PANEL, label=names)


_FINE_TUNED_PANEL = "Published: Tolstikhin et al. (2021), Table 3"


def _rates(mine: pd.DataFrame) -> pd.DataFrame:
    return _in_panels(_at_best_batch(speed_rows(mine)), "img_per_sec_core")


def _accuracies(trained: pd.DataFrame) -> pd.DataFrame:
    """Fine-tuned networks; for the key an image of any size is prepared alike."""
    if trained.empty:
        return trained
    tuned = lineages(panels.pixels_in_order(trained))
    tuned = tuned[equal(tuned, "train_mode", "finetune")].copy()  # as one block
    alike = tuned.assign(eval_preprocess=_of_any_size(tuned), n=tuned["n_train"])
    return _in_panels(alike, "top1", "core_days")


def _in_panels(rows: pd.DataFrame, *metrics: str) -> pd.DataFrame:
    """Rows with the panel of their key; demo sizes are many times smaller images."""
    parts = [
        one.assign(panel=name, label=one["model"])
        for title, _, part in panels.titled(rows, *metrics)
        for name, one in panels.demo_apart(title, part)
    ]
    return pd.concat(parts, ignore_index=True) if parts else rows


def _of_any_size(rows: pd.DataFrame) -> pd.Series[str]:
    """The preprocessing without the image size; the stored size, in front, stays."""
    pairs = zip(rows["eval_preprocess"].astype(str), rows["image_size"], strict=True)
    words = [
        re.sub(rf"(?<=\D)({size:.0f}|{wide(size)})(?!\d)", "S", text)
        for text, size in pairs
    ]
    return pd.Series(words, rows.index, dtype="object")


_EXTRA = ("quantity", "batch_size", "batch_rule", "n", "citation")
_AXES = ("mode", "image_size", "batch_size")
_LINE = [*(name for name in fields_of("infer") if name not in _AXES), "environment_id"]
"""What a line shares: all that its cells declare, except the image and batch size."""
_GROWS = ("image_size", "tokens_mlp_dim")
"""A network carried to K times the size has token-mixing layers K^2 times as wide."""
_FINE_TUNED = [
    *(name for name in SETTINGS if name not in _GROWS),
    *("lineage", "learning_rates", "dev_fraction", "environment_id"),
]
"""What a line of accuracies shares: the network it was, and how it was fine-tuned."""


def _at_best_batch(rows: pd.DataFrame) -> pd.DataFrame:
    """Of several batch sizes the fastest, as in the paper: its throughput is at best.

    Anything else that differs makes another line.
    """
    if rows.empty:
        return rows
    ranked = rows.sort_values("img_per_sec_core", ascending=False, kind="stable")
    key = key_columns("img_per_sec_core")
    same = list(dict.fromkeys([*_LINE, "image_size", *key]))
    return ranked.drop_duplicates(same).sort_index()


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    count = found["panel"].nunique()
    figure, grid = style.canvas(count, width_in, names=panels.lines_in_each(found))
    across = style.across(count, width_in)
    for axes, (name, part) in zip(grid, panels.by_panel(found), strict=True):
        _panel(axes, part, across)
        style.title(axes, name, across, bool(part["demo"].any()))
        style.y_label(axes, _y_label(part))
    style.legend(figure, found)
    labels.settle(figure)
    for axes, (_, part) in zip(grid, panels.by_panel(found), strict=True):
        panels.name_line_ends(axes, part)
    return figure


def _y_label(part: pd.DataFrame) -> str:
    if _is_accuracy(part):
        return f"{panels.tested_on(part)} top-1 accuracy (%)"
    return f"images / s / core ({panels.core_name(part)})"


def _is_accuracy(part: pd.DataFrame) -> bool:
    return bool((part["quantity"] == "top1").all())


def _panel(axes: Axes, part: pd.DataFrame, across: int) -> None:
    style.scatter(axes, part)
    for _, line in part.groupby(panels.LINE, dropna=False):
        colour = style.COLOURS[str(line["family"].iloc[0])]
        axes.plot(line["x"], line["y"], color=colour, linewidth=0.9, gid="line")
    if not _is_accuracy(part):
        style.log_axis(axes, "y", part["y"])
    style.log_axis(axes, "x", part["x"], pad=style.room_for_names(axes, across))
    style.ticks_at(axes, "x", sorted(set(part["x"])))
    _turn_close_ticks(axes, across)
    axes.set_xlabel("image size (px)")


def _turn_close_ticks(axes: Axes, across: int) -> None:
    """Upright tick labels where lying ones would touch: every size keeps its own."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    wide_pt = 72 * (float(figure.get_size_inches()[0]) / across - 0.6)
    low, high = axes.get_xlim()
    ticks = axes.get_xticks()
    gaps = wide_pt * np.diff(np.log(ticks)) / math.log(high / low)
    longest = max(len(style.plain_number(tick)) for tick in ticks)
    if (gaps < (0.64 * longest + 1) * style.SMALL_PT).any():
        axes.tick_params(axis="x", labelrotation=90)


def caption(found: pd.DataFrame) -> str:
    """What the figure shows and what it does not."""
    text = (
        "Throughput and accuracy against image size, for models with two sizes or "
        "more. Hollow: published; filled: measured."
    )
    for quantity, words in _SAID.items():
        text += words if (found["quantity"] == quantity).any() else ""
    if ((found["quantity"] == "top1") & (found["source"] == "published")).any():
        text += (
            " Published accuracies are of Table 3 alone: for Table 2 images were "
            "prepared otherwise, so its H/14 models are not joined to their 224 px; "
            "ViT-L/16 at 512 px is quoted from the ViT paper, with averaged weights."
        )
    return text + panels.demo_sentence(found)


_SAID = {
    "img_per_sec_core": (
        " Throughput: inference, each point at its best batch size of those timed, the "
        "paper's rule; what a line joins differs in image and batch size alone, and "
        "published Mixers have wider token-mixing layers at the larger size."
    ),
    "top1": (
        " Accuracy: one pre-trained network, fine-tuned at each size; equal points "
        "cover each other."
    ),
}
