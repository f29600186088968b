"""What a compiled XLA program computes its products in, read from its text.

On a CPU, XLA widens bfloat16 operands to float32 before a product, so that a program of
bfloat16 may run, and cost, as one of float32. The row says which it was.
"""

from __future__ import annotations

import re
from typing import Any

_NAMED = re.compile(r"^\s*(?:ROOT )?(%[\w.-]+) = (\w+)\[", re.MULTILINE)
_PRODUCT = re.compile(
    r"\b(?:dot|convolution)\((%[\w.-]+), (%[\w.-]+)"
    r"|\bcustom-call\((%[\w.-]+), (%[\w.-]+)[^\n]*custom_call_target=\"__(?:cu|onednn)"
)
_DTYPES = {
    "bf16": "bfloat16",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
}


def product_dtypes(text: str) -> str | None:
    """Dtypes of the operands of all products and convolutions, joined by `+`.

    None where the program has none that is known, so that nothing is guessed.

    >>> product_dtypes('''%a = f32[2,2]{1,0} parameter(0)
    ... %p = bf16[2,2]{1,0} dot(%a, %a), lhs_contracting_dims={1}''')
    'float32'
    """
    kinds = {name: _DTYPES.get(kind, kind) for name, kind in _NAMED.findall(text)}
    operands = {name for found in _PRODUCT.findall(text) for name in found if name}
    return "+".join(sorted({kinds[name] for name in operands if name in kinds})) or None


def products_of(program: Any) -> str | None:
    """`product_dtypes` of what jax compiled ahead of its first call."""
    return product_dtypes(str(program.as_text()))
