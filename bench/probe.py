"""What both backends ask of a device in the same words: precision, memory, batches.

Nothing here knows a framework: operands and verdicts are numpy.
"""

from __future__ import annotations

import errno
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bench.errors import StudyError, unknown
from bench.specs import DTYPES

Matrix = Float[np.ndarray, "size size"]

# One step must be the same in both twins: the papers' and the frameworks' defaults.
BETAS, EPS = (0.9, 0.999), 1e-8
MOMENTUM = 0.9

PROBE_SIZE = 256
HUGE = 1e4
"""Twice this, squared, is far beyond float16's largest number, 65504."""

# Root mean square error of a 256 x 256 product of N(0, 1) numbers, over that of the
# exact product. Rounding both operands to p significant bits costs about 0.6 * 2**-p:
# 2e-4 to 5e-4 for the 11 bits of tf32 and float16, 2e-3 to 4e-3 for the 8 of bfloat16.
# float32 is left with the error of its sums, a few 1e-7. The bounds lie between, with
# room for truncation in place of rounding.
_BOUNDS = (
    (1e-13, "float64"),
    (3e-6, "float32"),
    (5e-5, None),  # nothing that a label stands for, such as three bfloat16 passes
    (1.2e-3, "ten_bits"),
    (1e-2, "bfloat16"),
)

_MEMORY_WORDS = re.compile(
    # XLA uses RESOURCE_EXHAUSTED for shared memory, vmem and message sizes too.
    r"RESOURCE_EXHAUSTED: (.*[:.] )?(Out of memory|Failed to allocate request|"
    r"Ran out of memory in memory space hbm)"
    r"|DefaultCPUAllocator: (not enough|can't allocate) memory"  # torch
    r"|(CUDA|HIP|XPU|MPS backend) out of memory|(CUDA|HIP) error: out of memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|std::bad_alloc"
)


def operands(scale: float = 1.0) -> tuple[Matrix, Matrix]:
    """The two float64 matrices of the precision probe, N(0, 1) times `scale`."""
    rng = np.random.default_rng(0)
    return tuple(  # type: ignore[return-value]
        rng.standard_normal((PROBE_SIZE, PROBE_SIZE)) * scale for _ in range(2)
    )


def factors(size: int) -> tuple[Matrix, Matrix]:
    """Two float32 matrices for a timed product: N(0, 1) in a repeated tile.

    Random, because accelerators draw less power on zeros and then run faster.
    """
    tile = np.random.default_rng(0).standard_normal((256, 256), dtype=np.float32)
    repeats = -(-size // 256)
    matrix = np.tile(tile, (repeats, repeats))[:size, :size].copy()
    return matrix, matrix.T.copy()


def precision_of(multiply: Callable[[Matrix, Matrix], Matrix]) -> str:
    """Name the precision of a product by its error against float64.

    tf32 and float16 round alike, but only float16 overflows on large operands.
    """
    left, right = operands()
    exact = left @ right
    error = float(
        np.sqrt(np.mean((multiply(left, right) - exact) ** 2) / np.var(exact))
    )
    name = next((name for bound, name in _BOUNDS if error < bound), None)
    if name is None:
        return f"relative error {error:.1e}"
    if name != "ten_bits":
        return name
    large = multiply(*operands(HUGE))
    return "tf32" if np.isfinite(large).all() else "float16"


def is_memory_error(error: BaseException) -> bool:
    """True memory errors only: a RuntimeError about anything else is not one.

    Frameworks raise a RuntimeError; other kinds that quote one have another cause.
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    told = isinstance(error, RuntimeError) and _MEMORY_WORDS.search(str(error))
    return isinstance(error, MemoryError) or bool(told)


def peak_rss() -> tuple[int, str]:
    """Peak resident bytes of this process and where that was read.

    VmHWM, not ru_maxrss: the latter survives exec, so a worker would inherit the peak
    of the process that started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024, "process peak resident (VmHWM)"
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return peak, "process peak resident (ru_maxrss)"


def reset_peak_rss() -> bool:
    """Start VmHWM again at what is resident now; False where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or a sandbox that forbids it
        return False
    return True


COPY_BYTES = 256 * 2**20
"""Of one buffer that is copied; with its copy, more than the last cache of all but a
few parts."""


def copy_rate(start: Callable[[], None], barrier: Callable[[], None]) -> float:
    """Bytes read and written per second by a copy of `COPY_BYTES`: best of five."""
    start()
    barrier()
    return 2 * COPY_BYTES / min(_seconds(start, barrier, 1) for _ in range(5))


def product_rate(
    size: int,
    start: Callable[[], None],
    barrier: Callable[[], None],
    *,
    at_least_s: float = 0.02,
) -> float:
    """FLOP/s of a size x size product: the best of three blocks of `at_least_s`."""
    start()
    barrier()
    count, seconds = 1, 0.0
    while (seconds := _seconds(start, barrier, count)) < at_least_s:
        count = max(2 * count, round(1.2 * count * at_least_s / max(seconds, 1e-9)))
    repeats = 2 if seconds < 4 * at_least_s else 0
    best = min([seconds, *(_seconds(start, barrier, count) for _ in range(repeats))])
    return 2.0 * size**3 * count / best


def _seconds(
    start: Callable[[], None], barrier: Callable[[], None], count: int
) -> float:
    began = time.perf_counter()
    for _ in range(count):
        start()
    barrier()
    return time.perf_counter() - began


def check_dtype(dtype: str) -> str:
    """Refuse an unknown dtype in one line."""
    if dtype not in DTYPES:
        raise StudyError(unknown("dtype", dtype, DTYPES))
    return dtype


def check_trainable(dtype: str) -> str:
    """Refuse float16 training: without loss scaling small gradients become zero."""
    if check_dtype(dtype) == "float16":
        raise StudyError(
            "dtype float16 cannot train here: it needs loss scaling, which is not "
            "built; say bfloat16 or float32"
        )
    return dtype


def in_batches(images: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Slices of exactly `size` images and how many of them are real.

    The last one is filled up with zeros, so that every slice has the shape that is
    compiled already.
    """
    for start in range(0, len(images), size):
        part = images[start : start + size]
        missing = size - len(part)
        filled = np.pad(part, [(0, missing)] + [(0, 0)] * (images.ndim - 1))
        yield (filled if missing else part), len(part)
