"""What a product computes in, told from its error; memory errors told from others."""

import time

import numpy as np
import pytest

from bench import probe
from bench.errors import StudyError


def rounded(matrix, bits):
    """Numbers with `bits` significant bits, as a unit with fewer would see them."""
    mantissa, exponent = np.frexp(matrix)
    return np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent)


def through(left, right, bits):
    return rounded(left, bits) @ rounded(right, bits)


def as_float16(left, right):
    with np.errstate(over="ignore", invalid="ignore"):
        product = left.astype(np.float16) @ right.astype(np.float16)
    return product.astype(np.float64)


def as_float32(left, right):
    return (left.astype(np.float32) @ right.astype(np.float32)).astype(np.float64)


UNITS = {
    "float64": lambda a, b: (a + 0) @ (b + 0),
    "float32": as_float32,
    "tf32": lambda a, b: through(a, b, 11),
    "bfloat16": lambda a, b: rounded(through(a, b, 8), 8),
    "float16": as_float16,
}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_recognised(name):
    assert probe.precision_of(UNITS[name]) == name


@pytest.mark.parametrize("bits", [15, 5])
def test_a_precision_without_a_name_gets_none(bits):
    found = probe.precision_of(lambda a, b: through(a, b, bits))
    assert found.startswith("relative error")


OUT_OF_MEMORY = [
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
    "memory: you tried to allocate 140737488355328 bytes. Error code 12",
    "[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: not enough memory: "
    "you tried to allocate 9663676416 bytes.",
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a capacity of ...",
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "HIP out of memory. Tried to allocate 2.00 GiB",
    "MPS backend out of memory (MPS allocated: 18.04 GB)",
    "RESOURCE_EXHAUSTED: Out of memory allocating 140737488355328 bytes.",
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes.",
    "RESOURCE_EXHAUSTED: Failed to allocate request for 2.00GiB on device ordinal 0",
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory "
    "space hbm. Used 21.3G of 15.5G hbm.",
    "std::bad_alloc",
]
SOMETHING_ELSE = [
    "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "INTERNAL: Failed to launch kernel",
    "RESOURCE_EXHAUSTED: Received message larger than max (5 vs. 4)",
    "RESOURCE_EXHAUSTED: Shared memory size limit exceeded: requested 200000",
    "RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem while allocating",
    "out of resource: shared memory, Required: 147456, Hardware limit: 101376",
    "unable to open shared memory object </torch_1> in read-write mode",
    "memory format option is only supported by strided tensors",
    "cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned",
]


@pytest.mark.parametrize("message", OUT_OF_MEMORY)
def test_real_memory_errors(message):
    assert probe.is_memory_error(RuntimeError(message))
    assert not probe.is_memory_error(ValueError(message))  # somebody quotes it


@pytest.mark.parametrize("message", SOMETHING_ELSE)
def test_look_alikes(message):
    assert not probe.is_memory_error(RuntimeError(message))


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (OSError(28, "No space left on device"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_errors_without_a_message_of_a_framework(error, verdict):
    assert probe.is_memory_error(error) is verdict


def test_the_peak_follows_what_is_allocated_and_can_start_again():
    if not probe.reset_peak_rss():
        pytest.skip("this system cannot restart the peak")
    before, method = probe.peak_rss()
    assert method == "process peak resident (VmHWM)"
    block = np.ones(2**23)  # 64 MiB
    assert probe.peak_rss()[0] - before > 60 * 2**20
    del block
    assert probe.reset_peak_rss()
    assert probe.peak_rss()[0] - before < 30 * 2**20


def test_a_product_rate_is_the_work_over_the_time():
    rate = probe.product_rate(
        1000, lambda: time.sleep(0.002), lambda: None, at_least_s=0.01
    )
    assert rate == pytest.approx(2e9 / 0.002, rel=0.5)


@pytest.mark.parametrize(("count", "sizes"), [(8, [4, 4]), (9, [4, 4, 1]), (3, [3])])
def test_batches_keep_their_shape(count, sizes):
    images = np.arange(count * 12.0).reshape(count, 2, 2, 3)
    parts = list(probe.in_batches(images, 4))
    assert [real for _, real in parts] == sizes
    assert all(batch.shape == (4, 2, 2, 3) for batch, _ in parts)
    kept = np.concatenate([batch[:real] for batch, real in parts])
    assert (kept == images).all()


def test_factors_have_the_size_and_are_not_degenerate():
    left, right = probe.factors(300)
    assert left.shape == right.shape == (300, 300)
    assert left.dtype == np.float32
    assert 0.9 < left.std() < 1.1


def test_dtypes_are_checked():
    with pytest.raises(StudyError, match="unknown dtype 'fp32'; known: float32"):
        probe.check_dtype("fp32")
    with pytest.raises(StudyError, match="float16 cannot train here"):
        probe.check_trainable("float16")
    assert probe.check_trainable("bfloat16") == "bfloat16"
