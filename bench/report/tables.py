"""Tables of model rows: speed, accuracy and cost side by side, missing parts as dashes.

Rows of different comparability keys stand in different groups: they are never merged,
and a ratio never spans two groups. `paper_table` prints the paper's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from bench.analysis.against import Ratio, best_variants, other_sides
from bench.analysis.demo import NOTE, is_demo
from bench.analysis.join import model_rows
from bench.analysis.key import by_key, equal, plain, records
from bench.errors import UserError, unknown
from bench.report.baseline import (
    APART_NOTE,
    WITHIN_NOTE,
    no_ratio_notes,
    ratio_text,
    with_ratio,
)
from bench.report.bib import cited
from bench.report.citation import citation
from bench.report.facts import facts
from bench.report.failures import failure_notes
from bench.report.failures import failures_table as failures_table
from bench.report.markup import DASH, Best, Column, Grid, Group, render
from bench.report.paper import paper_table as paper_table
from bench.report.rates import WHOLE, interval_text, whole_text, with_whole
from bench.report.rates import rate_text as rate_text
from bench.report.shots import SHOTS, probes
from bench.report.varying import (
    setting,
    settings_notes,
    title_of,
    told_by_the_name,
    varying_settings,
)
from bench.specs import SPEED_MODES
from bench.units import percent, significant

_OTHER = "other_side"
_FULL = "full_recipe"
BEST = (
    "Tuned: the fastest of the variants tried (those with an interval, then those "
    "timed beside another side, come first), on the runs that chose it, so slightly "
    "flattered; every variant tried is a row."
)

_PROBES = (
    f"{SHOTS}-shot %: linear probes on each target; in brackets those on raw pixels "
    "and on the network at random initialisation."
)

SORTS = {
    "img_per_sec_core": True,
    "top1": True,
    "core_days": False,
    "param_count": False,
    "image_size": False,
    "model": False,
}
"""Columns to sort by, and whether the largest value comes first."""
_LARGEST_FIRST = {**SORTS, WHOLE: True}

WORDS = {"infer": "inference", "train": "training", "pretrain": "inference"}
"""What a throughput is of; the papers print that of inference beside pre-training."""


def comparison_table(
    rows: pd.DataFrame,
    fmt: str = "table",
    baseline: str | None = None,
    mode: str = "infer",
    sort: str = "img_per_sec_core",
) -> str:
    """One line per model, written in `fmt`; see `comparison_grid`."""
    return render(comparison_grid(rows, baseline, mode, sort), fmt)


def by_table(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of the inference table, then of the training table, where there are some.

    Anchors stand in no table: training that was timed beside one has one table.
    """
    stepped = equal(rows, "mode", "train")
    alone = bool(equal(rows, "role", "anchor").all())
    parts = {"infer": rows[~stepped], "train": rows[stepped]}
    return {
        mode: part
        for mode, part in parts.items()
        if len(part) and (alone or not equal(part, "role", "anchor").all())
    }


def comparison_grids(
    rows: pd.DataFrame, baseline: str | None = None, sort: str = "img_per_sec_core"
) -> list[Grid]:
    """The comparison tables that rows allow: inference first, then training.

    The training table holds the timed training steps only; accuracies stand once.
    """
    return [
        comparison_grid(part, baseline, mode, sort)
        for mode, part in by_table(rows).items()
    ]


def comparison_grid(
    rows: pd.DataFrame,
    baseline: str | None = None,
    mode: str = "infer",
    sort: str = "img_per_sec_core",
) -> Grid:
    """One line per model: speed in `mode`, accuracy, few-shot, core-days.

    The best rate, accuracy and cost of each group are bold where the format can.

    Args:
        rows: record rows; read with `samples=True` for intervals and few-shot.
        baseline: a model to divide throughput by, inside each group.
        mode: infer or train.
        sort: one of `SORTS`, best or smallest first inside each group.
    """
    if sort not in SORTS:
        raise UserError(f"--sort: {unknown('column', sort, SORTS)}")
    if mode not in SPEED_MODES:
        raise UserError(unknown("speed mode", mode, SPEED_MODES))
    models = model_rows(rows, mode)
    if baseline is not None and not equal(models, "model", baseline).any():
        names = dict.fromkeys(models["model"])
        raise UserError(unknown("baseline", baseline, names))
    grid = _grid(models, baseline, sort)
    grid.notes.extend(failure_notes(rows))
    return grid


