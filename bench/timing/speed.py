"""One speed cell, measured: the values of a record's speed columns.

What is timed: one step on a batch that is already on the device (`input` is
`resident`), of N(0, 1) images, through weights that are nowhere degenerate. `infer` is
the forward pass, `train` forward, backward and update.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any

import numpy as np

from bench import cores, devices, machine, models, peers, probe, variants
from bench.backend import PROBE_IMAGES, Backend, Workload
from bench.devices.peaks import peak
from bench.errors import StudyError, UntrustedMeasurement
from bench.models import ModelSpec
from bench.models.weights import random as random_weights
from bench.recipes.recipe import of_cell
from bench.specs import Cell, Effort, WorkItem
from bench.timing import batch, cautions
from bench.timing.batch import Pilot
from bench.timing.cautions import Caution
from bench.timing.measure import MIN_BLOCKS, Clock, Window, measure
from bench.timing.telemetry import Telemetry
from bench.units import img_per_sec_per_core

FORWARD_PASSES = {"infer": 1, "train": 3}
"""A training step costs three forward passes: backward is two (Kaplan et al., 2020)."""
PILOT_SHARE = 0.05
"""One pilot window, as a share of the window that is reported."""
PILOT_PRECISION = 0.05
QUOTA_PERIODS = 10
"""A block is this many periods of a CPU quota, so that it sees what is held back."""
MEMORY_SHARE = 0.85
"""How much of the host's memory a pilot may foresee to use before it is not tried."""


def measure_cell(
    item: WorkItem, backend: Backend, clock: Clock = time.perf_counter_ns
) -> dict[str, Any]:
    """Measure one cell in this process and return its record columns.

    The caller holds the lease on the device.
    """
    cell, effort = item.cell, item.effort
    host = checked_machine(item, backend)
    check_variant(cell, host.device_kind)
    precision = checked_precision(backend, cell.dtype)
    rig = _Rig(cell, backend, effort, clock)
    swept = cell.batch_size == "auto" and item.picked_batch is None
    curve = rig.sweep() if swept else []
    chosen = _chosen(item, curve)
    if item.role == "pilot":
        return {**_curve_columns(curve), "batch_rule": "auto", "batch_size": chosen}
    values, window = rig.report(chosen)
    # Last, so that what is reported is the first that this process has run.
    latency_s = rig.latency(chosen, window, curve) if _has_latency(item) else None
    if cell.mode == "train":
        values["probe_outputs"] += rig.untrained()
    values["probe_reference"] = rig.reference()
    shares = shares_of(values["flop_per_sec"], item, host.device_name)
    over = cautions.over_ceiling(shares["ceiling_share"] or 0.0)
    seen = [*window.cautions, *rig.load_cautions, over]
    return {
        **_facts(rig.spec, host),
        **values,
        **_curve_columns(curve),
        "ms_per_image_batch1": None if latency_s is None else 1e3 * latency_s,
        **shares,
        "batch_rule": "auto" if cell.batch_size == "auto" else "fixed",
        "batch_size": chosen,
        "img_per_sec_core": img_per_sec_per_core(chosen, window.step_s, host.cores),
        "effective_precision": precision,
        "cautions": [dataclasses.asdict(one) for one in seen if one is not None],
    }


def checked_machine(item: WorkItem, backend: Backend) -> machine.Machine:
    """The machine timed; `auto` must mean the same to the framework as to it."""
    asked = item.cell.device
    here = devices.describe(asked)
    if backend.device_kind != here.name_in(backend.name):
        raise StudyError(
            f"device {asked}: the machine has {here.kind}, but {backend.name} runs on "
            f"{backend.device_kind}; say device: {backend.device_kind}, or install a "
            f"{backend.name} for {here.kind}"
        )
    return machine.fingerprint(asked, item.own_core)


def check_variant(cell: Cell, device_kind: str) -> None:
    """The variant must exist here, and this process must have been started for it."""
    if cell.variant is None:
        return
    family = models.family_of(cell.model)
    variants.step_of(cell, family, device_kind).canonical(cell.variant)
    for name, value in variants.process_environment(cell.variant).items():
        if os.environ.get(name) != value:
            raise StudyError(
                f"variant {cell.variant}: this process was not started with "
                f"{name}={value}; use --executor process"
            )


