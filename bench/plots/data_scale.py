"""Accuracy against the number of pre-training images, fitted curve and its band.

Measured rows only: figure 2, right, of Tolstikhin et al. (2021) is drawn there and
its values are not tabulated, so nothing is published to put beside them.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.forms import EQUATIONS
from bench.analysis.key import equal, plain
from bench.analysis.repetitions import SETTINGS, training_rows
from bench.analysis.resample import LEVEL
from bench.analysis.seeds import MIN_RUNS
from bench.analysis.stats import MIN_REPETITIONS
from bench.plots import fitted, labels, panels, remember, style

NEEDS = ("unique_images", "top1", "chance", "model", "family", "mode")
NOTHING = (
    "accuracy against pre-training images is not tabulated in the paper, and no model "
    "was measured at two data sizes"
)
_DATA_SIZE = ("data_examples", "data_fraction")
_LINE = [*(name for name in SETTINGS if name not in _DATA_SIZE), "environment_id"]
"""What a line shares: all that its cells declare, except the size of the data."""
_EXTRA = ("shuffle", "n_train", "total_steps", *fitted.COLUMNS)


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly what is drawn: a mean for each size, then the fitted curve of the line.

    `kind` is `runs` or `fit`. `y_low` and `y_high` are Student's interval of a mean
    over `n` seeds, or the band of a curve; null where there is none.
    """
    done = rows[
        equal(rows, "status", "ok")
        & equal(rows, "source", "measured")
        & equal(rows, "mode", "pretrain")
    ].reset_index(drop=True)
    numbered = done.assign(attempt_id=done.index.astype(str))  # back from mean to runs
    parts = panels.split_by_key(
        training_rows(numbered), "top1", "core_days", name=panels.measured_name
    )
    if not parts:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    both = pd.concat(parts, ignore_index=True)
    known = panels.finished(both.assign(label=_labels(both)), "unique_images", "top1")
    lines = panels.one_line_each(known, _LINE)
    kept = panels.in_order(lines, ["model", "framework", "label", "x"])
    return panels.exact(fitted.with_fits(kept, done), *_EXTRA)


def _labels(rows: pd.DataFrame) -> list[str]:
    return [
        f"{model}, {shuffle}" if plain(shuffle) not in (None, "none") else str(model)
        for model, shuffle in rows[["model", "shuffle"]].to_numpy()
    ]


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    count = found["panel"].nunique()
    figure, grid = style.canvas(
        count, width_in, panel_height_in=2.9, names=panels.lines_in_each(_runs(found))
    )
    across = style.across(count, width_in)
    for axes, (name, part) in zip(grid, panels.by_panel(found), strict=True):
        _panel(axes, part, across)
        style.title(axes, name, across, bool(part["demo"].any()))
    style.legend(figure, found, _strokes(found))
    labels.settle(figure)
    for axes, (_, part) in zip(grid, panels.by_panel(found), strict=True):
        panels.name_line_ends(axes, _named(part))
    return figure


def _runs(found: pd.DataFrame) -> pd.DataFrame:
    return found[found["kind"] == "runs"]


def _named(part: pd.DataFrame) -> pd.DataFrame:
    """The means, their labels with the number of seeds where lines differ in it."""
    means = _runs(part)
    if means["n"].nunique() == 1:  # the axis says it once
        return means
    counts = means.groupby(panels.LINE, dropna=False)["n"].transform
    words = [
        f"{label} n={low:g}" + ("" if low == high else f"–{high:g}")
        for label, low, high in zip(
            means["label"], counts("min"), counts("max"), strict=True
        )
    ]
    return means.assign(label=words)


def _strokes(found: pd.DataFrame) -> tuple[Line2D, ...]:
    """Keys of the strokes that occur: a fit, its band, dots merely joined."""
    fits, means = found[found["kind"] == "fit"], _runs(found)
    made = []
    if len(fits):
        fit = Line2D([], [], color="#444444", linewidth=1.1, label="fit")
        made.append(fit)
    if fits["y_low"].notna().any():
        band = Line2D([], [], color="#444444", linewidth=5, alpha=fitted.SHADE)
        band.set_label(f"{100 * LEVEL:g} % band of the fit")
        made.append(band)
    if means["form"].isna().any():
        joined = Line2D([], [], color="#444444", **fitted.JOINED)
        joined.set_label("no fit: joined")
        made.append(joined)
    for stroke in made:
        stroke.set_solid_capstyle("butt")  # a round one runs into its label
    return tuple(made)


