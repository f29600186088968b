"""Throughput relative to Mixer-B/16 on the same machine.

Rates of different machines cannot be compared; their ratios to one model can. Panels:
TPUv3 as published by Tolstikhin et al. (2021), Table 3, 224 px; the GPUs of timm's own
results; imported figures; and every measured key in which Mixer-B/16 was timed at
224 px. Only like is divided by like: `_LIKE` is shared too. A model whose inference
stands on the other side of the reference than on TPUv3 is printed in bold: the paper's
ordering is not that of every machine. A measured one must show it in an interval that
excludes 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.key import by_key, equal, imported, key_columns, plain
from bench.analysis.repetitions import MIN_REPETITIONS, speed_rows, typed
from bench.plots import panels, ratio_grid, remember, style
from bench.plots.ratio_grid import ratio
from bench.specs import TRAINING_MODES

NEEDS = (
    *("img_per_sec_core", "img_per_sec", "image_size"),
    *("model", "family", "machine", "mode"),
)
REFERENCE = "Mixer-B/16"
NOTHING = f"no machine has a throughput of {REFERENCE} at 224 px to divide by"
_LIKE = (
    *("framework", "peer", "batch_rule", "num_classes", "environment_id", "device"),
)
_EXTRA = (
    *("flipped", "n", "x_low", "x_high", "together", "batch_rule", "batch_size"),
    "citation",
)


@remember.once
def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Exactly the plotted points: x is the ratio, y the model's line."""
    done = _as_timed(rows)
    printed = done[equal(done, "source", "published")]
    paper = printed[equal(printed, "table", "mixer-table3")].drop_duplicates("model")
    timm = printed[equal(printed, "table", "timm")]
    mine = done[equal(done, "source", "measured") & ~_trained(done)]
    parts = [
        *_ratios(typed(paper), "Published, TPUv3"),
        *_ratios(typed(timm), "timm"),
        *(_divided(part, name) for name, part in _of_imports(done)),
        *_ratios(speed_rows(mine), "Measured"),
    ]
    if not parts:
        return pd.DataFrame(columns=[*panels.POINT_COLUMNS, *_EXTRA])
    found = pd.concat(parts, ignore_index=True)
    found = _lines(found[found.groupby("model")["panel"].transform("nunique") > 1])
    return panels.exact(style.looks_of(_flips(found)), *_EXTRA)


def imports_drawn(rows: pd.DataFrame) -> int:
    """How many imported rows stand behind the points."""
    shown = set(points(rows)[["panel", "model"]].itertuples(index=False, name=None))
    return sum(
        (name, model) in shown
        for name, part in _of_imports(_as_timed(rows))
        for model in part["model"]
    )


def _as_timed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[
        equal(rows, "status", "ok")
        & equal(rows, "image_size", 224)
        & ~equal(rows, "role", "anchor")
    ]


