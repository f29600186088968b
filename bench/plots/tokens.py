"""Time per image against the number of tokens, with a quadratic fit, and the MACs.

The claim of Tolstikhin et al. (2021), section 2: Mixer's cost is linear in the tokens,
ViT's quadratic. It holds for a fixed D_S; with the D_S x K^2 of their fine-tuning at
higher resolution Mixer is quadratic too. Nothing is tabulated there, so no published
point is drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis import tokens as analysis
from bench.analysis.key import equal, key_columns, plain, records, values
from bench.plots import labels, line_ends, panels, remember, style
from bench.units import significant

NEEDS = (
    "tokens",
    "macs",
    "step_s",
    "batch_size",
    "batch_rule",
    "tokens_mlp_dim",
    "num_classes",
    "pool",
    "peak_memory_bytes",
    "attention_kernel",
    "mode",
)
NOTHING = "no model was timed at three token counts or more"
CLOSED_FORM = "Closed form: multiply-accumulates of one image"
FIXED = "D_S fixed"
MIN_COUNTS = 3
Counts = Float[np.ndarray, "counts"]
_FIT = (
    "fit_a",
    "fit_b",
    "fit_c",
    "fit_c_low",
    "fit_c_high",
    "s_star",
    "s_star_low",
    "s_star_high",
    "fit_n",
    "fit_worst",
)
_EXTRA = (
    "rule",
    "tokens_mlp_dim",
    "batch_size",
    "peak_memory_bytes",
    "attention_kernel",
    *_FIT,
)

_READ = {*panels.POINT_COLUMNS, *_EXTRA, *NEEDS, *key_columns("img_per_sec_core")}


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Every fresh process as a point, in ms per image; then the MACs, in 10^9."""
    timed = rows[
        equal(rows, "status", "ok")
        & equal(rows, "source", "measured")
        & equal(rows, "mode", "infer")
        & ~equal(rows, "role", "anchor")
        & rows["tokens"].notna()
        & rows["step_s"].notna()
        & rows["macs"].notna()
    ]
    timed = timed[[name for name in timed.columns if name in _READ]]  # of two hundred
    named = timed.assign(rule=_rules(timed)).assign(label=lambda part: _labels(part))
    parts = [*_measured(named), *_closed_form(named)]
    if not parts:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    known = panels.finished(pd.concat(parts, ignore_index=True), "tokens", "cost")
    return panels.exact(panels.in_order(known, ["label", "x"]), *_EXTRA)


def _rules(rows: pd.DataFrame) -> list[str]:
    """How D_S follows the tokens: fixed, or in one proportion; empty outside Mixer.

    A D_S that is written out belongs to the larger family: equal ones, or equal ratios.
    """
    given = rows[rows["tokens_mlp_dim"].notna()]
    whole = given[["tokens_mlp_dim", "tokens"]].astype(int)
    ratio = {
        index: Fraction(d_s, s)
        for index, (d_s, s) in zip(given.index, whole.to_numpy().tolist(), strict=True)
    }

    def counts(family: pd.Series[Any]) -> pd.Series[int]:
        together = [given["model"], family]
        return given["tokens"].groupby(together).transform("nunique")

    same = counts(given["tokens_mlp_dim"]).to_dict()
    scaled = counts(pd.Series(ratio, dtype="object")).to_dict()
    families, dims = values(rows["family"]), values(rows["tokens_mlp_dim"])
    return [
        _rule(d_s, ratio.get(index), index in ratio and same[index] >= scaled[index])
        if family == "mixer"
        else ""
        for index, family, d_s in zip(rows.index, families, dims, strict=True)
    ]


def _rule(d_s: float | None, ratio: Fraction | None, constant: bool) -> str:
    if ratio is None:
        return FIXED
    return f"D_S = {d_s:.0f}" if constant else f"D_S = {float(ratio):g} S"


_TOLD = ("pool", "num_classes", "batch_size")
"""What may tell two lines of a model apart, beside D_S."""


def _labels(rows: pd.DataFrame) -> list[str]:
    """The model with what tells its lines apart: D_S, pooling, head, batch."""
    models = rows.groupby("model")
    several = {
        f"several_{name}": models[name].transform("nunique", dropna=False) > 1
        for name in _TOLD
    }
    facts = rows[["model", "rule", "batch_rule", *_TOLD]].assign(**several)
    return [_label(row) for row in records(facts)]


def _label(row: Mapping[str, Any]) -> str:
    words = [row["model"], row["rule"]]
    if row["several_pool"]:
        words.append(row["pool"] or "token")
    if row["several_num_classes"]:
        words.append(f"{row['num_classes']} classes")
    if row["several_batch_size"]:
        fixed = row["batch_rule"] == "fixed"
        words.append(f"b{row['batch_size']}" if fixed else "auto")
    return ", ".join(filter(None, words))


