"""The ceiling: how fast this device multiplies matrices, in the framework that runs.

A share of a measured ceiling says how well a model uses the machine without trusting a
data sheet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.backend import Backend

SIZES = (1024, 2048, 4096, 8192, 16384)
"""Sides of the square products: the first fills a few cores, the last a large GPU."""


@dataclass(frozen=True)
class Ceiling:
    """The largest rate found, and where."""

    flop_per_sec: float
    method: str


def ceiling(
    backend: Backend,
    dtype: str,
    *,
    budget_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Ceiling:
    """Try growing sizes until the next would outlast the budget; keep the best rate."""
    began = clock()
    rates: dict[int, float] = {}
    for size in SIZES:
        rates[size] = backend.matmul_rate(size, dtype)
        # A rate takes at least a warm-up and one timed product of the next size.
        next_s = 2 * 2 * (2 * size) ** 3 / rates[size]
        if clock() - began + next_s > budget_s:
            break
    best = max(rates, key=lambda size: rates[size])
    tried = ", ".join(str(size) for size in rates)
    return Ceiling(
        rates[best], f"{backend.name} {dtype} product of {best} x {best}; tried {tried}"
    )