def _grid(models: pd.DataFrame, baseline: str | None, sort: str) -> Grid:
    models = with_whole(best_variants(models))
    models = _with_others(with_ratio(models, baseline))
    varying, extra = varying_settings(models), _extra(models)
    shared = _shared(models)
    groups: list[Group] = []
    marks: dict[str, str] = {}  # groups with the same sentence share it
    for number, (key, part) in enumerate(_by_group(models), start=1):
        ranked, best = _sorted(part, sort), _best(part)
        lines = [_line(row, varying, baseline, best, extra) for row in ranked]
        told = [facts(row, varying, baseline) for row in ranked]
        groups.append(Group(f"[{number}] {_heading(key, part, shared)}", lines, told))
        sentence = citation(part)
        marks[sentence] = marks.get(sentence, "") + f"[{number}]"
    notes = [f"{mark} {sentence}" for sentence, mark in marks.items()]
    notes += settings_notes(models, varying) + no_ratio_notes(models, baseline)
    notes += _notes(models, extra)
    columns = _columns(models, varying, shared, baseline, extra)
    return Grid(columns, groups, notes, cited(models))


def _columns(
    models: pd.DataFrame,
    varying: list[str],
    shared: list[str],
    baseline: str | None,
    extra: Mapping[str, str],
) -> list[Column]:
    quiet = told_by_the_name(models, varying)
    return [
        Column("model", text=True),
        Column("framework", text=True),
        *(Column(extra[name], text=True) for name in extra if name == "variant"),
        Column("px", told="image_size" in shared),
        Column("batch", optional=True, told="batch_size" in shared),
        *(Column(title_of(name), told=name in quiet) for name in varying),
        *(Column(name, optional=True) for name in ("params (M)", "img/sec/core")),
        Column("img/sec", optional=True),
        Column("interval", optional=True),
        *([Column(f"vs {baseline}")] if baseline else []),
        *(Column(extra[name], True, optional=True) for name in extra if name == _OTHER),
        *(Column(n, optional=True) for n in ("top-1 % (chance)", "core-days")),
        *(Column(extra[name], optional=True) for name in extra if name == _FULL),
        Column(f"{SHOTS}-shot %", text=True, optional=True),
    ]


def _notes(models: pd.DataFrame, extra: Mapping[str, str]) -> list[str]:
    """What the numbers of some columns are, where the table has such."""
    notes = []
    if _OTHER in extra:
        reasons: dict[str, int] = {}
        for ratio in models[_OTHER].dropna():
            if ratio.value is None:
                text = f"none to {ratio.other}: {ratio.certificate}"
                reasons[text] = reasons.get(text, 0) + 1
        notes += [f"Over the other side: {_counted(reasons)}."] if reasons else []
    ratios = pd.concat([models[_OTHER], models["ratio"]]).dropna()
    if any(ratio.low is not None for ratio in ratios):
        notes.append(WITHIN_NOTE)
    if any(ratio.apart for ratio in ratios):
        notes.append(APART_NOTE)
    if "variant" in extra:
        notes.append(BEST)
    if models["fewshot"].notna().any():
        notes.append(_PROBES)
    if any(is_demo(str(name)) for name in models["model"]):
        notes.append(f"{NOTE.capitalize()}.")
    return notes


def _counted(reasons: Mapping[str, int]) -> str:
    return "; ".join(
        f"{text} ({n} row{'s' * (n > 1)})" for text, n in sorted(reasons.items())
    )


def _extra(models: pd.DataFrame) -> dict[str, str]:
    """Columns that only some tables need, by name, with their titles."""
    tuned = equal(models, "track", "tuned").any()
    paired = models[_OTHER].notna().any()
    found = {"variant": "best variant"} if tuned else {}
    found |= {_OTHER: "over the other side"} if paired else {}
    full = models["core_days_extrapolated"].notna()
    short = equal(models, "core_days_kind", "measured")
    return found | ({_FULL: "full recipe, core-days"} if (full & short).any() else {})


def _with_others(models: pd.DataFrame) -> pd.DataFrame:
    """Add each row's certified ratio to the other framework, or to the other author."""
    ratios = pd.Series(other_sides(models), models.index, dtype=object)
    return models.assign(**{_OTHER: ratios})


def _by_group(models: pd.DataFrame) -> Iterable[tuple[dict[str, Any], pd.DataFrame]]:
    """Groups within which every column may be compared."""
    return by_key(models, "img_per_sec_core", "top1", "core_days")


def _sorted(part: pd.DataFrame, sort: str) -> list[dict[str, Any]]:
    first = [sort, WHOLE] if sort == "img_per_sec_core" else [sort]
    by = [*first, "model", "framework", "image_size", "unique_images"]
    by = list(dict.fromkeys(by))
    rising = [not _LARGEST_FIRST.get(name, False) for name in by]
    return records(part.sort_values(by, ascending=rising, kind="stable"))


BestOf = Mapping[str, float]


