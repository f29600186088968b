"""Few-shot probes as one cell of a table, their baselines beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.report.markup import DASH
from bench.units import percent

SHOTS = 5


def probes(entries: list[Mapping[str, Any]] | None) -> str:
    """`digits 62.1 (70.2, 55.0)` for each target; medians over seeds."""
    if not entries:
        return DASH
    frame = pd.DataFrame([dict(entry) for entry in entries])
    frame = frame[frame["shots"] == SHOTS]
    baseline = frame["baseline"].astype(object).where(frame["baseline"].notna(), "")
    medians = (
        frame.assign(baseline=baseline)
        .groupby(["dataset", "baseline"])["accuracy"]
        .median()
    )
    shown = [
        f"{dataset} {_share(medians, dataset, '')} "
        f"({_share(medians, dataset, 'raw_pixels')}, "
        f"{_share(medians, dataset, 'random_init')})"
        for dataset in sorted(set(frame["dataset"]))
    ]
    return "; ".join(shown) or DASH


def _share(medians: pd.Series[Any], dataset: str, baseline: str) -> str:
    value = medians.get((dataset, baseline))
    return DASH if value is None else percent(float(value))
