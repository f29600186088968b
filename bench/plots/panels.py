"""What several figures share: panels by comparability key, titles, a frontier."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis import demo
from bench.analysis.key import by_key, equal, plain
from bench.analysis.pareto import Better, on_frontier
from bench.plots import labels, line_ends, style

POINT_COLUMNS = (
    "panel",
    "x",
    "y",
    "label",
    "model",
    "family",
    "framework",
    "source",
    "image_size",
    "core_kind",
    "pretrain_dataset",
    "eval_dataset",
    "chance",
    "demo",
)
LINE = ["panel", "framework", "label"]
"""What the points of one line share, once `one_line_each` has named the lines."""
_NAME_WIDTH = 14  # characters in the room that `style.room_for_names` leaves
PUBLISHED_PANEL = "Published: Tolstikhin et al. (2021), TPUv3"


def finished(points: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Points whose two coordinates are known, with the columns of their look."""
    known = points[points[x].notna() & points[y].notna()]
    full = known.assign(x=known[x].astype(float), y=known[y].astype(float))
    return style.looks_of(full.reset_index(drop=True))


def by_panel(points: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each panel's title with its points, in order of appearance."""
    for name, part in points.groupby("panel", sort=False):
        yield str(name), part


def in_order(points: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Points sorted by `by` inside their panels; panels keep their order."""
    parts = [part.sort_values(by, kind="stable") for _, part in by_panel(points)]
    return pd.concat(parts, ignore_index=True) if parts else points


def lines_in_each(points: pd.DataFrame) -> list[int]:
    """How many lines each panel has, which are named at their ends."""
    return [len(part.drop_duplicates(LINE)) for _, part in by_panel(points)]


def name_line_ends(axes: Axes, part: pd.DataFrame) -> None:
    """Write each line's label at its right end."""
    ends = part.sort_values("x").drop_duplicates(LINE, keep="last")
    short = [textwrap.fill(str(text), _NAME_WIDTH) for text in ends["label"]]
    line_ends.place(axes, as_labels(ends.assign(label=short)))


def as_labels(points: pd.DataFrame) -> list[labels.Label]:
    """The labels of points, for `labels.place`; every published one has its own."""
    measured = points["model"].where(points["source"] == "measured", "")
    told = points[["x", "y", "label"]].assign(model=measured)
    return [
        labels.Label(float(x), float(y), str(text), str(model))
        for x, y, text, model in told.to_numpy()
    ]


def split_by_key(
    rows: pd.DataFrame, *metrics: str, name: Callable[[Mapping[str, Any]], str]
) -> list[pd.DataFrame]:
    """Rows of each comparability key, with a panel of their own."""
    return [
        part.assign(panel=title) for title, _, part in titled(rows, *metrics, name=name)
    ]


def titled(
    rows: pd.DataFrame,
    *metrics: str,
    name: Callable[[Mapping[str, Any]], str] | None = None,
) -> list[tuple[str, dict[str, Any], pd.DataFrame]]:
    """Each comparability key's own title, the key, and its rows."""
    found = list(by_key(rows, *metrics))
    keys = [key for key, _ in found]
    titles = told_apart([(name or measured_name)(key) for key in keys], keys)
    return [(title, *one) for title, one in zip(titles, found, strict=True)]


def demo_apart(title: str, part: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """A key's rows under its title; demo sizes apart, where they fill a panel."""
    small = part["model"].astype(str).map(demo.is_demo).astype(bool)
    for words, one in (("", part[~small]), (", demo sizes", part[small])):
        if len(one):
            yield title + words, one


def told_apart(names: Sequence[str], facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """`names` made distinct: those that coincide are told apart by what differs.

    >>> told_apart(["A", "A", "B"], [{"seed": 0}, {"seed": 1}, {"seed": 1}])
    ['A, seed 0', 'A, seed 1', 'B']
    """
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for name, one in zip(names, facts, strict=True):
        alike.setdefault(name, []).append(one)
    return [
        ", ".join([name, *_what_differs(one, alike[name])])
        for name, one in zip(names, facts, strict=True)
    ]


def _what_differs(
    one: Mapping[str, Any], alike: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The facts of `one` that are not the same in all of `alike`, in words."""
    differ = [name for name in one if len({plain(each[name]) for each in alike}) > 1]
    return [_difference(name, one, alike) for name in differ]


def _difference(
    name: str, one: Mapping[str, Any], alike: Sequence[Mapping[str, Any]]
) -> str:
    """A fact in words; of a recipe of steps only the steps that not all share."""
    text = _value(one[name])
    others = [_value(each[name]).split(", ") for each in alike]
    steps = text.split(", ")
    own = [step for step in steps if any(step not in each for each in others)]
    if 0 < len(own) < len(steps):
        return ", ".join(own)
    return f"{name.replace('_', ' ')} {text}"


def _value(value: Any) -> str:
    if plain(value) is None:
        return "none"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _told_apart_by(lines: pd.DataFrame, by: Sequence[str]) -> list[str]:
    facts = [dict(zip(by, row, strict=True)) for row in lines[[*by]].to_numpy()]
    return told_apart([str(label) for label in lines["label"]], facts)


def one_line_each(points: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Points whose line, the same in all of `by`, has two x or more, labels distinct.

    A line is then what shares panel, framework and label: `LINE`.
    """
    lines = points.groupby([*LINE, *by], dropna=False, sort=False)
    kept = points.assign(line=lines.ngroup())[lines["x"].transform("nunique") > 1]
    ends = kept.drop_duplicates("line")
    parts = [
        part.assign(label=_told_apart_by(part, by))
        for _, part in ends.groupby(["panel", "framework"], dropna=False, sort=False)
    ]
    named = {n: str(text) for p in parts for n, text in p[["line", "label"]].to_numpy()}
    return kept.assign(label=[named[line] for line in kept["line"]])


def measured_name(key: Mapping[str, Any]) -> str:
    """A panel's name from its key: what was learned, and where."""
    learned = key.get("pretrain_dataset")
    tested = key.get("eval_dataset")
    words = [str(key["machine"]), str(key["dtype"])]
    if key.get("mode"):
        words.append({"infer": "inference", "train": "training"}[key["mode"]])
    if key.get("track") == "tuned":
        words.append("tuned track")
    if learned:
        words.append(learned if tested in (None, learned) else f"{learned} → {tested}")
    return "Measured: " + ", ".join(words)


def pixels_in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of ordinary images: what shuffling takes has a figure of its own."""
    return rows[rows["shuffle"].isna() | equal(rows, "shuffle", "none")]


def mark_frontier(points: pd.DataFrame, x_better: Better) -> pd.DataFrame:
    """Add `on_frontier`, each panel for itself: no frontier spans two panels."""
    parts = [
        part.assign(
            on_frontier=on_frontier(
                part["x"].to_numpy(float), part["y"].to_numpy(float), x_better
            )
        )
        for _, part in by_panel(points)
    ]
    return pd.concat(parts, ignore_index=True)


def accuracy_panels(
    points: pd.DataFrame, width_in: float, *, x_label: str, x_better: Better
) -> Figure:
    """Accuracy against a cost or a rate, one panel per key, frontier dashed.

    Points that share a value of the column `line`, where there is one, are joined.
    """
    count = points["panel"].nunique()
    across = style.across(count, width_in)
    named = [_to_name(part) for _, part in by_panel(points)]
    figure, grid = style.canvas(
        count, width_in, panel_height_in=2.8, names=[*map(len, named)]
    )
    paths = []
    for axes, (name, part) in zip(grid, by_panel(points), strict=True):
        paths.append([_accuracy_panel(axes, part, x_better), *_joined(axes, part)])
        style.title(axes, name, across, bool(part["demo"].any()))
        axes.set_xlabel(f"{x_label} ({core_name(part)})")
        style.y_label(axes, f"{tested_on(part)} top-1 accuracy (%)")
    line = Line2D([], [], linestyle="--", linewidth=0.8, color="#555555")
    line.set_label("Pareto frontier")
    style.legend(figure, points, (line,))
    labels.settle(figure)
    each = zip(grid, named, paths, by_panel(points), strict=True)
    for axes, names, path, (_, part) in each:
        spots = list(zip(part["x"], part["y"], strict=True))
        labels.place(axes, names, spots, path, fewer=_models_alone(part))
    return figure


def with_runs_told_apart(points: pd.DataFrame) -> pd.DataFrame:
    """Labels that say in what the runs of a model differ, where one fact or two do.

    Images that some of them augmented are named as such beside it.
    """
    by = ["panel", "framework", "label"]
    found = points["label"].astype(object).copy()
    for _, part in points.groupby(by, dropna=False, sort=False):
        facts = _telling(part) if len(part) > 1 else ()
        if facts:
            found[part.index] = part["label"] + _said(part, facts) + _augmented(part)
    return points.assign(label=found)


def _telling(part: pd.DataFrame) -> tuple[str, ...]:
    """The fewest facts that tell all these runs apart; none where two do not."""
    for count in (1, 2):
        for names in itertools.combinations(_RUN_FACTS, count):
            known = part[list(names)].astype(float).dropna()
            if len(known) == len(part) and not known.duplicated().any():
                return names
    return ()


def _said(part: pd.DataFrame, facts: tuple[str, ...]) -> list[str]:
    """`, 300 images`; the second fact only where the first is another run's, too."""
    words = [
        [", " + _RUN_FACTS[name].format(float(value)) for value in part[name]]
        for name in facts
    ]
    again = part.duplicated(facts[0], keep=False)
    return [
        first + "".join(more if twice else ())
        for first, *more, twice in zip(*words, again, strict=True)
    ]


def _augmented(part: pd.DataFrame) -> list[str]:
    kinds = list(map(plain, part["augment"]))
    if len(set(kinds)) == 1:
        return [""] * len(kinds)
    return ["" if kind in (None, "none") else f", augment {kind}" for kind in kinds]


_RUN_FACTS = {
    "unique_images": "{:,.0f} images",
    "images_seen": "{:,.0f} images seen",
    "learning_rate": "learning rate {:g}",
}
"""What may tell two training runs of a model apart, the most telling first."""


MOST_NAMES = 24
"""More runs than this in a panel cannot be named: each model is, at its best run."""


def _to_name(part: pd.DataFrame) -> list[labels.Label]:
    """A label for each point; a model that no fact tells apart is named at its best.

    The name stands at the best run; the others say in what they differ, unless another
    model of the panel has their colour.
    """
    best = part[part["label"].ne("")].sort_values("y", ascending=False, kind="stable")
    if (part["source"] == "measured").all():
        best = best.drop_duplicates(["label", "framework"])
        if len(best) > MOST_NAMES:
            best = best.drop_duplicates(["model", "framework"])
        again = best.duplicated(["model", "framework"])
        alone = best.groupby("family")["model"].transform("nunique") == 1
        facts = best["label"].astype(str).str.partition(", ")[2]
        short = again & alone & facts.ne("")
        best = best.assign(label=best["label"].where(~short, facts))
    return as_labels(best)


def _models_alone(part: pd.DataFrame) -> list[labels.Label]:
    """Each measured model at its best run, for a panel without room for every run."""
    best = part[equal(part, "source", "measured") & part["label"].ne("")]
    best = best.sort_values("y", ascending=False, kind="stable")
    best = best.drop_duplicates(["model", "framework"])
    return as_labels(best.assign(label=best["model"]))


def _accuracy_panel(
    axes: Axes, part: pd.DataFrame, x_better: Better
) -> list[tuple[float, float]]:
    style.scatter(axes, part)
    style.log_axis(axes, "x", part["x"], pad=(0.2, 0.14))
    low, high = float(part["y"].min()), float(part["y"].max())
    room = max(high - low, 1.0)
    above = 0.2 if style.is_narrow(axes) else 0.12  # a name takes more of a low panel
    axes.set_ylim(low - 0.12 * room, high + above * room)
    path = staircase(part[part["on_frontier"]], x_better)
    axes.plot(
        *zip(*path, strict=True),
        linestyle="--",
        linewidth=0.8,
        color="#555555",
        zorder=1,
        gid="frontier",
    )
    return path


def _joined(axes: Axes, part: pd.DataFrame) -> list[list[tuple[float, float]]]:
    """Draw the lines of a panel, each from the left to the right; their paths."""
    paths = []
    for _, line in part.groupby("line") if "line" in part else ():
        by_x = line.sort_values(["x", "y"])
        colour = style.COLOURS[str(by_x["family"].iloc[0])]
        axes.plot(by_x["x"], by_x["y"], color=colour, linewidth=0.9, gid="line")
        paths.append(list(zip(by_x["x"], by_x["y"], strict=True)))
    return paths


def staircase(front: pd.DataFrame, x_better: Better) -> list[tuple[float, float]]:
    """The edge of the dominated region: steps between frontier points."""
    front = front.sort_values("x", ascending=x_better == "lower")
    points = list(zip(front["x"], front["y"], strict=True))
    path = points[:1]
    for (_, y0), (x1, y1) in itertools.pairwise(points):
        path += [(x1, y0), (x1, y1)]
    return path


def core_name(part: pd.DataFrame) -> str:
    """What a core is in these rows, in words."""
    kinds = sorted({str(kind) for kind in part["core_kind"].dropna()})
    return ", ".join(kind.replace("tpu_core", "TPUv3 core") for kind in kinds)


def tested_on(part: pd.DataFrame) -> str:
    """The data sets that these accuracies were measured on."""
    return ", ".join(sorted({str(name) for name in part["eval_dataset"].dropna()}))


def demo_sentence(found: pd.DataFrame) -> str:
    """The end of a caption whose figure shows demo sizes."""
    return f" {demo.NOTE.capitalize()}." if found["demo"].any() else ""


def published_frontier(found: pd.DataFrame, words: str) -> str:
    """A sentence on who is on the papers' frontier, from the left to the right."""
    front = found[found["on_frontier"].astype(bool) & (found["source"] == "published")]
    if front.empty:
        return ""
    names = listed(front.sort_values("x")["label"])
    return f" On the published frontier{words}: {names}."


def listed(names: Any) -> str:
    """Names in a sentence, each once, in order of appearance."""
    return ", ".join(dict.fromkeys(str(name) for name in names))


def exact(points: pd.DataFrame, *extra: str) -> pd.DataFrame:
    """The columns that are kept beside a figure."""
    kept = points.reindex(columns=[*POINT_COLUMNS, *extra])
    return kept.astype(object).replace({np.nan: None})