def _measured(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """One panel per comparability key and framework, each line with its own fit."""
    for title, _, part in panels.titled(rows, "img_per_sec_core"):
        for (framework, _), line in part.groupby(["framework", "label"]):
            cost = 1e3 * line["step_s"].astype(float) / line["batch_size"].astype(float)
            found = analysis.fit(line["tokens"].astype(float).to_list(), cost.to_list())
            if found is not None:
                name = f"{title}, {framework}"
                yield line.assign(panel=name, cost=cost, **_columns(found))


def _closed_form(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The MACs of each line once, whatever machine and framework timed it."""
    for _, line in rows.groupby("label"):
        once = line.drop_duplicates("tokens")
        if len(once) < MIN_COUNTS:
            continue
        counts, macs = once["tokens"].astype(int), once["macs"].astype(int)
        found = analysis.exact(counts.to_list(), macs.to_list())
        yield once.assign(
            panel=CLOSED_FORM,
            source="closed form",
            framework="",
            cost=macs / 1e9,
            batch_size=None,
            peak_memory_bytes=None,
            attention_kernel=None,
            fit_a=float(found.a) / 1e9,
            fit_b=float(found.b) / 1e9,
            fit_c=float(found.c) / 1e9,
            s_star=found.crossover,
            fit_n=len(once),
        )


def _columns(found: analysis.Fit) -> dict[str, float | None]:
    values = (
        found.a,
        found.b,
        found.c,
        found.c_low,
        found.c_high,
        found.crossover,
        found.crossover_low,
        found.crossover_high,
        found.n,
        found.worst,
    )
    return dict(zip(_FIT, values, strict=True))


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    count = found["panel"].nunique()
    across = style.across(count, width_in)
    figure, grid = style.canvas(
        count, width_in, panel_height_in=2.9, names=panels.lines_in_each(found)
    )
    for axes, (name, part) in zip(grid, panels.by_panel(found), strict=True):
        _panel(axes, part, across)
        style.title(axes, name, across, bool(part["demo"].any()))
        unit = "10⁹ MACs / image" if name == CLOSED_FORM else "ms / image"
        axes.set_ylabel(unit)
    style.legend(figure, found, (_key("-", "fit"), _key(":", "S* = b / c of the fit")))
    labels.settle(figure)
    for axes, (_, part) in zip(grid, panels.by_panel(found), strict=True):
        line_ends.place(axes, list(_line_ends(part)))
    return figure


def _key(style_of_line: Literal["-", ":"], label: str) -> Line2D:
    line = Line2D([], [], linestyle=style_of_line, linewidth=0.9, color="#555555")
    line.set_label(label)
    return line


def _reach(part: pd.DataFrame) -> float:
    """How far the curves go: a closed form as far as twice its last S*."""
    last = float(part["x"].max())
    if (part["panel"] != CLOSED_FORM).all():
        return last
    return max([last, *(2 * float(value) for value in part["s_star"].dropna())])


def _curve(part: pd.DataFrame, tokens: Counts) -> Counts:
    first = part.iloc[0]
    a, b, c = (float(first[name]) for name in ("fit_a", "fit_b", "fit_c"))
    return a + b * tokens + c * tokens**2


def _line_ends(part: pd.DataFrame) -> Iterator[labels.Label]:
    """Names of the curves; what follows the model stands on a line of its own."""
    reach = _reach(part)
    for name, line in part.groupby("label"):
        end = float(_curve(line, np.array([reach]))[0])
        yield labels.Label(reach, end, str(name).replace(", ", "\n", 1))


def _panel(axes: Axes, part: pd.DataFrame, across: int) -> None:
    style.scatter(axes, part)
    reach = _reach(part)
    every = np.geomspace(float(part["x"].min()), reach, 200)
    heights = [part["y"]]
    styles = _line_styles(part)
    for name, line in part.groupby("label"):
        colour = style.COLOURS[str(line["family"].iloc[0])]
        curve = pd.Series(_curve(line, every))
        axes.plot(
            every, curve, color=colour, linewidth=0.9, linestyle=styles[name], gid="fit"
        )
        heights.append(curve[curve > 0])
        star = plain(line["s_star"].iloc[0])
        if star is not None and every[0] <= star <= every[-1]:
            axes.axvline(star, color=colour, linestyle=":", linewidth=0.8, gid="s_star")
    style.log_axis(axes, "y", pd.concat(heights))
    xs = [float(part["x"].min()), reach]
    style.log_axis(axes, "x", xs, pad=style.room_for_names(axes, across))
    axes.set_xlabel("tokens S")


def _line_styles(part: pd.DataFrame) -> dict[object, str]:
    """Solid for the first line of a family, then others: a colour is a family."""
    made: dict[object, str] = {}
    for _, family in part.groupby("family"):
        names = sorted(family["label"].unique(), key=lambda n: (FIXED not in n, n))
        made |= dict(zip(names, itertools.cycle(("-", "--", "-.")), strict=False))
    return made


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, and each fit in numbers."""
    text = (
        "Cost of one image against its tokens S, fitted by a + b S + c S² (relative "
        "least squares over fresh processes; intervals of 95 %). The claim is c; S* = "
        "b / c is where the quadratic part equals the linear one."
    )
    for name, part in panels.by_panel(found):
        fits = [_said(label, line.iloc[0]) for label, line in part.groupby("label")]
        text += f" {name}: {'; '.join(fits)}."
    return text + panels.demo_sentence(found)


def _said(label: object, line: pd.Series[Any]) -> str:
    c, star = float(line["fit_c"]), plain(line["s_star"])
    if line["panel"] == CLOSED_FORM:
        end = "no S*" if star is None else f"S* = {star:,.0f}"
        return f"{label} c = {1e9 * c:,.0f} MACs per token², {end}"
    low, high = plain(line["fit_c_low"]), plain(line["fit_c_high"])
    if low is None:
        return f"{label} c = {_ns(c)} ns per token², through three points: no interval"
    said = f"{label} c = {_ns(c)} ({_ns(low)} to {_ns(high)}) ns per token²"
    if star is None:
        return said + ", no S*: b or c is not certainly above zero"
    low, high = line["s_star_low"], line["s_star_high"]
    return f"{said}, S* = {star:,.0f} ({low:,.0f} to {high:,.0f})"


def _ns(milliseconds: float) -> str:
    sign = "−" if milliseconds < 0 else ""
    return sign + significant(abs(1e6 * milliseconds), 3)
