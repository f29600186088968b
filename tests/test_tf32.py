"""With TF32 on, a float32 run is refused in both frameworks.

There is no tensor core here, so the product is replaced by one that rounds its operands
as a tensor core does; the switch and the probe around it are the real ones.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ROUNDED = {
    "torch": """
import torch
exact, plain = torch.Tensor.__matmul__, torch.nn.functional.conv2d

def rounded(a, b):
    if a.dtype != torch.float32:
        return exact(a, b)
    return exact(cut(a), cut(b))

def cut(x):
    e = torch.frexp(x).exponent
    return torch.ldexp(torch.round(torch.ldexp(x, 11 - e)), e - 11)

torch.Tensor.__matmul__ = rounded
torch.nn.functional.conv2d = lambda a, b: plain(cut(a), cut(b))
torch.backends.cuda.matmul.allow_tf32 = True   # the user's own setting
""",
    "jax": """
import jax, jax.numpy as jnp
exact, plain = jnp.matmul, jax.lax.conv_general_dilated

def cut(x):
    return jax.lax.reduce_precision(x, 8, 10)

jnp.matmul = lambda a, b: exact(cut(a), cut(b))
jax.lax.conv_general_dilated = lambda a, b, *how, **more: plain(
    cut(a), cut(b), *how, **more
)
""",
}
ASKED = """
import sys
from bench import backend
from bench.errors import UntrustedMeasurement
from bench.timing.speed import checked_precision
found = backend.load(sys.argv[1], "cpu")
assert checked_precision(found, "tf32") == "tf32"
try:
    checked_precision(found, "float32")
except UntrustedMeasurement as error:
    print("refused:", error)
found.effective_precision = lambda dtype: dtype   # the product alone is honest
try:
    checked_precision(found, "float32")
except UntrustedMeasurement as error:
    print("refused:", error)
"""
OFF = """
import torch
assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
"""


@pytest.mark.parametrize("framework", ROUNDED)
def test_float32_through_tf32_is_refused(framework):
    pytest.importorskip(framework)
    script = ROUNDED[framework] + ASKED + (OFF if framework == "torch" else "")
    command = [sys.executable, "-W", "error", "-c", script, framework]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    product, convolution = done.stdout.splitlines()
    assert product.startswith("refused: dtype float32: products on")
    assert convolution.startswith("refused: dtype float32: convolutions on")
    assert "come out as tf32" in product and "come out as tf32" in convolution
