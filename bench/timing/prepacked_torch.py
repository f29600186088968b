"""oneDNN's product with one operand laid out in advance, as torch freezes weights.

On many CPUs it is the fastest there is, so a ceiling without it is too low.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench import probe
from bench.backend_torch import DTYPES


class Prepacked:
    """Products through the operator that torch's compiler uses for frozen weights."""

    name = "torch oneDNN prepacked"

    def matmul_rate(self, size: int, dtype: str) -> float:
        left, right = (
            torch.from_numpy(m).to(DTYPES[dtype]) for m in probe.factors(size)
        )
        with torch.inference_mode():
            return probe.product_rate(size, _product(left, right), lambda: None)

    def effective_precision(self, dtype: str) -> str:
        if dtype not in ("float32", "bfloat16") or not _offered():
            return "none: oneDNN prepacks float32 and bfloat16 only"

        def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            a, b = (torch.from_numpy(m).to(DTYPES[dtype]) for m in (left, right))
            with torch.inference_mode():
                product: np.ndarray = _product(a, b)().to(torch.float64).numpy()
            return product

        return probe.precision_of(multiply)


def _offered() -> bool:
    """Whether this build of torch has oneDNN and its operators."""
    there = torch.backends.mkldnn.is_available()
    return there and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _product(left: Tensor, right: Tensor) -> Callable[[], Tensor]:
    operators = torch.ops.mkldnn
    weight = operators._reorder_linear_weight(right.t().contiguous(), len(left))
    return lambda: operators._linear_pointwise(left, weight, None, "none", [], "")
