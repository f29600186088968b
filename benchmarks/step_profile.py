"""Where the time of a step goes on a CPU, and how fast its products run.

    python benchmarks/step_profile.py ViT-S/16 --dtype bfloat16 \\
        --variant eager+malloc+onednn [--framework jax] [--mode train] [--batch-size 8]

Builds the step that `mixer-bench time` times and runs it under the framework's own
profiler. Prints the share of each kind of work and the largest operations. Shares are
of the time that the profiler names; what it does not name (Python, starting operations,
idle) is the rest of a step. What torch compiled into loops of its own stands as one
operation. The products' rate is the closed-form count over the time in products and in
attention, which computes some of them, against the best large product of the same
process. A profiler slows small operations down: these shares are for finding out where
time goes, the rates of a study for citing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from bench import backend as backends
from bench import models, variants
from bench.backend import FRAMEWORKS, Workload
from bench.models import weights
from bench.recipes.recipe import Recipe
from bench.timing.ceiling import LIBRARIES, ceilings
from bench.timing.speed import FORWARD_PASSES

KINDS = {
    "attention": r"attention|softmax|dot.*exponential",
    "norms": r"norm",
    "products": r"mm$|mm_|linear|conv|dot|matmul|onednn",
    "layout": r"copy|clone|contiguous|transpose|reorder|permute|cat$",
}
"""The first pattern that an operation's name holds says what kind of work it is."""
COMPUTE_PRODUCTS = ("products", "attention")
WARM_UP = 2
"""Steps before the profile begins; the first one lays weights out."""
LARGEST = 10
"""Operations that are listed."""


def kind_of(operation: str) -> str:
    """The first of `KINDS` whose pattern the name holds; else elementwise."""
    found = (kind for kind, words in KINDS.items() if re.search(words, operation))
    return next(found, "elementwise")


def step_of(given: argparse.Namespace) -> tuple[Workload, int]:
    """The step as `mixer-bench time` builds it, and its floating-point operations."""
    size, batch = given.image_size, given.batch_size
    spec = models.spec_for(given.model, image_size=size, num_classes=1000)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, size, size, 3), dtype=np.float32)
    backend = backends.load(given.framework, "cpu")
    start = weights.random(spec, seed=0)
    how: dict[str, Any] = {
        "dtype": given.dtype,
        "variant": given.variant,
        "peer": given.peer,
    }
    flop = 2 * spec.macs * batch * FORWARD_PASSES[given.mode]
    if given.mode == "infer":
        return backend.infer(spec, start, images, **how), flop
    labels = rng.integers(1000, size=batch)
    return backend.train(spec, start, images, labels, Recipe(), **how), flop


def run(step: Workload, steps: int) -> float:
    """Seconds of a step, each with its barrier."""
    began = time.perf_counter()
    for _ in range(steps):
        step.enqueue()
        step.barrier()
    return (time.perf_counter() - began) / steps


