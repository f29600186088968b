"""The timer's self-test on this machine: faults go in, and each must be caught.

The step is a real one, a demo Mixer's forward pass from the backend; the guards are
those that every measurement runs under. A fault that is not caught is a finding. What
is no fault of the timer, a busy machine or fast zeros, is reported and fails nothing.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench import backend as backends
from bench import cores, devices, machine, models
from bench.backend import Backend, Workload
from bench.errors import StudyError, UntrustedMeasurement
from bench.models.mixer import MixerSpec
from bench.models.weights import random as random_weights
from bench.specs import Cell, WorkItem
from bench.timing import cautions, faults
from bench.timing.measure import Clock, Window, measure
from bench.timing.speed import checked_machine, checked_precision
from bench.units import duration

MODEL, IMAGE_SIZE, BATCH = "Mixer-XXS/4", 16, 16
WINDOW_S, PRECISION = 0.3, 0.05
HOG_WINDOW_S = 1.0
"""The system counts busy time in ticks of 10 ms: this is a hundred."""
MORE = 4
GREW = 2.0
"""`MORE` times the work must take at least `GREW` times as long. Below that the device
is not full yet, and the batch is raised. If it stays below, time does not follow work.
"""
NAP_SEEN = 3.0
"""A sample with a nap, ten times the longest before it, is this far from the median."""
LARGEST_BATCH, LONGEST_STEP_S = 4096, 0.5


@dataclass(frozen=True)
class Size:
    """What to build: images a step, times the model's depth, zeros or N(0, 1)."""

    batch: int = BATCH
    depth: int = 1
    zeros: bool = False


@dataclass(frozen=True)
class Finding:
    """One check: did it pass (null: nothing here can fail it), and what was seen."""

    check: str
    passed: bool | None
    seen: str


class Load(Protocol):
    """Meters what other processes do from its making on."""

    def cores(self) -> float: ...


@dataclass(frozen=True)
class Rig:
    """All that the checks need of the machine; the tests bring a false one."""

    build: Callable[[Size], Workload]
    usable: float
    """Cores that this process may use."""
    spare: float = 0.0
    """Cores in its affinity mask that a CPU quota leaves to others."""
    clock: Clock = time.perf_counter_ns
    sleep: Callable[[float], None] = time.sleep
    others: Callable[[], Load] = machine.OthersLoad
    hog: Callable[[int], AbstractContextManager[None]] = faults.hog

    def window(
        self,
        workload: Workload,
        window_s: float = WINDOW_S,
        precision: float = PRECISION,
    ) -> Window:
        """One window under the guards that every measurement runs under."""
        return measure(
            workload, precision=precision, window_s=window_s, clock=self.clock
        )

    def step_s(self, size: Size) -> float:
        """Seconds a step of one size: the fastest sample, least spoilt by others."""
        return min(self.window(self.build(size)).samples)


Check = Callable[[Rig], Finding]


def examine(rig: Rig) -> list[Finding]:
    """Every check in order; after a failed honest window the rest means nothing."""
    first = _tried(honest_step, rig)
    if not first.passed:
        return [first]
    return [first, *(_tried(check, rig) for check in CHECKS)]


def _tried(check: Check, rig: Rig) -> Finding:
    """A guard that acts where nothing was wrong is a failure of its check."""
    try:
        return check(rig)
    except UntrustedMeasurement as error:
        return Finding(check.__name__, False, f"refused: {error}")


# The checks: their names are what the report calls them ------------------------


def honest_step(rig: Rig) -> Finding:
    """With no fault the barrier is proved and a time comes out."""
    others = rig.others()
    window = rig.window(rig.build(Size()))
    busy = cautions.host_load(others.cores(), rig.usable, rig.spare)
    seen = [one.kind for one in (*window.cautions, busy) if one is not None]
    return Finding(
        "honest_step",
        True,
        f"{duration(window.step_s)} a step, barrier {1e6 * window.barrier_s:.1f} us; "
        f"cautions: {', '.join(seen) or 'none'}",
    )


def missing_barrier(rig: Rig) -> Finding:
    """A barrier that waits for nothing must be refused."""
    try:
        window = rig.window(faults.MissingBarrier(rig.build(Size())))
    except UntrustedMeasurement as error:
        return Finding("missing_barrier", True, f"refused: {error}")
    return Finding(
        "missing_barrier",
        False,
        f"not caught: {duration(window.step_s)} a step was believed",
    )


def compile_in_window(rig: Rig) -> Finding:
    """A compilation inside the window must be refused."""
    step = rig.build(Size())
    if step.compile_s is None:
        seen = f"does not apply: {step.variant} steps compile nothing"
        return Finding("compile_in_window", None, seen)
    late = faults.LateCompile(step, lambda: rig.build(Size(batch=BATCH + 1)))
    try:
        rig.window(late, precision=0.0)
    except UntrustedMeasurement as error:
        return Finding("compile_in_window", True, f"refused: {error}")
    return Finding("compile_in_window", False, "not caught: the window was believed")


def gc_pause(rig: Rig) -> Finding:
    """The collector must rest in the window, however much garbage a step makes."""
    step = faults.Garbage(rig.build(Size()))
    rig.window(step)
    before, inside = step.collections["before"], step.collections["window"]
    return Finding(
        "gc_pause",
        before > 0 and inside == 0,
        f"{before} collections in warm-up, {inside} in the window",
    )