def _trained(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows["mode"].isin(TRAINING_MODES).astype(bool)


def _of_imports(done: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Each panel of imported rows; repetitions have their median as their rate.

    A source that names no cores has the rate of the whole machine: ratios are the same.
    """
    made = typed(done[imported(done) & _as_published(done) & ~_trained(done)])
    rate, whole = made["img_per_sec_core"], made["img_per_sec"]
    coreless = rate.isna().groupby(made["source"]).transform("all").astype(bool)
    made = made.assign(img_per_sec_core=rate.where(~coreless, whole))
    made = made[made["img_per_sec_core"].notna()]
    by = [*key_columns("img_per_sec_core"), *_LIKE, "model", "batch_size"]
    alike = made.groupby(by, dropna=False)["img_per_sec_core"]
    return _parts(made.assign(img_per_sec_core=alike.transform("median")), "Imported")


def _ratios(rows: pd.DataFrame, origin: str) -> list[pd.DataFrame]:
    """Rows that may be divided by each other and hold the reference, divided by it."""
    return [_divided(part, name) for name, part in _parts(rows, origin)]


def _parts(rows: pd.DataFrame, origin: str) -> list[tuple[str, pd.DataFrame]]:
    """Each panel's name with its rows, the reference among them."""
    found = [
        ({**key, **like}, part)
        for key, one in by_key(rows[_as_published(rows)], "img_per_sec_core")
        for like, part in _alike(one)
        if (part["model"] == REFERENCE).any()
    ]
    keys = [key for key, _ in found]
    names = panels.told_apart([_panel_name(origin, key) for key in keys], keys)
    return [(name, part) for name, (_, part) in zip(names, found, strict=True)]


def _as_published(rows: pd.DataFrame) -> pd.Series[bool]:
    """Models as their papers have them: no other pooling, no other D_S."""
    return ~equal(rows, "pool", "gap") & rows["tokens_mlp_dim"].isna()


def _alike(rows: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Rows timed alike; a batch size fixed in advance is the same for all."""
    fixed = rows["batch_size"].where(equal(rows, "batch_rule", "fixed"))
    by = {**{name: rows[name] for name in _LIKE}, "batch_size": fixed}
    for values, part in rows.groupby(list(by.values()), dropna=False, sort=False):
        yield dict(zip(by, values, strict=True)), part


def _divided(part: pd.DataFrame, name: str) -> pd.DataFrame:
    """Add x, its interval and n, the smaller of the two numbers of processes.

    The interval is that of the difference of two logarithms whose own intervals are
    known: the distances to the near ends add as squares (Zou and Donner, 2008). There
    is none across sittings, between which a machine drifts.
    """
    best = _best_of_each(part)
    rate, low, high = (
        best[column].astype(float) for column in ("img_per_sec_core", "low", "high")
    )
    here = best.index[best["model"] == REFERENCE][0]
    down = np.hypot(_apart(low, rate), _apart(rate[here], high[here]))
    up = np.hypot(_apart(rate, high), _apart(low[here], rate[here]))
    ratio, together = rate / rate[here], best["together"].astype(bool)
    barred = together & (best["model"] != REFERENCE)
    return best.assign(
        panel=_with_n(name, best["n"]),
        x=ratio,
        x_low=(ratio * np.exp(-down)).where(barred),
        x_high=(ratio * np.exp(up)).where(barred),
        n=np.minimum(best["n"].astype(float), float(best["n"][here])),
        together=together.astype(object).where(equal(best, "source", "measured"), None),
        label=best["model"],
    )


def _best_of_each(part: pd.DataFrame) -> pd.DataFrame:
    """Of each model the fastest, if there are several; with `together`.

    Rows that have an interval stand first, then those of a sitting of the reference.
    """
    known = part.reindex(
        columns=list(dict.fromkeys([*part.columns, "n", "low", "high", "sittings"]))
    )
    sittings = [plain(one) or [None] for one in known["sittings"]]
    known["sittings"] = pd.Series(sittings, known.index, dtype=object)
    known = known.assign(enough=known["n"] >= MIN_REPETITIONS)
    by = ["enough", "img_per_sec_core"]
    own = known[known["model"] == REFERENCE].sort_values(by, ascending=False)
    shared = set(own["sittings"].iloc[0])
    together = [not shared.isdisjoint(one) for one in sittings]
    ranked = pd.concat([own[:1], known[known["model"] != REFERENCE]])
    ranked = ranked.assign(together=pd.Series(together, known.index))
    ranked = ranked.sort_values(["enough", "together", by[1]], ascending=False)
    return ranked.drop_duplicates("model").reset_index(drop=True)


def _apart(low: Any, high: Any) -> Any:
    """Distance of two rates in logarithms, at least 0."""
    return np.maximum(np.log(high / low), 0)


def _with_n(name: str, counts: pd.Series[Any]) -> str:
    """A panel's name with its numbers of fresh processes, where it was measured."""
    known = sorted({int(n) for n in counts.dropna()})
    if not known:
        return name
    return f"{name}, n={'–'.join(map(str, dict.fromkeys([known[0], known[-1]])))}"


def _panel_name(origin: str, key: Mapping[str, Any]) -> str:
    if origin.startswith("Published"):
        return f"{origin}: inference"
    mode = {"infer": "inference", "train": "training"}[key["mode"]]
    where = [key["machine"]]
    if origin == "Imported":  # whose machine has the source's name if it has no own
        where = [*dict.fromkeys([key["source"], key["machine"]])]
    words = [f"{', '.join([origin, *where])}: {mode}"]
    if origin != "timm":
        words += [str(key[name]) for name in ("framework", "dtype") if plain(key[name])]
    if key["track"] == "tuned":
        words.append("tuned")
    return ", ".join(words)


def _lines(found: pd.DataFrame) -> pd.DataFrame:
    """One line per model: families together, the fastest on top."""
    speed = found.groupby("model")["x"].median()
    family = found.drop_duplicates("model").set_index("model")["family"]
    order = sorted(speed.index, key=lambda name: (_rank(family[name]), -speed[name]))
    height = {name: len(order) - 1 - i for i, name in enumerate(order)}
    return found.assign(y=[float(height[name]) for name in found["model"]])


def _rank(family: object) -> int:
    order = ("mixer", "vit", "resnet")
    return order.index(str(family)) if family in order else len(order)


def _flips(found: pd.DataFrame) -> pd.DataFrame:
    """Mark inference on the other side of the reference than the paper has it.

    What was measured here needs an interval that excludes 1; a figure of others is one
    number, and marked as such in the caption.
    """
    paper = found[equal(found, "table", "mixer-table3")].set_index("model")["x"]
    here = np.sign(found["x"].astype(float) - 1)
    there = np.sign(found["model"].map(paper.astype(float)) - 1)
    clear = (found["x_low"] > 1) | (found["x_high"] < 1)
    others = equal(found, "table", "timm") | imported(found)
    shown = others | (clear & (found["n"] >= MIN_REPETITIONS))
    flipped = (here * there < 0) & shown & equal(found, "mode", "infer")
    return found.assign(flipped=flipped.astype(bool))


def draw(rows: pd.DataFrame, width_in: float = style.WIDTH_IN) -> Figure | str:
    """The figure, or why there is nothing to draw."""
    found = points(rows)
    if found.empty:
        return NOTHING
    return ratio_grid.draw(found, REFERENCE, width_in)


def caption(found: pd.DataFrame) -> str:
    """What the figure shows, and which models change sides."""
    text = (
        f"Throughput relative to {REFERENCE} (= 1) of the same machine, at 224 px, for "
        "models known on two panels or more. Hollow: published; filled: measured."
    )
    text += _whose(found)
    if (found["source"] == "measured").any():
        text += (
            " A ratio is of rates with the same framework, environment, batch rule "
            "(the same batch where fixed) and classes, of models as their papers have "
            "them; n: fresh processes of each. Bars: 95 % interval of the ratio, not "
            f"given below n={MIN_REPETITIONS}, nor for a model timed in another "
            f"sitting than {REFERENCE}. Bold red: inference on the other side of 1 "
            "than on TPUv3; where measured, only if the interval excludes 1."
        )
    for name, part in panels.by_panel(found):
        flipped = part[part["flipped"].astype(bool)]
        if len(flipped):
            text += f" {name} does not reproduce the paper's ordering: "
            text += panels.listed(_verdict(*row) for row in flipped[_SAID].to_numpy())
            text += "."
    return text


def _whose(found: pd.DataFrame) -> str:
    """Where imported figures are from; they are hollow, too."""
    theirs = found.loc[imported(found), ["source", "citation"]].drop_duplicates()
    if theirs.empty:
        return ""
    named = [f"{source} ({said})" for source, said in theirs.to_numpy()]
    return f" Hollow, too: imported, by {', '.join(named)}."


_SAID = ["model", "x", "x_low", "x_high", "source"]


def _verdict(
    model: str, x: float, low: float | None, high: float | None, source: str
) -> str:
    if low is None or high is None:
        whose = "timm" if source == "published" else source
        return f"{model} ({ratio(x)}: {whose}'s figure, one number without interval)"
    return f"{model} ({ratio(x)}, {ratio(low)} – {ratio(high)})"