def _best(part: pd.DataFrame) -> BestOf:
    """The best rate, accuracy and cost of a group, where two or more are known."""
    found = {}
    for name in ("img_per_sec_core", WHOLE, "top1", "core_days"):
        known = part[name].dropna()
        if len(known) > 1:
            found[name] = float(known.max() if _LARGEST_FIRST[name] else known.min())
    return found


def _emphasised(text: str, row: Mapping[str, Any], name: str, best: BestOf) -> str:
    return Best(text) if name in best and row[name] == best[name] else text


def _shared(models: pd.DataFrame) -> list[str]:
    """Sizes that are one in each group: they stand in its heading, not in a column."""
    parts = [part for _, part in _by_group(models)]
    return [
        name
        for name in ("image_size", "batch_size")
        if all(part[name].nunique(dropna=False) == 1 for part in parts)
    ]


def _heading(key: Mapping[str, Any], part: pd.DataFrame, shared: list[str]) -> str:
    """What the rows of a group share, in one line."""
    words = [str(key["source"]), str(key["machine"])]
    words += [str(key["core_kind"])] if key["core_kind"] else []
    words += [WORDS[key["mode"]]] if key["mode"] else ["throughput not measured"]
    for name, text in (("image_size", "{:.0f} px"), ("batch_size", "batch {:.0f}")):
        value = plain(part[name].iloc[0])
        words += [text.format(value)] if name in shared and value is not None else []
    words += [str(key["dtype"])] if key["dtype"] else []
    words += [f"{key['track']} track"] if key["track"] else []
    if key["pretrain_dataset"]:
        learned, tested = str(key["pretrain_dataset"]), key["eval_dataset"]
        words.append(f"trained on {learned}" + (f", tested on {tested}" * bool(tested)))
    return ", ".join(words)


def _line(
    row: Mapping[str, Any],
    varying: list[str],
    baseline: str | None,
    best: BestOf,
    extra: Mapping[str, str],
) -> list[str]:
    return [
        str(row["printed_model"] or row["model"]),
        _author(row),
        *([_variant(row)] if "variant" in extra else []),
        _whole(row["image_size"]),
        _whole(row["batch_size"]),
        *(setting(row[name]) for name in varying),
        DASH if row["param_count"] is None else f"{row['param_count'] / 1e6:.2f}",
        _emphasised(rate_text(row), row, "img_per_sec_core", best),
        _emphasised(whole_text(row), row, WHOLE, best),
        interval_text(row),
        *([ratio_text(row["ratio"])] if baseline else []),
        *([_compared(row[_OTHER])] if _OTHER in extra else []),
        _emphasised(top1_text(row), row, "top1", best),
        _emphasised(core_days_text(row), row, "core_days", best),
        *([_full_recipe(row)] if _FULL in extra else []),
        probes(row["fewshot"]),
    ]


def _author(row: Mapping[str, Any]) -> str:
    """The framework, and whose code where it is not ours."""
    name = _text(row["framework"])
    return f"{name} ({row['peer']})" if row["peer"] else name


def _variant(row: Mapping[str, Any]) -> str:
    """The best variant and of how many; the protocol's own stands alone."""
    tried = row["variants_tried"]
    return _text(row["variant"]) + (f" (of {tried:.0f})" if tried else "")


def _compared(ratio: Ratio | None) -> str:
    """The ratio to the other side."""
    return ratio_text(ratio, f" {ratio.other}" if ratio else "")


def top1_text(row: Mapping[str, Any]) -> str:
    """Top-1, its range over training runs when there are several, and chance."""
    if row["top1"] is None:
        return DASH
    text = percent(row["top1"], 1 if row["source"] == "measured" else 2)
    if (row["n_train"] or 0) > 1:
        low, high = percent(row["top1_low"]), percent(row["top1_high"])
        text += f" [{low} – {high}, n={row['n_train']:.0f}]"
    return text if row["chance"] is None else f"{text} ({percent(row['chance'])})"


def core_days_text(row: Mapping[str, Any]) -> str:
    """Marked where they are extrapolated."""
    if row["core_days"] is None:
        return DASH
    mark = "‡" if row["core_days_kind"] == "extrapolated" else ""
    return significant(row["core_days"]) + mark


def _full_recipe(row: Mapping[str, Any]) -> str:
    """What the paper's whole recipe would cost at the rate of these steps."""
    value, low = row["core_days_extrapolated"], row["core_days_extrapolated_low"]
    if value is None or row["core_days_kind"] != "measured":
        return DASH
    if low is None:
        return f"{significant(value)}‡"
    high = row["core_days_extrapolated_high"]
    return f"{significant(value)}‡ [{significant(low)} – {significant(high)}]"


def _text(value: Any) -> str:
    return DASH if value is None else str(value)


def _whole(value: Any) -> str:
    return DASH if value is None else f"{value:.0f}"
