"""Our rate over a peer's, one line for each model and mode, with interval and proof."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.analysis.against import Ratio, best_variants, other_sides, side
from bench.analysis.join import model_rows
from bench.specs import SPEED_MODES


def ours_over(rows: pd.DataFrame, peer: str) -> list[str]:
    """One line for each peer row: the ratio, or why there is none."""
    lines = []
    for mode in SPEED_MODES:
        models = best_variants(model_rows(rows, mode))
        ratios = zip(models.iterrows(), other_sides(models), strict=True)
        for (_, row), ratio in ratios:
            if row["peer"] == peer:
                lines.append(f"ours over {peer}: {_line(row, ratio)}")
    return lines or [f"ours over {peer}: no ratio, no row of {peer}'s code finished"]


def _line(row: Mapping[str, Any] | pd.Series[Any], ratio: Ratio | None) -> str:
    what = f"{row['model']} {row['mode']} {row['dtype']}"
    if ratio is None:
        return f"{what}: no ratio, nothing of ours was timed alike and finished"
    sides = f"ours {ratio.other}, theirs {side(row)}"
    if ratio.value is None:
        return f"{what}: no ratio, {ratio.certificate} ({sides})"
    # the row is the peer's, so its ratio is theirs over ours
    value = f"{1 / ratio.value:.2f}x"
    if ratio.apart:
        return f"{what}: {value}, no interval, as they are of two sittings ({sides})"
    if ratio.low is None or ratio.high is None:
        return f"{what}: {value}, too few repetitions for an interval ({sides})"
    return f"{what}: {value} [{1 / ratio.high:.2f} – {1 / ratio.low:.2f}] ({sides})"
