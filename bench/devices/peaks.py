"""Dense peaks of known parts from their data sheets: the denominator of MFU.

A part that is not listed has no peak, never a similar part's. Values are FLOP/s
without sparsity, and where the sheet has two, with float32 accumulation. `float32` is
the rate outside the tensor cores: with TF32 off nothing else computes in it.
"""

from __future__ import annotations

import re

from bench.specs import Limit

_A100 = {"float64": 19.5, "float32": 19.5, "tf32": 156, "bfloat16": 312, "float16": 312}
_HOPPER = {"float64": 67, "float32": 67, "tf32": 494.7} | dict.fromkeys(
    ("bfloat16", "float16"), 989.4
)

# Whole names as the driver gives them, TFLOP/s by dtype, source.
_PARTS: tuple[tuple[str, dict[str, float], str], ...] = (
    (r"NVIDIA A100-(SXM4|PCIE)-(40|80)GB", _A100, "NVIDIA A100 data sheet, 2021"),
    (r"NVIDIA A100 80GB PCIe", _A100, "NVIDIA A100 data sheet, 2021"),
    (r"NVIDIA H100 80GB HBM3", _HOPPER, "NVIDIA H100 data sheet (SXM), 2023"),
    (r"NVIDIA H200", _HOPPER, "NVIDIA H200 data sheet (SXM), 2024"),
    (
        r"NVIDIA L40S",
        {"float32": 91.6, "tf32": 183, "bfloat16": 362.05, "float16": 362.05},
        "NVIDIA L40S data sheet, 2023",
    ),
    (
        r"(Tesla|NVIDIA) V100-SXM2-(16|32)GB",
        {"float64": 7.8, "float32": 15.7, "float16": 125},
        "NVIDIA V100 data sheet, 2020",
    ),
    (
        r"(Tesla|NVIDIA) T4",
        {"float32": 8.1, "float16": 65},
        "NVIDIA T4 data sheet, 2019",
    ),
)


def peak(device_name: str, dtype: str) -> Limit | None:
    """The data sheet's peak of one part in one dtype; None where it is not known.

    >>> peak("NVIDIA H200", "bfloat16").flop_per_sec
    989400000000000.0
    >>> peak("NVIDIA H200 MIG 1g.18gb", "bfloat16") is None
    True
    """
    for name, rates, source in _PARTS:
        if re.fullmatch(name, device_name) and dtype in rates:
            return Limit(rates[dtype] * 1e12, source)
    return None