def torch_operations(step: Workload, steps: int) -> Counter[str]:
    """Seconds by operation, what it calls apart, of all steps together."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as found:
        run(step, steps)
    return Counter(
        {event.key: event.self_cpu_time_total * 1e-6 for event in found.key_averages()}
    )


def jax_operations(step: Workload, steps: int) -> Counter[str]:
    """Seconds by XLA operation, a fusion named by what it fuses, of all steps."""
    import jax

    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run(step, steps)
        (path,) = Path(folder).rglob("*.xplane.pb")
        planes = jax.profiler.ProfileData.from_file(str(path)).planes
        lines = [line for plane in planes for line in plane.lines]
        events = [
            (dict(event.stats)["hlo_module"], event.name, event.duration_ns * 1e-9)
            for line in lines
            for event in line.events
            if "hlo_op" in dict(event.stats)
        ]
    contents: dict[str, dict[str, str]] = {}
    seconds: Counter[str] = Counter()
    for module, name, duration in events:
        if module not in contents:
            contents[module] = contents_of(module)
        seconds[contents[module].get(name, name)] += duration
    return seconds


def contents_of(module: str) -> dict[str, str]:
    """Operation of an XLA program -> what it computes, read from the dumped program."""
    (dumped,) = Path(os.environ["STEP_PROFILE_DUMP"]).glob(
        f"*.{module}.*after_optimizations.txt"
    )
    bodies: dict[str, list[str]] = {}
    for line in dumped.read_text().splitlines():
        if opened := re.match(r"(?:ENTRY )?%([\w.-]+) \(.*\{$", line):
            body = bodies.setdefault(opened[1], [])
        elif found := re.match(r"\s*(?:ROOT )?(%[\w.-]+) = (\S+) ([\w-]+)\((.*)", line):
            body.append(" ".join(found.groups()))
    said = {}
    for text in (line for body in bodies.values() for line in body):
        name, shape, operation, rest = text.split(" ", 3)
        if called := re.search(r"calls=%([\w.-]+)", rest):
            inner = Counter(line.split(" ")[2] for line in bodies[called[1]])
            operation = "+".join(k for k in sorted(inner) if k not in _FREE)
        said[name.lstrip("%")] = f"{operation} {shape.partition('{')[0]}"
    return said


_FREE = (
    "parameter",
    "constant",
    "broadcast",
    "bitcast",
    "reshape",
    "get-tuple-element",
)


def best_product(dtype: str) -> float:
    """FLOP/s of the best large product in this process, of the libraries loaded."""
    loaded = [name for name in LIBRARIES if name in sys.modules]
    rates = [
        one.flop_per_sec for name in loaded for one in ceilings(name, dtype, "cpu")
    ]
    return max(rates)


def report(given: argparse.Namespace) -> str:
    """The table of kinds, the largest operations and the rate of the products."""
    step, flop = step_of(given)
    run(step, WARM_UP)
    plain_s = run(step, given.steps)
    operations = {"torch": torch_operations, "jax": jax_operations}[given.framework]
    found = operations(step, given.steps)
    named_s = sum(found.values()) / given.steps
    kinds: Counter[str] = Counter()
    for name, seconds in found.items():
        kinds[kind_of(name)] += seconds / given.steps
    roof = best_product(given.dtype)
    products_s = sum(kinds[kind] for kind in COMPUTE_PRODUCTS)
    rows = [[k, f"{1e3 * s:.1f}", f"{s / named_s:.1%}"] for k, s in kinds.most_common()]
    largest = [
        [name, kind_of(name), f"{s / given.steps / named_s:.1%}"]
        for name, s in found.most_common(LARGEST)
    ]
    return "\n".join(
        [
            f"{1e3 * plain_s:.1f} ms a step, of which the profiler names "
            f"{1e3 * named_s:.1f} ms: {flop / plain_s / 1e9:.0f} GFLOP/s, "
            f"{flop / plain_s / roof:.0%} of {roof / 1e9:.0f}",
            f"products and attention: {flop / products_s / 1e9:.0f} GFLOP/s, "
            f"{flop / products_s / roof:.0%}",
            "",
            tabulate(rows, ["kind", "ms a step", "share"], disable_numparse=True),
            "",
            tabulate(largest, ["operation", "kind", "share"], disable_numparse=True),
        ]
    )


def prepare(given: argparse.Namespace, dump: str) -> None:
    """Start this process again with what must stand before a framework is loaded."""
    words = given.variant.split("+") if given.variant else []
    if variants.MALLOC in words:
        os.environ.update(variants.MALLOC_ENVIRONMENT)
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={dump}"
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # a kept program is not dumped
    os.environ["STEP_PROFILE_DUMP"] = dump
    os.execv(sys.executable, [sys.executable, *sys.argv])


def main() -> None:
    """Profile one step, in a process that was started for it."""
    words = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    words.add_argument("model")
    words.add_argument("--framework", default="torch", choices=FRAMEWORKS)
    words.add_argument("--mode", default="infer", choices=list(FORWARD_PASSES))
    words.add_argument("--dtype", default="float32")
    words.add_argument("--variant", help="as in a study, say eager+malloc+onednn")
    words.add_argument("--peer", choices=["timm"])
    words.add_argument("--batch-size", type=int, default=8)
    words.add_argument("--image-size", type=int, default=224)
    words.add_argument("--steps", type=int, default=10)
    given = words.parse_args()
    if "STEP_PROFILE_DUMP" not in os.environ:
        prepare(given, tempfile.mkdtemp(prefix="step-profile-"))
    try:
        print(report(given))
    finally:
        shutil.rmtree(os.environ["STEP_PROFILE_DUMP"])


if __name__ == "__main__":
    main()
