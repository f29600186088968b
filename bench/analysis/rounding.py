"""How much a published figure may differ from what was measured, by its rounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.analysis.key import ACCURACIES, plain
from bench.units import half_unit


def halfwidth(row: Mapping[Any, Any], metric: str) -> float:
    """Half of the rounding interval of a published row's `metric`, in its unit."""
    known = plain(row["core_days_halfwidth"]) if metric == "core_days" else None
    if known is not None:
        return float(known)
    scale = 100 if metric in ACCURACIES else 1
    printed = dict(plain(row["printed"]) or ()).get(metric)
    # Some tables keep no printed form; the shortest form is never too precise.
    return half_unit(printed or f"{scale * row[metric]:.10g}") / scale