def checked_precision(backend: Backend, dtype: str) -> str:
    """The precision measured; a dtype label that does not hold fails the attempt."""
    for what, found in (
        ("products", backend.effective_precision(dtype)),
        ("convolutions", backend.convolution_precision(dtype)),
    ):
        if found != dtype:
            raise UntrustedMeasurement(
                f"dtype {dtype}: {what} on {backend.device_name} in {backend.name} "
                f"come out as {found}; say the dtype that the device computes in"
            )
    return dtype


def shares_of(flop_per_sec: float, item: WorkItem, device_name: str) -> dict[str, Any]:
    """Shares of the machine's measured ceiling and of the data sheet's peak.

    Unknown is null. More than the ceiling may happen, the ceiling is measured too; more
    than the peak cannot: one of the two numbers is wrong.
    """
    top = item.peak or peak(device_name, item.cell.dtype)
    mfu = None if top is None else flop_per_sec / top.flop_per_sec
    if top is not None and mfu is not None and mfu > 1:
        raise UntrustedMeasurement(
            f"{flop_per_sec:.4g} FLOP/s is {mfu:.0%} of the peak of {device_name} in "
            f"{item.cell.dtype}, {top.flop_per_sec:.4g} ({top.source}); correct the "
            "peak (--peak), or the step was not timed to its end"
        )
    limit, copied = item.ceiling, item.bandwidth
    return {
        "ceiling_flop_per_sec": None if limit is None else limit.flop_per_sec,
        "ceiling_method": None if limit is None else limit.source,
        "ceiling_share": None if limit is None else flop_per_sec / limit.flop_per_sec,
        "bandwidth_bytes_per_sec": None if copied is None else copied.bytes_per_sec,
        "bandwidth_method": None if copied is None else copied.source,
        "peak_flop_per_sec": None if top is None else top.flop_per_sec,
        "peak_source": None if top is None else top.source,
        "mfu": mfu,
    }


def _has_latency(item: WorkItem) -> bool:
    """Once a cell: it stands beside the rate, and an anchor or a step has none."""
    return (item.role, item.cell.mode, item.repetition) == ("cell", "infer", 0)


def _chosen(item: WorkItem, curve: list[Pilot]) -> int:
    if item.cell.batch_size != "auto":
        return item.cell.batch_size
    return batch.pick(curve) if item.picked_batch is None else item.picked_batch


def _facts(spec: ModelSpec, host: machine.Machine) -> dict[str, Any]:
    """What the model is in closed form, and what the rate is divided by."""
    return {
        "family": spec.family,
        "param_count": spec.param_count,
        "macs": spec.macs,
        "tokens": spec.tokens,
        "device_kind": host.device_kind,
        "device_name": host.device_name,
        "core_kind": host.core_kind,
        "cores": host.cores,
        "parallelism": host.parallelism,
        "input": "resident",
    }


def _curve_columns(curve: list[Pilot]) -> dict[str, Any]:
    """The pilot sweep, where there was one."""
    return {
        "sweep": [dataclasses.asdict(pilot) for pilot in curve] or None,
        "batch_knee": batch.knee(curve) if curve else None,
    }