def sleeping_step(rig: Rig) -> Finding:
    """Samples with a nap in them must be kept, far outside, and told of."""
    step = faults.Naps(rig.build(Size()), rig.clock, rig.sleep)
    window = rig.window(step, precision=0.0)
    samples = np.asarray(window.samples)
    if len(samples) <= max(faults.NAPS):
        seen = f"not caught: the window held {len(samples)} samples only"
        return Finding("sleeping_step", False, seen)
    naps = samples[list(faults.NAPS)]
    told = any(one.kind == "outliers" for one in window.cautions)
    ratio = float(naps.min() / np.median(samples))
    return Finding(
        "sleeping_step",
        told and ratio >= NAP_SEEN,
        f"{len(naps)} naps of {len(samples)} samples: the lesser is {ratio:.0f} x the "
        f"median; outliers {'told of' if told else 'not told of'}",
    )


def cpu_hog(rig: Rig) -> Finding:
    """Other processes on the same cores must be told of."""
    if rig.spare:
        seen = "does not apply: busy loops would share our CPU quota, not our cores"
        return Finding("cpu_hog", None, f"{seen}; `throttled` tells of a quota")
    count = math.ceil(rig.usable)
    with rig.hog(count):
        step, others = rig.build(Size()), rig.others()
        rig.window(step, HOG_WINDOW_S, precision=0.0)
        used = others.cores()
    caught = cautions.host_load(used, rig.usable) is not None
    return Finding(
        "cpu_hog",
        caught,
        f"{count} busy loops: others used {used:.1f} of {rig.usable:g} cores; "
        f"{'told of' if caught else 'not caught'}",
    )


def grows_with_batch(rig: Rig) -> Finding:
    """More images must take longer, from some batch on."""
    batch, few_s = BATCH, rig.step_s(Size(batch=BATCH))
    while True:
        many_s = rig.step_s(Size(batch=MORE * batch))
        ratio, batch = many_s / few_s, MORE * batch
        if ratio >= GREW or batch >= LARGEST_BATCH or many_s > LONGEST_STEP_S:
            break
        few_s = many_s
    return Finding(
        "grows_with_batch",
        ratio >= GREW,
        f"batch {batch // MORE} to {batch}: {ratio:.1f} x the time",
    )


def grows_with_depth(rig: Rig) -> Finding:
    """More blocks must take longer."""
    ratio = rig.step_s(Size(depth=MORE)) / rig.step_s(Size())
    seen = f"{MORE} x the blocks: {ratio:.1f} x the time"
    return Finding("grows_with_depth", ratio >= GREW, seen)


def zeros_against_random(rig: Rig) -> Finding:
    """Zeros can be faster, for power or for shortcuts: reported, and never timed."""
    ratio = rig.step_s(Size()) / rig.step_s(Size(zeros=True))
    seen = f"zeros run at {ratio:.2f} x the rate of N(0, 1) images, which are timed"
    return Finding("zeros_against_random", None, seen)


CHECKS: tuple[Check, ...] = (
    missing_barrier,
    compile_in_window,
    gc_pause,
    sleeping_step,
    cpu_hog,
    grows_with_batch,
    grows_with_depth,
    zeros_against_random,
)


# The verdict --------------------------------------------------------------------


def trusted(findings: Sequence[Finding]) -> bool:
    """Nothing failed, and something was tried."""
    return bool(findings) and all(one.passed is not False for one in findings)


def verdict(findings: Sequence[Finding]) -> str:
    """The one line at the end."""
    failed = [one.check for one in findings if one.passed is False]
    if failed:
        return f"the timer cannot be trusted here: {', '.join(dict.fromkeys(failed))}"
    tried = sum(one.passed is True for one in findings)
    return f"the timer can be trusted here: {tried} of {tried} checks passed"


# A real step --------------------------------------------------------------------


def of_backend(backend: Backend, device: str) -> list[Finding]:
    """All checks of one framework, that it runs where the machine says included."""
    cell = Cell(mode="infer", model=MODEL, framework=backend.name, device=device)
    try:
        checked_machine(WorkItem(cell=cell), backend)
        precision = checked_precision(backend, cell.dtype)
    except (StudyError, UntrustedMeasurement) as error:
        return [Finding("device", False, str(error))]
    seen = f"{backend.device_kind}; float32 products come out as {precision}"
    usable, spare = cores.usable().count, cores.spare()
    rig = Rig(build=builder(backend), usable=usable, spare=spare)
    return [Finding("device", True, seen), *examine(rig)]


def builder(backend: Backend) -> Callable[[Size], Workload]:
    """Builds the demo Mixer's forward pass at any size."""
    base = models.spec_for(MODEL, image_size=IMAGE_SIZE, num_classes=10)
    assert isinstance(base, MixerSpec)

    def build(size: Size) -> Workload:
        spec = dataclasses.replace(base, num_blocks=size.depth * base.num_blocks)
        shape = (size.batch, IMAGE_SIZE, IMAGE_SIZE, 3)
        images = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        if size.zeros:
            images = np.zeros_like(images)
        weights = random_weights(spec, seed=0)
        return backend.infer(spec, weights, images, dtype="float32")

    return build


def main(framework: str, device: str, answer: Path) -> None:
    """The worker: one framework a process; leaves its findings in `answer`."""
    backend = backends.load(framework, devices.name_in(framework, device))
    found: list[dict[str, Any]] = [
        dataclasses.asdict(one) for one in of_backend(backend, device)
    ]
    answer.write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
