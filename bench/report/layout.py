"""Measured rows in the columns of the paper's Table 3, dashes where a part is missing.

A line is one lineage at one image size, from the join: core-days of its pre-training,
the accuracies of everything fine-tuned from it in a column for each test set, and the
throughput of the same model on the same machine. A pretrain row with descendants stands
for its cost only, as in the paper. Nothing is filled in from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from bench.analysis.against import ours
from bench.analysis.join import model_rows
from bench.analysis.key import by_key, equal, records
from bench.errors import UserError
from bench.report.citation import citation
from bench.report.facts import ids, speed
from bench.report.markup import DASH, Column, Grid, Group, render
from bench.units import percent, significant

_SORT = ["core_days", "img_per_sec_core", "model"]
_ORDER = [True, False, True]
_EVALUATION = ("eval_dataset", "eval_split", "eval_preprocess")
_ONE_LINE = (
    *("model", "framework", "image_size", "pool", "tokens_mlp_dim", "lineage"),
    *("batch_size", "variant", "img_per_sec_core"),
)


def layout_table(rows: pd.DataFrame, fmt: str = "table") -> str:
    """Table 3 of the paper, filled from measured rows."""
    return render(layout_grid(rows), fmt)


def layout_grid(rows: pd.DataFrame) -> Grid:
    """The same before it is written."""
    models = ours(model_rows(rows[equal(rows, "source", "measured")]))
    if models.empty:
        raise UserError(
            "--layout paper: no finished measured row among these results; "
            "the paper's own tables are: mixer-bench table published"
        )
    models = _one_track(_descendants(models))
    tested = _tested(models)
    groups, notes = [], []
    for number, (key, part) in enumerate(
        by_key(models, "img_per_sec_core", "top1", "core_days", across=_EVALUATION),
        start=1,
    ):
        ranked = part.sort_values(_SORT, ascending=_ORDER, kind="stable")
        alike = list(_by_lineage(ranked))
        lines = [_line(rows, tested) for rows in alike]
        told = [_facts(rows, tested) for rows in alike]
        groups.append(Group(f"[{number}] {_heading(key)}", lines, told))
        notes.append(f"[{number}] {citation(part)}")
    notes += _evaluations(models) + _without_mean(models)
    return Grid(_columns(models, tested), groups, notes)


def _descendants(models: pd.DataFrame) -> pd.DataFrame:
    """Without the pretrain rows whose lineage was fine-tuned."""
    tuned = models[equal(models, "train_mode", "finetune")]
    again = models["lineage"].isin(set(tuned["lineage"])).astype(bool)
    return models[~(again & equal(models, "train_mode", "pretrain"))]


def _by_lineage(part: pd.DataFrame) -> Iterator[list[dict[str, Any]]]:
    """The rows of one line: one lineage, one size, one way of timing.

    Two rows of one test set, as of two budgets, are two lines.
    """
    lines: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in records(part):
        same = tuple(row[name] for name in _ONE_LINE)
        free = 0
        while any(
            _test_set(row) == _test_set(other) for other in lines.get((*same, free), [])
        ):
            free += 1
        lines.setdefault((*same, free), []).append(row)
    yield from lines.values()


def _test_set(row: Mapping[Any, Any]) -> tuple[str, str] | None:
    if row["eval_dataset"] is None:
        return None
    return str(row["eval_dataset"]), str(row["eval_split"] or "")


def _tested(models: pd.DataFrame) -> list[tuple[str, str]]:
    found = map(_test_set, records(models))
    return [one for one in dict.fromkeys(found) if one is not None]


def _evaluations(models: pd.DataFrame) -> list[str]:
    """What each accuracy was measured on, in one sentence each."""
    said = [
        f"{row['eval_dataset']} top-1 at {_whole(row['image_size'])} px: "
        f"{row['eval_split']} split, {row['eval_preprocess']}."
        for row in records(models)
        if row["eval_dataset"] and row["eval_split"] and row["eval_preprocess"]
    ]
    return list(dict.fromkeys(said))


def _without_mean(models: pd.DataFrame) -> list[str]:
    """Why Avg 5 is empty, where some of the five sets were tested."""
    reasons = models["avg5_missing"].dropna().unique()
    return [f"No Avg 5: {reason}." for reason in reasons]


def _one_track(models: pd.DataFrame) -> pd.DataFrame:
    """Rows without throughput join those with, where there is one way of timing."""
    found = models.copy()
    timed = found["img_per_sec_core"].notna()
    for name in ("mode", "track", "input"):
        ways = found.loc[timed, name]
        if ways.nunique(dropna=False) == 1:
            found.loc[~timed, name] = ways.iloc[0]
    return found


def _names(tested: list[tuple[str, str]]) -> list[str]:
    """The test sets by name, with the split where one name has two."""
    sets = [name for name, _ in tested]
    return [
        f"{name} {split}" if sets.count(name) > 1 else name for name, split in tested
    ]


def _columns(models: pd.DataFrame, tested: list[tuple[str, str]]) -> list[Column]:
    accuracies = [f"{name} top-1" for name in _names(tested)]
    kinds = [str(kind) for kind in models["core_kind"].dropna().unique()]
    cost = f"{kinds[0]} core-days" if len(kinds) == 1 else "core-days"
    titles = ["Image size", "Pre-Train Epochs", *(accuracies or ["top-1"])]
    titles += ["ReaL top-1", "Avg 5 top-1", "Throughput img/sec/core", cost]
    names = [Column("", text=True), Column("framework", text=True)]
    return [*names, *map(Column, titles)]


def _heading(key: Mapping[str, Any]) -> str:
    learned = key["pretrain_dataset"]
    words = [f"Pre-trained on {learned}" if learned else "Not trained here"]
    return ", ".join([*words, str(key["machine"]), str(key["dtype"])])


_MEANS = ("real_top1", "avg5_top1")
_IS = (
    *("source", "machine", "core_kind", "dtype", "track", "pretrain_dataset", "model"),
    *("framework", "variant", "image_size", "batch_size", "epochs"),
)


def _means(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """ReaL and Avg 5, each from the row of the line that has it."""
    return {
        name: next((one[name] for one in rows if one[name] is not None), None)
        for name in _MEANS
    }


def _facts(rows: list[dict[str, Any]], tested: list[tuple[str, str]]) -> dict[str, Any]:
    """The numbers of a line, and every attempt behind it."""
    row = rows[0]
    top1 = {_test_set(one): one["top1"] for one in rows}
    names = [f"top1 {name}" for name in _names(tested)]
    return {
        **{name: row[name] for name in _IS},
        **dict(zip(names, map(top1.get, tested), strict=True)),
        **_means(rows),
        **speed(row),
        **{name: row[name] for name in ("core_days", "core_days_kind")},
        "attempt_ids": ids(rows),
    }


def _line(rows: list[dict[str, Any]], tested: list[tuple[str, str]]) -> list[str]:
    row = rows[0]
    top1 = {_test_set(one): one["top1"] for one in rows}
    means = _means(rows).values()
    accuracies = [top1.get(one) for one in tested] or [None]
    mark = "(‡)" if row["core_days_kind"] == "extrapolated" else ""
    cost, rate = row["core_days"], row["img_per_sec_core"]
    return [
        str(row["model"]),
        str(row["framework"]),
        _whole(row["image_size"]),
        DASH if row["epochs"] is None else f"{row['epochs']:.3g}",
        *(_share(share) for share in [*accuracies, *means]),
        DASH if rate is None else significant(rate),
        DASH if cost is None else significant(cost) + mark,
    ]


def _share(share: float | None) -> str:
    return DASH if share is None else percent(share, 2)


def _whole(value: float | None) -> str:
    return DASH if value is None else f"{value:.0f}"
