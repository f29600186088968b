"""Accuracy over training with shuffled pixels, and how much of it shuffling takes.

Figure 4 of Tolstikhin et al. (2021), for measured rows. Its curves are not tabulated;
two relative drops stand in the paper's text and are drawn as lines. The paper's metric,
linear 5-shot, is drawn where every run that is compared has it, else top-1.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis import seeds
from bench.analysis.key import by_key, equal, plain
from bench.analysis.repetitions import SETTINGS
from bench.analysis.scaling import FAMILIES
from bench.plots import labels, panels, remember, style

NEEDS = ("curve", "top1", "chance", "shuffle", "seed", "model", "family", "mode")
NOTHING = (
    "the paper's shuffling curves are not tabulated, and no model was measured both "
    "with its pixels in order and shuffled"
)
WORDS = {"none": "original", "patch_pixel": "patch + pixel", "global": "global"}
_SHORT = {"patch_pixel": "patch\n+pixel", "global": "global"}
_DASHES = {"none": "-", "patch_pixel": "--", "global": ":"}
PAPER = ((45.0, "Mixer-B/16"), (75.0, "ResNet-50x1"))
"""Section 3.5 gives both as "about": linear 5-shot on ImageNet, after JFT-300M."""
CURVE, DROP = "validation top-1", "relative drop of test top-1"
SHOT_CURVE, SHOT_DROP = "linear 5-shot top-1", "relative drop of linear 5-shot top-1"
_TAKES = "What shuffling takes. "
_SHOTS = 5
_CURVES = (CURVE, SHOT_CURVE)
_EXTRA = (
    "metric",
    "shuffle",
    "seed",
    "n_train",
    "y_low",
    "y_high",
    "relative_drop",
    "drop_above_chance",
)
_ALIKE = [
    *(name for name in SETTINGS if name != "shuffle"),
    *("machine_id", "environment_id", "protocol"),
]
"""What two runs must share for the shuffling alone to tell them apart."""


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points: curves as medians over seeds, drops for each seed."""
    parts = [part for _, parts in _panels(rows) for part in parts]
    if not parts:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    known = panels.finished(pd.concat(parts, ignore_index=True), "x", "y")
    return panels.exact(known, *_EXTRA)


def _panels(rows: pd.DataFrame) -> Iterator[tuple[str, list[pd.DataFrame]]]:
    """For each comparability key: curves of each model, then the drops of all."""
    done = rows[
        equal(rows, "status", "ok")
        & equal(rows, "source", "measured")
        & equal(rows, "mode", "pretrain")
        & rows["curve"].notna()
        & rows["top1"].notna()
    ]
    same = done.assign(eval_preprocess=_without_shuffle(done))
    found = [
        (key, _comparable(part)) for key, part in by_key(same, "top1", "core_days")
    ]
    found = [(key, groups) for key, groups in found if groups]
    keys = [key for key, _ in found]
    names = panels.told_apart([panels.measured_name(key) for key in keys], keys)
    for name, (_, groups) in zip(names, found, strict=True):
        facts = [_facts(group) for group in groups]
        target = _target(groups)
        words = (CURVE, DROP) if target is None else (SHOT_CURVE, SHOT_DROP)
        if target is not None:
            groups = [_probed(group, target) for group in groups]
        titles = panels.told_apart(
            [f"{one['model']}, {one['framework']}. {name}" for one in facts], facts
        )
        curves = [
            _curves(group).assign(panel=title, metric=words[0])
            for title, group in zip(titles, groups, strict=True)
        ]
        drops = pd.concat([_drops(group) for group in groups], ignore_index=True)
        title = f"{_TAKES}{name}"
        yield name, [*curves, _placed(drops).assign(panel=title, metric=words[1])]


def _target(groups: Sequence[pd.DataFrame]) -> str | None:
    """The first few-shot target that all runs have at every point and at the end."""
    runs = [run for group in groups for _, run in group.iterrows()]
    common = [set(_finals(run)) for run in runs]
    common += [set(_shots(point)) for run in runs for point in run["curve"]]
    named = [name for name in _finals(runs[0]) if all(name in one for one in common)]
    return named[0] if named else None


def _shots(point: Mapping[str, Any]) -> dict[str, float]:
    """Target -> linear 5-shot at one point of a curve."""
    return {one["dataset"]: one["accuracy"] for one in _listed(point.get("fewshot"))}


def _listed(entries: Any) -> list[Mapping[str, Any]]:
    """Entries of a nested column, which may be an array or missing."""
    return [] if entries is None or plain(entries) is None else list(entries)


