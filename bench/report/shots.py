"""Few-shot probes as one cell of a table, their baselines beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.report.markup import DASH
from bench.units import percent

SHOTS = 5
"""Few-shot accuracy is shown at the paper's number of images per class."""


def probes(entries: list[Mapping[str, Any]] | None) -> str:
    """`digits 62.1 (70.2, 55.0)` for each target; medians over seeds."""
    if not entries:
        return DASH
    found = medians(entries)
    shown = [
        f"{dataset} {_share(found, dataset, '')} "
        f"({_share(found, dataset, 'raw_pixels')}, "
        f"{_share(found, dataset, 'random_init')})"
        for dataset in sorted({name for name, _ in found})
    ]
    return "; ".join(shown) or DASH


def medians(entries: list[Mapping[str, Any]] | None) -> dict[tuple[str, str], float]:
    """Accuracy by target and baseline ("" for the network): medians over seeds."""
    if not entries:
        return {}
    frame = pd.DataFrame([dict(entry) for entry in entries])
    frame = frame[frame["shots"] == SHOTS]
    baseline = frame["baseline"].astype(object).where(frame["baseline"].notna(), "")
    found = frame.assign(baseline=baseline).groupby(["dataset", "baseline"])
    return {
        (str(part["dataset"].iloc[0]), str(part["baseline"].iloc[0])): float(
            part["accuracy"].median()
        )
        for _, part in found
    }


def _share(found: Mapping[tuple[str, str], float], dataset: str, baseline: str) -> str:
    value = found.get((dataset, baseline))
    return DASH if value is None else percent(value)
