"""The ceilings: how fast the libraries here multiply matrices and copy memory.

A share of a measured ceiling says how well a model uses the machine without trusting a
data sheet. Each library is tried in a fresh process of its own (`python -m
bench.timing.ceiling`), and the largest rate counts for every framework: so the shares
of jax and of torch have one denominator.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bench import backend as backends
from bench import probe
from bench.specs import Bandwidth

LIBRARIES = ("numpy", "torch", "jax")
SIZES = (1024, 2048, 4096, 8192, 16384)
"""Sides of the square products: the first fills a few cores, the last a large GPU."""
BUDGET_S = 1.0
"""For one way to multiply; imports come on top."""


class Copies(Protocol):
    """One way to copy memory."""

    name: str

    def copy_rate(self) -> float: ...


class Products(Protocol):
    """One way to multiply matrices."""

    name: str

    def matmul_rate(self, size: int, dtype: str) -> float: ...
    def effective_precision(self, dtype: str) -> str: ...


@dataclass(frozen=True)
class Ceiling:
    """The largest rate found, and where."""

    flop_per_sec: float
    method: str


def ceiling(
    products: Products,
    dtype: str,
    *,
    budget_s: float = BUDGET_S,
    clock: Callable[[], float] = time.perf_counter,
) -> Ceiling:
    """Try growing sizes until the next would outlast the budget; keep the best rate."""
    began = clock()
    rates: dict[int, float] = {}
    for size in SIZES:
        rates[size] = products.matmul_rate(size, dtype)
        # A rate takes at least a warm-up and one timed product of the next size.
        next_s = 2 * 2 * (2 * size) ** 3 / rates[size]
        if clock() - began + next_s > budget_s:
            break
    best = max(rates, key=lambda size: rates[size])
    tried = ", ".join(str(size) for size in rates)
    return Ceiling(
        rates[best],
        f"{products.name} {dtype} product of {best} x {best}; tried {tried}",
    )


def ceilings(library: str, dtype: str, device: str) -> list[Ceiling]:
    """Every way in which one library multiplies in `dtype`, measured here and now.

    A way that computes in another precision than it is asked for is left out.
    """
    ways = [w for w in _ways(library, device) if w.effective_precision(dtype) == dtype]
    return [ceiling(way, dtype) for way in ways]


def bandwidths(library: str, device: str) -> list[Bandwidth]:
    """How fast one library copies memory on the device, here and now."""
    ways: list[Copies] = []
    if library == "numpy":
        ways = [Numpy()] if device == "cpu" else []
    elif backends.installed(library):
        ways = [backends.load(library, device)]
    size = probe.COPY_BYTES // 2**20
    return [Bandwidth(w.copy_rate(), f"{w.name} copy of {size} MiB") for w in ways]


def _ways(library: str, device: str) -> Iterator[Products]:
    if library == "numpy":
        if device == "cpu":
            yield Numpy()
        return
    if not backends.installed(library):
        return
    yield backends.load(library, device)
    if library == "torch" and device == "cpu":
        yield importlib.import_module("bench.timing.prepacked_torch").Prepacked()


class Numpy:
    """numpy's own product, through the BLAS that it was built with."""

    name = "numpy"

    def matmul_rate(self, size: int, dtype: str) -> float:
        left, right = (m.astype(dtype) for m in probe.factors(size))
        out = np.empty_like(left)

        def multiply() -> None:
            np.matmul(left, right, out=out)

        return probe.product_rate(size, multiply, lambda: None)

    def copy_rate(self) -> float:
        given = np.ones(probe.COPY_BYTES // 4, np.float32)
        out = np.empty_like(given)
        return probe.copy_rate(lambda: np.copyto(out, given), lambda: None)

    def effective_precision(self, dtype: str) -> str:
        if dtype not in ("float32", "float64"):
            return "none: numpy has no fast product in it"
        return probe.precision_of(
            lambda a, b: (a.astype(dtype) @ b.astype(dtype)).astype(np.float64)
        )


def main(library: str, dtype: str, device: str) -> None:
    """The worker: measure one library, print what was found as JSON."""
    found: list[Ceiling | Bandwidth] = [*ceilings(library, dtype, device)]
    found += bandwidths(library, device)
    print(json.dumps([dataclasses.asdict(one) for one in found]))


if __name__ == "__main__":
    main(*sys.argv[1:])