def _finals(run: pd.Series[Any]) -> dict[str, tuple[float, float]]:
    """Target -> linear 5-shot after the last step, the median draw, and chance."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entry in _listed(run.get("fewshot")):
        if entry["baseline"] is None and entry["shots"] == _SHOTS:
            found.setdefault(entry["dataset"], []).append(entry)
    return {
        name: (statistics.median(e["accuracy"] for e in part), part[0]["chance"])
        for name, part in found.items()
    }


def _probed(group: pd.DataFrame, target: str) -> pd.DataFrame:
    """The same runs with linear 5-shot on the target in place of top-1."""
    finals = [_finals(run)[target] for _, run in group.iterrows()]
    curves = [
        [{**point, "top1": _shots(point)[target]} for point in curve]
        for curve in group["curve"]
    ]
    return group.assign(
        curve=pd.Series(curves, group.index, dtype=object),
        top1=[last for last, _ in finals],
        chance=[chance for _, chance in finals],
        eval_dataset=target,
    )


def _without_shuffle(rows: pd.DataFrame) -> pd.Series[Any]:
    """The preprocessing before the shuffle, which here is what is compared."""
    pairs = rows[["eval_preprocess", "shuffle"]].to_numpy()
    words = [
        None if plain(text) is None else str(text).removesuffix(f", {kind} shuffled")
        for text, kind in pairs
    ]
    return pd.Series(words, rows.index, dtype="object")


def _comparable(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Runs alike but for shuffle and seed, where some are shuffled and some are not."""
    groups = [part for _, part in rows.groupby(_ALIKE, dropna=False, sort=False)]
    kept = [one for one in groups if {"none"} < set(one["shuffle"])]
    return sorted(kept, key=lambda one: _rank(one.iloc[0]))


def _rank(row: pd.Series[Any]) -> tuple[int, str, str]:
    family = str(row["family"])
    known = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
    return known, str(row["model"]), str(row["framework"])


def _facts(group: pd.DataFrame) -> dict[str, Any]:
    first = group.iloc[0]
    return {name: plain(first[name]) for name in _ALIKE}


def _curves(group: pd.DataFrame) -> pd.DataFrame:
    """Median, smallest and largest accuracy of each shuffle at each step."""
    seen = pd.DataFrame(
        [
            {"shuffle": run["shuffle"], "x": point["step"], "y": 100 * point["top1"]}
            for _, run in group.iterrows()
            for point in run["curve"]
        ]
    )
    accuracies = seen.groupby(["shuffle", "x"], sort=True)["y"]
    made = pd.DataFrame(
        {
            "y": accuracies.median(),
            "y_low": accuracies.min(),
            "y_high": accuracies.max(),
            "n_train": accuracies.count(),
        }
    ).reset_index()
    plain_curve = made[made["shuffle"] == "none"].set_index("x")["y"]
    original = made["x"].map(plain_curve)
    first = group.iloc[0]
    look = {n: plain(first[n]) for n in panels.POINT_COLUMNS if n in group}
    return made.assign(
        **look,
        label=made["shuffle"].map(WORDS),
        relative_drop=(1 - made["y"] / original).where(made["shuffle"] != "none"),
    )


def _drops(group: pd.DataFrame) -> pd.DataFrame:
    """1 - shuffled / original of each seed, at the end of training, in per cent."""
    both_seeds = ["seed", "subset_seed"]
    original = group[group["shuffle"] == "none"][[*both_seeds, "top1"]]
    shuffled = group[group["shuffle"] != "none"]
    both = shuffled.merge(original, on=both_seeds, suffixes=("", "_original"))
    mine, whole = both["top1"].astype(float), both["top1_original"].astype(float)
    chance = both["chance"].astype(float)
    kept = both[[*(n for n in panels.POINT_COLUMNS if n in both), "shuffle", "seed"]]
    return kept.assign(
        y=100 * (1 - mine / whole),
        relative_drop=1 - mine / whole,
        drop_above_chance=1 - (mine - chance) / (whole - chance),
        label=[f"{m}, {WORDS[s]}" for m, s in both[["model", "shuffle"]].to_numpy()],
    )


def _placed(drops: pd.DataFrame) -> pd.DataFrame:
    """A place on the x axis for each model and shuffle, models apart."""
    models = list(dict.fromkeys(drops["model"]))
    kinds = [kind for kind in WORDS if kind in set(drops["shuffle"])]
    place = {
        (model, kind): float(n * (len(kinds) + 0.5) + kinds.index(kind))
        for n, model in enumerate(models)
        for kind in kinds
    }
    pairs = drops[["model", "shuffle"]].to_numpy()
    return drops.assign(x=[place[model, kind] for model, kind in pairs])


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    count = found["panel"].nunique()
    figure, grid = style.canvas(
        count, width_in, panel_height_in=2.5, names=panels.lines_in_each(found)
    )
    across = style.across(count, width_in)
    shown = list(zip(grid, panels.by_panel(found), strict=True))
    for axes, (name, part) in shown:
        style.scatter(axes, part)
        curve = _is_curve(part)
        (_curve_panel if curve else _drop_panel)(axes, part)
        style.title(axes, name, across, bool(part["demo"].any()))
    style.legend(figure, found)
    labels.settle(figure)
    for axes, (_, part) in shown:
        if _is_curve(part):
            panels.name_line_ends(axes, part)
    return figure


