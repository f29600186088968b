"""What a program says of its products: texts as XLA writes them, and a real one."""

import numpy as np
import pytest

from bench import hlo

# As jaxlib 0.10 compiles a bfloat16 product for a CPU, shortened.
WIDENED = """
%fused (%param_0: f32[512,512], %param_1: f32[512,512]) -> f32[512,512] {
  %param_0 = f32[512,512]{1,0} parameter(0)
  %param_1 = f32[512,512]{1,0} parameter(1)
  ROOT %dot_general.0 = f32[512,512]{1,0} dot(%param_0, %param_1), lhs_dims={1}
}
ENTRY %main.1 (a.1: bf16[512,512]) -> bf16[512,512] {
  %a.1 = bf16[512,512]{1,0} parameter(0), metadata={op_name="a"}
"""
NATIVE = """
  %a.1 = bf16[8,8]{1,0} parameter(0)
  %dot.2 = f32[8,8]{1,0} dot(%a.1, %a.1), lhs_contracting_dims={1}
"""
CUBLAS = """
  %x = bf16[8,8]{1,0} parameter(0)
  %y = bf16[8,8]{1,0} parameter(1)
  %g = bf16[8,8]{1,0} custom-call(%x, %y), custom_call_target="__cublas$gemm"
"""
CONVOLUTION = """
  %image = f32[1,8,8,3]{3,2,1,0} parameter(0)
  %kernel = f32[3,3,3,4]{3,2,1,0} parameter(1)
  ROOT %c = f32[1,8,8,4]{3,2,1,0} convolution(%image, %kernel), window={size=3x3}
"""
NO_PRODUCT = "  %a = f32[8]{0} parameter(0)\n  ROOT %b = f32[8]{0} negate(%a)\n"


@pytest.mark.parametrize(
    ("text", "dtypes"),
    [
        (WIDENED, "float32"),
        (NATIVE, "bfloat16"),
        (CUBLAS, "bfloat16"),
        (CONVOLUTION, "float32"),
        (NATIVE + CONVOLUTION, "bfloat16+float32"),
        (NO_PRODUCT, None),
    ],
)
def test_product_dtypes(text, dtypes):
    assert hlo.product_dtypes(text) == dtypes


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_a_float32_step_says_float32(mode):
    pytest.importorskip("jax")
    from bench import backend, models
    from bench.models import weights
    from bench.recipes.recipe import Recipe

    spec = models.spec_for("Mixer-XXS/4", image_size=16, num_classes=5)
    images = np.random.default_rng(0).standard_normal((2, 16, 16, 3), np.float32)
    given = spec, weights.random(spec, 0), images
    jax = backend.load("jax", "cpu")
    if mode == "infer":
        step = jax.infer(*given, dtype="float32")
    else:
        step = jax.train(*given, np.array([0, 1]), Recipe(), dtype="float32")
    assert step.products == "float32"
