"""A speed cell: identities between its columns on a fake device, then the real ones."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_device import FakeClock, FakeWorkload

from bench import cores, devices, machine, models, record
from bench.devices.sensors import Reading
from bench.errors import StudyError, UntrustedMeasurement
from bench.specs import Cell, Effort, Limit, WorkItem
from bench.timing import telemetry
from bench.timing.speed import measure_cell, shares_of

ROOT = Path(__file__).parents[2]
GIB = 2**30


class FakeBackend:
    """Steps of 1 ms and 0.1 ms an image; more than `fits` images are refused."""

    name = "torch"
    device_kind = "cpu"
    device_name = "fake"

    def __init__(
        self, clock, fits=10**6, precision="float32", convolved="float32", **device
    ):
        self.clock, self.fits, self.precision = clock, fits, precision
        self.convolved = convolved
        self.device, self.built = device, []

    def _workload(self, batch):
        self.built.append(batch)
        if batch > self.fits:
            raise MemoryError
        return FakeWorkload(
            self.clock, step_ns=1_000_000 + 100_000 * batch, **self.device
        )

    def infer(self, spec, weights, images, *, dtype, variant=None, peer=None):
        self.asked = (dtype, variant, peer)
        assert set(weights) == set(spec.tensors())
        assert weights["head/kernel"].any()
        assert 0.9 < images.std() < 1.1
        return self._workload(len(images))

    def train(
        self, spec, weights, images, labels, recipe, *, dtype, variant=None, peer=None
    ):
        assert labels.shape == (len(images),)
        assert labels.max() < spec.num_classes
        assert recipe.optimizer == "adam"
        return self._workload(len(images))

    def effective_precision(self, dtype):
        return self.precision

    def convolution_precision(self, dtype):
        return self.convolved

    def reset_peak_memory(self):
        return True

    def peak_memory(self):
        return GIB, "fake"

    def is_out_of_memory(self, error):
        return isinstance(error, MemoryError)


def measured(
    picked_batch=None,
    role="cell",
    repetition=0,
    window_s=1.0,
    device=None,
    rate=1e12,
    peak=None,
    **fields,
):
    clock = FakeClock()
    backend = FakeBackend(clock, **(device or {}))
    given = {
        "mode": "infer",
        "model": "Mixer-XXS/4",
        "framework": "torch",
        "image_size": 8,
        "num_classes": 3,
        "device": "cpu",
    }
    item = WorkItem(
        cell=Cell(**(given | fields)),
        effort=Effort(window_s=window_s),
        picked_batch=picked_batch,
        role=role,
        repetition=repetition,
        ceiling=None if rate is None else Limit(rate, "fake product"),
        peak=peak,
    )
    return measure_cell(item, backend, clock), backend


REAL_TIME = ("host_load", "idle_cores")
"""Cautions that look at this machine, whatever the false clock says."""


def kinds(values):
    return [one["kind"] for one in values["cautions"] if one["kind"] not in REAL_TIME]


def test_columns_agree_with_each_other():
    values, backend = measured(batch_size=16)
    spec = models.spec_for("Mixer-XXS/4", image_size=8, num_classes=3)
    count = machine.fingerprint("cpu").cores
    assert values["step_s"] == pytest.approx(0.0026, rel=0.01)
    assert values["img_per_sec"] == 16 / values["step_s"]
    assert values["img_per_sec_core"] == pytest.approx(values["img_per_sec"] / count)
    assert values["flop_per_sec"] == 2 * spec.macs * values["img_per_sec"]
    assert values["ceiling_share"] == values["flop_per_sec"] / 1e12
    assert values["ms_per_image_batch1"] == pytest.approx(1.1, rel=0.01)
    assert (values["batch_rule"], values["batch_size"]) == ("fixed", 16)
    assert (values["sweep"], values["batch_knee"]) == (None, None)
    assert (values["param_count"], values["macs"]) == (spec.param_count, spec.macs)
    assert values["compile_s"] == 0.5
    assert values["peak_memory_bytes"] == GIB
    assert values["effective_precision"] == "float32"
    assert backend.built == [16, 1]  # what is reported comes first
    assert kinds(values) == []


def test_every_value_is_a_column_of_the_record():
    values, _ = measured()
    table = record.table([values])
    assert table.column("samples").to_pylist() == [values["samples"]]


def test_the_values_survive_json():
    values, _ = measured()
    assert json.loads(json.dumps(values)) == values


def test_training_counts_three_forward_passes_and_has_no_latency():
    values, backend = measured(mode="train", batch_size=16)
    assert values["flop_per_sec"] == 3 * 2 * values["macs"] * values["img_per_sec"]
    assert values["ms_per_image_batch1"] is None
    assert backend.built == [16]


def test_an_anchor_costs_its_window_alone():
    values, backend = measured(role="anchor", batch_size=16)
    assert (values["ms_per_image_batch1"], backend.built) == (None, [16])


def test_the_latency_is_measured_once_a_cell():
    values, backend = measured(repetition=1, batch_size=16)
    assert (values["ms_per_image_batch1"], backend.built) == (None, [16])


def test_a_window_at_batch_1_is_its_own_latency():
    values, backend = measured(batch_size=1)
    assert values["ms_per_image_batch1"] == 1e3 * values["step_s"]
    assert backend.built == [1]


def test_training_has_no_latency_after_a_sweep_either():
    values, _ = measured(mode="train", sweep_max=16)
    assert values["sweep"] and values["ms_per_image_batch1"] is None


def test_an_automatic_batch_is_swept_picked_and_measured_again():
    values, backend = measured()
    # rates rise by 38, 24, 13, 7, 4 and then 1.9 and 1 %
    tried = [1, 8, 16, 32, 64, 128, 256, 512, 1024]
    assert [pilot["batch_size"] for pilot in values["sweep"]] == tried
    assert backend.built == [*tried, 1024]
    assert values["batch_size"] == 1024
    assert values["batch_knee"] == 512
    assert values["batch_rule"] == "auto"
    assert values["img_per_sec"] == 1024 / values["step_s"]


def test_the_pick_of_an_earlier_repetition_is_not_swept_again():
    values, backend = measured(picked_batch=64)
    assert backend.built == [64, 1]
    assert values["batch_rule"] == "auto"
    assert values["batch_size"] == 64
    assert values["sweep"] is None


def test_a_memory_error_ends_the_sweep_and_stays_in_the_row():
    values, _ = measured(device={"fits": 20})
    assert [(p["batch_size"], p["status"]) for p in values["sweep"]][-2:] == [
        (16, "ok"),
        (32, "oom"),
    ]
    assert values["batch_size"] == 16


def test_a_memory_error_at_a_fixed_batch_fails_the_attempt():
    with pytest.raises(MemoryError):
        measured(batch_size=64, device={"fits": 20})


def test_a_label_that_lies_about_precision_fails_the_attempt():
    with pytest.raises(UntrustedMeasurement, match=r"dtype float32.*come out as tf32"):
        measured(device={"precision": "tf32"})


def test_a_convolution_of_another_precision_fails_the_attempt():
    with pytest.raises(UntrustedMeasurement, match=r"convolutions on fake .*out as tf"):
        measured(device={"convolved": "tf32"})


def test_a_pilot_alone_ends_with_its_pick():
    values, backend = measured(role="pilot", sweep_max=16)
    assert backend.built == [1, 8, 16]
    assert (values["batch_size"], len(values["sweep"])) == (16, 3)
    assert "img_per_sec" not in values


def test_under_a_quota_blocks_are_ten_of_its_periods(monkeypatch):
    plain, _ = measured(batch_size=16, window_s=20.0)
    monkeypatch.setattr(cores, "quota_period_s", lambda: 0.1)
    values, _ = measured(batch_size=16, window_s=20.0)
    assert plain["steps_per_sample"] * plain["step_s"] < 0.1
    assert values["steps_per_sample"] * values["step_s"] == pytest.approx(1, rel=0.01)


def test_cores_that_rest_and_others_on_the_device_are_told(monkeypatch):
    looks = iter([Reading(processes=1), Reading(processes=3)])
    cpu_times = iter([0.0, 1.0])
    times = iter([0.0, 1.0])
    monkeypatch.setattr(
        telemetry.Telemetry.__init__,
        "__kwdefaults__",
        {
            "look": lambda kind: next(looks),
            "clock": lambda: next(times),
            "cpu_clock": lambda: next(cpu_times),
        },
    )
    monkeypatch.setattr(cores, "usable", lambda: cores.Cores(4.0, "vcpu"))
    monkeypatch.setattr(cores, "spare", lambda: 64.0)
    values, _ = measured(batch_size=16)
    assert values["cpu_cores_used"] == 1.0
    told = {one["kind"]: one["seen"] for one in values["cautions"]}
    assert list(told) == ["idle_cores", "shared_device"]  # others may have the spare
    assert told["idle_cores"].startswith("the step kept 1.0 of 4 cores busy")
    assert told["shared_device"].startswith("2 other processes on the device")


def test_other_programs_on_the_cores_are_told(monkeypatch):
    busy = SimpleNamespace(cores=lambda: 1.5)
    monkeypatch.setattr(machine, "OthersLoad", lambda: busy)
    monkeypatch.setattr(cores, "spare", lambda: 0.0)
    values, _ = measured(batch_size=16)
    told = {one["kind"]: one["seen"] for one in values["cautions"]}
    assert told["host_load"].startswith("other programs used 1.5 of")


def test_a_step_that_computes_nan_fails_the_attempt():
    with pytest.raises(UntrustedMeasurement, match="outputs are not finite"):
        measured(batch_size=16, device={"value": math.nan})


def test_an_early_barrier_fails_the_attempt():
    with pytest.raises(UntrustedMeasurement, match="barrier returned early"):
        measured(batch_size=8, device={"early": 0.9})


def test_more_than_the_ceiling_is_a_caution():
    values, _ = measured(batch_size=16, rate=1e6)
    assert values["ceiling_share"] > 1
    assert kinds(values) == ["over_ceiling"]


def test_without_a_ceiling_there_is_no_share():
    values, _ = measured(batch_size=16, rate=None)
    assert values["ceiling_share"] is None and kinds(values) == []


def test_mfu_needs_a_known_part_or_a_peak_with_its_source():
    unknown, _ = measured(batch_size=16)
    assert (unknown["mfu"], unknown["peak_source"]) == (None, None)
    known, _ = measured(batch_size=16, peak=Limit(1e12, "its sheet"))
    assert known["mfu"] == known["flop_per_sec"] / 1e12
    assert known["peak_source"] == "its sheet"


def test_more_than_the_peak_is_refused():
    with pytest.raises(UntrustedMeasurement, match=r"of the peak of .*its sheet"):
        measured(batch_size=16, peak=Limit(1e6, "its sheet"))


def test_a_known_part_has_its_sheets_peak():
    item = WorkItem(cell=Cell(mode="infer", model="Mixer-B/16", framework="torch"))
    shares = shares_of(6.69e12, item, "NVIDIA H200")
    assert shares["mfu"] == pytest.approx(0.0999, abs=1e-4)
    assert shares["peak_source"] == "NVIDIA H200 data sheet (SXM), 2024"


def test_what_the_sensors_say_stands_in_the_row(monkeypatch):
    looks = iter([Reading(), Reading(throttle_flags=("power_cap",), clock_mhz=900.0)])
    monkeypatch.setattr(
        telemetry.Telemetry.__init__,
        "__kwdefaults__",
        {
            "look": lambda kind: next(looks),
            "clock": lambda: 0.0,
            "cpu_clock": lambda: 0.0,
        },
    )
    values, _ = measured(batch_size=16)
    assert values["throttled_by"] == ["power_cap"]
    assert (values["clock_mhz_before"], values["clock_mhz_after"]) == (None, 900.0)
    assert kinds(values) == ["throttled"]
    assert values["energy_j"] is None and values["energy_method"] is None
    assert values["timer"] == "host" and values["host_peak_memory_bytes"] > 0


def test_auto_must_mean_one_device(monkeypatch):
    gpu = dataclasses.replace(devices.describe("cpu"), kind="cuda")
    monkeypatch.setattr(devices, "describe", lambda kind: gpu)
    with pytest.raises(StudyError, match="the machine has cuda, but torch runs on cpu"):
        measured(device=None, batch_size=8)


REAL = """
import json, os, sys
# One core: two OpenMP threads that spin beside other work are many times slower.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from bench import backend
from bench.specs import Cell, Effort, WorkItem
from bench.timing.speed import measure_cell
framework, mode = sys.argv[1:]
cell = Cell(mode=mode, model="Mixer-XXS/4", framework=framework, image_size=8,
            num_classes=3, batch_size=4, device="cpu")
values = measure_cell(WorkItem(cell=cell, effort=Effort(window_s=0.3)),
                      backend.load(framework, "cpu"))
# dynamo takes seconds to import, and would be imported just before the window
heavy = {"pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "torch._dynamo"}
heavy &= set(sys.modules)
print(json.dumps([values, sorted(heavy)]))
"""


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("mode", ["infer", "train"])
def test_a_real_cell_in_a_fresh_process(framework, mode):
    pytest.importorskip(framework)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REAL, framework, mode],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    values, heavy = json.loads(done.stdout.splitlines()[-1])
    # scipy comes with jax, dynamo with torch's optimisers; the rest would be ours
    theirs = {"scipy"} if framework == "jax" else set()
    theirs |= {"torch._dynamo"} if mode == "train" else set()
    assert set(heavy) <= theirs
    assert values["variant"] == {"jax": "jit", "torch": "eager"}[framework]
    assert (values["compile_s"] is None) == (framework == "torch")
    assert values["img_per_sec"] > 0
    assert values["ceiling_share"] is None  # nobody measured one
    assert len(values["samples"]) >= 1
    assert record.table([values]).num_rows == 1