class _Rig:
    """One cell's network and weights, ready to be built at any batch size."""

    def __init__(self, cell: Cell, backend: Backend, effort: Effort, clock: Clock):
        self.cell, self.backend, self.effort, self.clock = cell, backend, effort, clock
        self.spec = models.spec_of_cell(cell, num_classes=cell.num_classes)
        self.weights = random_weights(self.spec, seed=0)
        self.load_cautions: list[Caution | None] = []
        self.least_block_s = QUOTA_PERIODS * cores.quota_period_s()

    def workload(self, size: int) -> Workload:
        """The step at one batch size, on fresh N(0, 1) images and random labels."""
        cell, rng = self.cell, np.random.default_rng(0)
        shape = (size, cell.image_size, cell.image_size, 3)
        images = rng.standard_normal(shape, dtype=np.float32)
        how: dict[str, Any] = {"variant": cell.variant, "peer": cell.peer}
        if cell.mode == "infer":
            return self.backend.infer(
                self.spec, self.weights, images, dtype=cell.dtype, **how
            )
        labels = rng.integers(cell.num_classes, size=size)
        return self.backend.train(
            self.spec,
            self.weights,
            images,
            labels,
            of_cell(cell),
            dtype=cell.dtype,
            **how,
        )

    @property
    def narrow(self) -> bool:
        """Whether the dtype is one that is judged by its distance from float64."""
        return self.cell.dtype not in ("float32", "float64")

    def reference(self) -> list[float] | None:
        """The probe's logits in float64, for a dtype narrower than float32.

        Our own code computes it, whoever's was timed.
        """
        if not self.narrow:
            return None
        return self._logits(dtype="float64", variant=None, peer=None)

    def untrained(self) -> list[float]:
        """The logits that training in a narrow dtype starts from, its losses aside.

        A compiled step's come from the same code uncompiled; its losses tie the two.
        """
        variant = self.cell.variant
        if variant is not None and not variants.is_default(variant):
            variant = None
        return self._logits(variant=variant) if self.narrow else []

    def _logits(self, **changed: Any) -> list[float]:
        cell = dataclasses.replace(self.cell, mode="infer", **changed)
        rig = _Rig(cell, self.backend, self.effort, self.clock)
        workload = rig.workload(PROBE_IMAGES)
        workload.enqueue()
        workload.barrier()
        return workload.outputs()

    def latency(self, size: int, window: Window, curve: list[Pilot]) -> float | None:
        """Seconds of a step at batch 1: the window's, the sweep's, or a short one's."""
        if size == 1:
            return window.step_s
        return (curve[0] if curve else self.pilot(1)).step_s

    def sweep(self) -> list[Pilot]:
        """The pilot over batch sizes, batch 1 first."""
        on_host = self.backend.device_kind == "cpu"
        return batch.sweep(
            self.pilot,
            smallest=self.cell.sweep_min,
            largest=self.cell.sweep_max,
            step_limit_s=self.effort.window_s / MIN_BLOCKS,
            memory_limit=int(MEMORY_SHARE * machine.memory_bytes())
            if on_host
            else None,
        )

    def pilot(self, size: int) -> Pilot:
        """A short window at one batch size; only a true memory error is a status."""
        self.backend.reset_peak_memory()
        try:
            window = measure(
                self.workload(size),
                precision=PILOT_PRECISION,
                window_s=max(PILOT_SHARE * self.effort.window_s, self.least_block_s),
                clock=self.clock,
                least_block_s=self.least_block_s,
            )
        except Exception as error:
            if not self.backend.is_out_of_memory(error):
                raise
            return Pilot(size, "oom")
        peak_bytes, _ = self.backend.peak_memory()
        return Pilot(size, "ok", window.step_s, peak_bytes)

    def report(self, size: int) -> tuple[dict[str, Any], Window]:
        """The window that is reported, built afresh, and what surrounded it."""
        load_before, others = machine.load_average(), machine.OthersLoad()
        restarted = self.backend.reset_peak_memory()
        probe.reset_peak_rss()
        telemetry = Telemetry(self.backend.device_kind)
        workload = self.workload(size)
        window = measure(
            workload,
            precision=self.effort.precision,
            window_s=self.effort.window_s,
            clock=self.clock,
            least_block_s=self.least_block_s,
            around=lambda: telemetry,
        )
        peak_bytes, method = self.backend.peak_memory()
        usable, on_host = cores.usable().count, self.backend.device_kind == "cpu"
        self.load_cautions = [
            cautions.host_load(others.cores(), usable, cores.spare()),
            cautions.idle_cores(telemetry.cores_used if on_host else None, usable),
            cautions.shared_device(telemetry.others_on_device),
            cautions.throttled(telemetry.throttled_by),
        ]
        rate = size / window.step_s
        passes = FORWARD_PASSES[self.cell.mode]
        return {
            **_window_columns(window),
            **telemetry.columns(size * window.steps_per_sample * len(window.samples)),
            "variant": workload.variant,
            "layout": workload.layout,
            "attention_kernel": workload.attention,
            "product_dtype": workload.products,
            "peer_version": peers.version(self.cell.peer),
            "probe_outputs": workload.outputs(),
            "compile_s": workload.compile_s,
            "compile_cached": workload.compile_cached,
            "img_per_sec": rate,
            "flop_per_sec": 2 * self.spec.macs * passes * rate,
            "peak_memory_bytes": peak_bytes,
            "peak_memory_method": method + ("" if restarted else ", since the start"),
            "host_peak_memory_bytes": probe.peak_rss()[0],
            "load_before": load_before,
            "load_after": machine.load_average(),
        }, window


def _window_columns(window: Window) -> dict[str, Any]:
    """A window's fields are columns of the same name, except its cautions."""
    return {
        **{
            item.name: getattr(window, item.name)
            for item in dataclasses.fields(window)
            if item.name != "cautions"
        },
        "samples": list(window.samples),
        "step_s": window.step_s,
    }
