"""Who is on a Pareto frontier, how surely, and who beats the others by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis.key import ACCURACIES
from bench.analysis.pareto import Better
from bench.report.facts import ids
from bench.report.markup import DASH, Column, Grid, Group
from bench.units import significant

BETTER: dict[str, Better] = {
    "core_days": "lower",
    "img_per_sec_core": "higher",
    "param_count": "lower",
    **dict.fromkeys(ACCURACIES, "higher"),
}
"""Columns that a frontier may be of, and which end is wanted if nobody says."""
_TITLES = {
    "core_days": "core-days",
    "img_per_sec_core": "img/sec/core",
    "param_count": "params (M)",
    "top1": "top-1 %",
    "real_top1": "ReaL top-1 %",
    "avg5_top1": "Avg 5 %",
    "vtab19": "VTAB-19 %",
}
_STANDING = ("p_on_frontier", "dominated_by", "x_ratio", "y_gap")
_WORDS = {"core_days": "cost", "img_per_sec_core": "rate", "param_count": "size"}
_AS_PRINTED = ("core_days", "img_per_sec_core")
NOTE = (
    "P: measured rows by bootstrap over runs (five or more); published rows over the "
    "rounding of the printed figures, which says nothing about a second run."
)


_APART = {
    "framework": "{}",
    "unique_images": "{:,.0f} images",
    "pretrain_epochs": "{:g} epochs",
    "images_seen": "{:,.0f} images seen",
    "augment": "augment {}",
    "batch_size": "batch {:.0f}",
    "learning_rate": "learning rate {:g}",
    "weight_decay": "weight decay {:g}",
    "total_steps": "{:.0f} steps",
    "run_id": "{}",
}
"""What may tell two points of one label apart, the most telling first."""


def told_apart(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The labels of a group's points; one that repeats says in what they differ.

    What nothing here tells apart is numbered.

    >>> two = [{"label": "A", "framework": "jax"}, {"label": "A", "framework": "torch"}]
    >>> told_apart([*two, {"label": "B", "framework": "jax"}])
    ['A, jax', 'A, torch', 'B']
    >>> told_apart([{"label": "A"}, {"label": "A"}])
    ['A (1)', 'A (2)']
    """
    told = [str(row["label"]) for row in rows]
    for name, words in _APART.items():
        found: dict[str, set[Any]] = {}
        for label, row in zip(told, rows, strict=True):
            found.setdefault(label, set()).add(row.get(name))
        told = [
            f"{label}, {words.format(row[name])}"
            if len(found[label]) > 1 and row.get(name) is not None
            else label
            for label, row in zip(told, rows, strict=True)
        ]
    again = {label for label in told if told.count(label) > 1}
    return [
        f"{label} ({told[: at + 1].count(label)})" if label in again else label
        for at, label in enumerate(told)
    ]


def frontier_grid(
    groups: Mapping[str, Sequence[Mapping[str, Any]]],
    x: str = "core_days",
    y: str = "top1",
) -> Grid:
    """A group for each set of points that may be compared.

    Args:
        groups: by heading, rows as `bench.analysis.pareto.standing` gives them, with
            `label` and `pretrain_dataset`.
        x: one of `BETTER`; so is y.
    """
    columns = [
        Column("point", text=True),
        Column("framework", text=True, optional=True),
        Column("pre-trained on", text=True),
        Column("images", optional=True),
        *map(Column, (_TITLES[x], _TITLES[y], "P(on frontier)")),
        Column("dominated by", text=True),
        Column(f"at x its {_WORDS.get(x, _TITLES[x])}"),
        Column("points better" if y in ACCURACIES else "better by"),
    ]
    made = [
        Group(
            heading,
            [_line(row, x, y) for row in rows],
            [_facts(row, x, y) for row in rows],
        )
        for heading, rows in groups.items()
    ]
    return Grid(columns, made, [NOTE])


def _line(row: Mapping[str, Any], x: str, y: str) -> list[str]:
    chance, rival = row["p_on_frontier"], row["dominated_by"]
    line = [
        str(row["label"]),
        str(row.get("framework") or DASH),
        str(row["pretrain_dataset"] or DASH),
        f"{row['unique_images']:,.0f}" if row.get("unique_images") else DASH,
        _printed(row, x),
        _printed(row, y),
        "not estimable" if chance is None else f"{chance:.2f}",
    ]
    if rival is None:
        return [*line, DASH, DASH, DASH]
    return [*line, str(rival), f"{row['x_ratio']:.2f}", _value(row["y_gap"], y)]


def _facts(row: Mapping[str, Any], x: str, y: str) -> dict[str, Any]:
    """The same as numbers, with every attempt behind them."""
    names = ("label", "model", "framework", "image_size", "pretrain_dataset")
    numbers = ("unique_images", x, y, *_STANDING)
    found = {name: row.get(name) for name in (*names, *numbers)}
    return found | {"attempt_ids": ids([row])} if "train_attempts" in row else found


def _printed(row: Mapping[str, Any], metric: str) -> str:
    """A published figure with the digits that it has: a rounded 10 is no 10.0."""
    if metric in _AS_PRINTED and row.get("source") == "published":
        return f"{row[metric]:,.12g}"
    return _value(row[metric], metric)


def _value(value: float, metric: str) -> str:
    if metric in ACCURACIES:
        return f"{100 * value:.2f}"
    return f"{value / 1e6:.2f}" if metric == "param_count" else significant(value)
