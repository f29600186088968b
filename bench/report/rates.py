"""Cells of a table that hold speed: a core's, or the whole machine's where that is all.

A rate of a machine whose cores nobody told is never divided by one of a core.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.analysis.repetitions import MIN_REPETITIONS
from bench.report.grid import DASH
from bench.units import decimals_for, significant

WHOLE = "machine_rate"
"""Column: img/sec of rows that have no img/sec/core."""


def with_whole(models: pd.DataFrame) -> pd.DataFrame:
    """Add `WHOLE`."""
    coreless = models["img_per_sec_core"].isna()
    return models.assign(**{WHOLE: models["img_per_sec"].where(coreless)})


def whole_text(row: Mapping[str, Any]) -> str:
    """The machine's rate, where a core's is not known."""
    return DASH if row[WHOLE] is None else significant(row[WHOLE])


def rate_text(row: Mapping[str, Any]) -> str:
    """As many digits as the interval leaves standing; three without one."""
    rate = row["img_per_sec_core"]
    if rate is None:
        return DASH
    if row["low"] is None:
        return significant(rate)
    return f"{rate:,.{decimals_for((row['high'] - row['low']) / 2)}f}"


def interval_text(row: Mapping[str, Any]) -> str:
    """The interval of a rate, with n, or whose figure it is."""
    if row["img_per_sec_core"] is None and row[WHOLE] is None:
        return DASH
    if row["source"] != "measured":
        return f"as {'published' if row['source'] == 'published' else 'imported'}"
    n = int(row["n"])
    if n < MIN_REPETITIONS:
        return f"n={n}, within-run only"
    if row["low"] is None:
        return f"n={n}, samples not read"
    places = decimals_for((row["high"] - row["low"]) / 2)
    return f"{row['low']:,.{places}f} – {row['high']:,.{places}f} (n={n})"