def _panel(axes: Axes, part: pd.DataFrame, across: int) -> None:
    means = _runs(part)
    style.scatter(axes, means)
    for _, line in part.groupby(panels.LINE, dropna=False):
        fitted.draw_line(axes, line, style.COLOURS[str(line["family"].iloc[0])])
    for chance in sorted(set(means["chance"].dropna())):
        axes.axhline(100 * chance, color="#777777", linestyle=":", linewidth=0.8)
        axes.annotate(
            "chance",
            (1, 100 * chance),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            fontsize=style.SMALL_PT,
            color="#555555",
        )
    style.log_axis(axes, "x", means["x"], pad=style.room_for_names(axes, across))
    style.ticks_at(axes, "x", sorted(set(means["x"])))
    counts = {f"{n:g}" for n in means["n"]}
    shared = f" (n={counts.pop()} each)" if len(counts) == 1 else ""
    axes.set_xlabel(f"distinct pre-training images{shared}")
    style.y_label(axes, f"{panels.tested_on(part)} top-1 accuracy (%)")


def caption(found: pd.DataFrame) -> str:
    """What the figure shows and what it does not."""
    sentences = [
        "Accuracy against distinct pre-training images; what a line joins differs in "
        "the size of the data alone.",
        _of_means(_runs(found)),
        *_of_fits(found),
        "The paper's own curve is not tabulated, so no published point is drawn.",
    ]
    return " ".join(sentences) + panels.demo_sentence(found)


def _of_means(means: pd.DataFrame) -> str:
    counts = sorted({int(n) for n in means["n"]})
    numbers = " or ".join(map(str, counts))
    text = f"A point is the mean over n={numbers} seeds (of the data subset where it "
    text += "was drawn more than once, else of the training)"
    if counts[-1] < MIN_RUNS:
        return f"{text}; under {MIN_RUNS} there is no interval."
    few = f"; dots alone have fewer than {MIN_RUNS}" if counts[0] < MIN_RUNS else ""
    return f"{text}, its bar Student's {100 * LEVEL:g} % interval of that mean{few}."


def _of_fits(found: pd.DataFrame) -> list[str]:
    means = _runs(found)
    used = [form for form in EQUATIONS if (means["form"] == form).any()]
    made = []
    if used:
        equations = "; ".join(f"{form}, {EQUATIONS[form]}" for form in used)
        made.append(
            f"Curves: of the forms that are identified and not rejected, that which "
            f"predicted the largest size best, on the error eps ({equations})."
        )
        made += _untested(found)
        made.append(_of_bands(found))
    for why, part in means[means["why_not"].notna()].groupby("why_not", sort=False):
        made.append(f"No curve for {panels.listed(part['label'])} ({why}).")
    return made


def _untested(found: pd.DataFrame) -> list[str]:
    """Curves of too few seeds to tell whether their form misses the means."""
    fits = found[found["kind"] == "fit"]
    few = fits[fits["why_not"].notna()]
    if few.empty:
        return []
    return [f"{panels.listed(few['label'])}: {few['why_not'].iloc[0]}."]


def _of_bands(found: pd.DataFrame) -> str:
    fits = found[found["kind"] == "fit"]
    bare = fits[fits["y_low"].isna()]
    means = (
        f"A band is the pointwise {100 * LEVEL:g} % interval of the curve, not of one "
        "more run, and holds where the form is right: whole curves of a seed are drawn "
        "again and fitted again"
    )
    if bare.empty:
        return means + "." + _shortfall(fits)
    none = f"{panels.listed(bare['label'])}: fewer than {MIN_REPETITIONS} curves"
    if len(bare) == len(fits):
        return f"No band for {none} to draw again."
    return f"{means}; none for {none}." + _shortfall(fits)


def _shortfall(fits: pd.DataFrame) -> str:
    """What is known of the band's true coverage, where it is short of its name."""
    notes = dict.fromkeys(fitted.coverage_note(str(form)) for form in fits["form"])
    return "".join(f" {note}" for note in notes if note)
