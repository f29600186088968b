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
exact = torch.Tensor.__matmul__

def rounded(a, b):
    if a.dtype != torch.float32:
        return exact(a, b)
    cut = [torch.ldexp(torch.round(torch.ldexp(m, 11 - e)), e - 11)
           for x in (a, b) for m, e in [(x, torch.frexp(x).exponent)]]
    return exact(*cut)

torch.Tensor.__matmul__ = rounded
torch.backends.cuda.matmul.allow_tf32 = True   # the user's own setting
""",
    "jax": """
import jax, jax.numpy as jnp
exact = jnp.matmul

def rounded(a, b):
    return exact(*(jax.lax.reduce_precision(x, 8, 10) for x in (a, b)))

jnp.matmul = rounded
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
    assert done.stdout.startswith("refused: dtype float32")
    assert "come out as tf32" in done.stdout
