"""The claim about the accuracy-cost frontier: who is on it, and how surely."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.analysis.claims.evidence import Finding, Verdict
from bench.analysis.demo import is_demo
from bench.analysis.join import model_rows
from bench.analysis.key import by_key, equal, records, values
from bench.analysis.pareto import figure_2, standing, told_by_set

SURE = 0.95
RIVALS = ("vit", "resnet")


Panel = tuple[str, pd.DataFrame]
"""Where models were trained, and their rows with their standing."""


def panels(rows: pd.DataFrame) -> Iterator[Panel]:
    """Each comparable set of trained models."""
    paper = figure_2(rows)
    if len(paper):
        yield "TPUv3", _standing(model_rows(paper))
    large = ~rows["model"].map(lambda name: is_demo(str(name))).astype(bool)
    plainly = ~rows["shuffle"].isin(["patch_pixel", "global"]).astype(bool)
    trained = equal(rows, "source", "measured") & equal(rows, "mode", "pretrain")
    if not (trained & plainly & large).any():
        return
    mine = model_rows(rows[trained & plainly & large])
    known = mine["core_days"].notna() & mine["top1"].notna()
    for key, part in by_key(mine[known], "core_days", "top1"):
        where = f"{key['machine']}, {key['dtype']}, {key['pretrain_dataset']}"
        yield where, _standing(part)


def _standing(rows: pd.DataFrame) -> pd.DataFrame:
    return standing(named(rows), "core_days", "top1", names="label")


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """Add `name`, and `label`: the name with its pre-training set where it repeats."""
    names = [
        f"{row['printed_model'] or row['model']}"
        + (f"@{row['image_size']:.0f}" if row["image_size"] not in (None, 224) else "")
        for row in records(rows)
    ]
    sets = values(rows["pretrain_dataset"])
    return rows.assign(name=names, label=told_by_set(names, sets))


def on_the_frontier(found: Sequence[Panel]) -> Iterator[Finding]:
    """One finding per panel: whether some Mixer is surely on it, or surely none."""
    for where, panel in found:
        if panel["family"].isin(RIVALS).any() and equal(panel, "family", "mixer").any():
            yield _finding(where, panel)


def _finding(where: str, panel: pd.DataFrame) -> Finding:
    mixers = panel[equal(panel, "family", "mixer")]
    chance = mixers["p_on_frontier"]
    best = None if chance.isna().all() else float(chance.max())
    verdict: Verdict = "untested"
    if best is not None and best >= SURE:
        verdict = "supported"
    elif chance.notna().all() and float(chance.max()) <= 1 - SURE:
        verdict = "contradicted"
    text = "; ".join(_said(row) for row in records(mixers))
    return Finding(where, text, verdict, best)


def _said(row: Mapping[Any, Any]) -> str:
    chance, rival = row["p_on_frontier"], row["dominated_by"]
    sure = "not estimable" if chance is None else f"P = {chance:.2f}"
    name = f"{row['name']} ({row['pretrain_dataset']})"
    if rival is None:
        return f"{name} is on it, {sure}"
    return (
        f"{name} is not, {sure}: {rival} is {100 * row['y_gap']:.2f} points "
        f"better at {row['x_ratio']:.2f}x its cost"
    )