def _is_curve(part: pd.DataFrame) -> bool:
    return str(part["metric"].iloc[0]) in _CURVES


def _curve_panel(axes: Axes, part: pd.DataFrame) -> None:
    colour = style.COLOURS[str(part["family"].iloc[0])]
    for kind, line in part.groupby("shuffle", sort=False):
        axes.plot(
            line["x"], line["y"], _DASHES[str(kind)], color=colour, lw=0.9, gid="line"
        )
        axes.vlines(line["x"], line["y_low"], line["y_high"], color=colour, lw=0.8)
    chance = 100 * float(part["chance"].iloc[0])
    axes.axhline(chance, color="#777777", linestyle="-.", linewidth=0.6)
    axes.annotate(
        "chance",
        (1, chance),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 2),
        textcoords="offset points",
        ha="right",
        fontsize=style.SMALL_PT,
        color="#444444",
    )
    last = float(part["x"].max())
    axes.set_xlim(0, 1.42 * last)  # room for the names
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= last])
    axes.set_ylim(0, 103)
    axes.set_xlabel("training step")
    style.y_label(axes, f"{panels.tested_on(part)} {part['metric'].iloc[0]} (%)")


def _drop_panel(axes: Axes, part: pd.DataFrame) -> None:
    for _, one in part.groupby(["x", "framework"], sort=False):
        middle = float(one["y"].median())
        x = float(one["x"].iloc[0])
        axes.plot([x - 0.25, x + 0.25], [middle] * 2, color="#333333", lw=1.0)
    for value, text in PAPER:
        axes.axhline(value, color="#333333", linestyle="--", linewidth=0.6, zorder=0)
        axes.annotate(
            f"paper, global,\n{text}:\nabout {value:.0f} %",
            (float(part["x"].max()) + 0.6, value + 1.5),
            fontsize=style.SMALL_PT,
            color="#444444",
            gid="note",
        )
    axes.axhline(0, color="#777777", linewidth=0.6, zorder=0)
    places = part.drop_duplicates("x").sort_values("x")
    words = [
        f"{str(model).partition('-')[0]}\n{_SHORT[shuffle]}"
        for model, shuffle in places[["model", "shuffle"]].to_numpy()
    ]
    axes.set_xticks(places["x"].astype(float), words)
    axes.set_xlim(-0.6, float(places["x"].max()) + 2.7)  # room for the paper's names
    axes.set_ylim(min(-8.0, float(part["y"].min()) - 5), 100)
    style.y_label(axes, f"{part['metric'].iloc[0]} (%)")


_SAID = {
    CURVE: "top-1 on the validation split",
    DROP: "top-1 on the test split",
    **dict.fromkeys((SHOT_CURVE, SHOT_DROP), "linear 5-shot top-1, the paper's metric"),
}


def _said(part: pd.DataFrame) -> str:
    """The metrics of these points, with the target of few-shot ones."""
    words = []
    for metric, rows in part.groupby("metric", sort=False):
        shots = metric in (SHOT_CURVE, SHOT_DROP)
        words.append(
            _SAID[str(metric)] + (f" (on {panels.tested_on(rows)})" if shots else "")
        )
    return " or ".join(words)


def _medians(drops: pd.DataFrame) -> str:
    """The numbers of the bars; the panel and the framework where they tell two apart.

    As `mixer-bench claims` tells them: runs of two frameworks or keys are never pooled.
    """
    named = [n for n in ("framework", "panel") if drops[n].nunique(dropna=False) > 1]
    parts = []
    for names, part in drops.groupby(["label", *named], sort=False, dropna=False):
        value = seeds.middle(part["y"].astype(float).tolist(), "%").replace("-", "−")
        words = (str(one).removeprefix(_TAKES) for one in names)
        parts.append(f"{', '.join(words)} {value}")
    return "; ".join(parts)


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, the metric, and what the paper's lines are."""
    curved = found["metric"].isin(_CURVES).astype(bool)
    numbers = sorted({int(n) for n in found[curved]["n_train"].dropna()})
    text = (
        "Accuracy over training with pixels in order, with patches and the pixels in "
        "them permuted, and with all pixels permuted, by one permutation for every "
        f"image. Metric of the curves: {_said(found[curved])}, medians over "
        f"{' or '.join(map(str, numbers))} seeds with their range. Relative drop: 1 - "
        "shuffled / original of the same seed, "
        f"{_said(found[~curved])} after the last step, a dot for each seed, a bar for "
        f"the median. Medians with their range: {_medians(found[~curved])}. Dashed: "
        "the paper's text on its Figure 4, about 45 % for Mixer-B/16 and about 75 % "
        "for ResNet-50x1 with all pixels permuted, linear 5-shot ImageNet top-1 after "
        "JFT-300M; its curves and its drop for patch + pixel are not tabulated, and it "
        "shows no ViT."
    )
    return text + panels.demo_sentence(found)
