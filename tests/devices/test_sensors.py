"""Sensors on paper: RAPL, cpufreq, NVML. What is absent is null."""

import types

import pytest

from bench import cores
from bench.devices import cpu, cuda, sensors
from bench.devices.peaks import peak
from bench.devices.sensors import Counter, Reading


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@pytest.fixture
def sys_tree(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "allowed_cpus", lambda: frozenset({0, 2}))
    rapl = tmp_path / "class/powercap"
    for zone, energy in {
        "intel-rapl:0": 5_000_000,
        "intel-rapl:0:0": 4_000_000,
    }.items():
        put(rapl / zone / "energy_uj", energy)
        put(rapl / zone / "max_energy_range_uj", 262_000_000)
    for number, khz in {0: 2_000_000, 1: 9_000_000, 2: 3_000_000}.items():
        folder = tmp_path / f"devices/system/cpu/cpu{number}"
        put(folder / "cpufreq/scaling_cur_freq", khz)
        put(folder / "thermal_throttle/core_throttle_count", number)
    return tmp_path


def test_a_host_with_sensors(sys_tree):
    seen = cpu.reading(sys_tree)
    # The package, not its core part again; our two CPUs, not the third.
    assert seen.energy == {"intel-rapl:0": Counter(5.0, 262.0)}
    assert seen.energy_method == "rapl"
    assert seen.clock_mhz == 2500.0
    assert seen.throttle_counts["cpu_thermal"] == 2.0


def test_a_host_without_sensors_has_nulls(tmp_path):
    seen = cpu.reading(tmp_path)
    assert (seen.energy, seen.energy_method, seen.clock_mhz) == ({}, None, None)
    assert "cpu_thermal" not in seen.throttle_counts


def test_a_counter_that_is_not_ours_to_read_is_absent(sys_tree, monkeypatch):
    def forbidden(self, *arguments, **named):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(sys_tree), "read_text", forbidden)
    assert cpu._packages(sys_tree / "class/powercap") == {}


@pytest.mark.parametrize(
    ("before", "after", "spent"),
    [
        ({"a": Counter(5.0, 262.0)}, {"a": Counter(9.0, 262.0)}, 4.0),
        ({"a": Counter(260.0, 262.0)}, {"a": Counter(1.0, 262.0)}, 3.0),  # it wrapped
        (
            {"a": Counter(1.0), "b": Counter(2.0)},
            {"a": Counter(2.0), "b": Counter(4.0)},
            3,
        ),
        ({}, {}, None),
        ({"a": Counter(1.0)}, {}, None),
    ],
)
def test_energy_between_two_readings(before, after, spent):
    assert sensors.joules(Reading(before), Reading(after)) == spent


def test_a_counter_that_rose_and_a_flag_at_either_end_are_throttling():
    before = Reading(throttle_counts={"quota": 1.0, "heat": 2.0})
    after = Reading(
        throttle_counts={"quota": 1.5, "heat": 2.0}, throttle_flags=("power_cap",)
    )
    assert sensors.throttled(before, after) == ["power_cap", "quota"]
    assert sensors.throttled(before, before) == []


class NotSupported(Exception):
    pass


def fake_nvml(bits=0, energy=5_000, running=("ours",)):
    def total(board):
        if energy is None:
            raise NotSupported
        return energy

    return types.SimpleNamespace(
        NVML_CLOCK_SM=1,
        NVMLError_NotSupported=NotSupported,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=total,
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda board: bits,
        nvmlDeviceGetComputeRunningProcesses=lambda board: list(running),
        nvmlDeviceGetClockInfo=lambda board, kind: 1980,
    )


def test_a_gpu_as_nvml_tells_it():
    seen = cuda.reading_of(fake_nvml(bits=0x4 | 0x20 | 0x1), cuda.Gpu("GPU-1", "H"))
    assert seen.energy == {"gpu": Counter(5.0)} and seen.energy_method == "nvml_counter"
    assert seen.throttle_flags == ("power_cap", "thermal_software")  # idle is none
    assert seen.clock_mhz == 1980


@pytest.mark.parametrize(
    ("gpu", "energy"),
    [(cuda.Gpu("GPU-1", "H"), None), (cuda.Gpu("MIG-1", "H MIG", "GPU-1"), 5_000)],
    ids=["no counter", "a slice shares its board's"],
)
def test_energy_that_is_not_this_devices_own_is_null(gpu, energy):
    seen = cuda.reading_of(fake_nvml(energy=energy), gpu)
    assert (seen.energy, seen.energy_method) == ({}, None)


@pytest.mark.parametrize(
    ("running", "gpu", "others"),
    [
        (["ours"], cuda.Gpu("GPU-1", "H"), 0),
        (["ours", "a notebook"], cuda.Gpu("GPU-1", "H"), 1),
        ([], cuda.Gpu("GPU-1", "H"), None),  # a container that may not look
        (["ours", "of the next slice"], cuda.Gpu("MIG-1", "H MIG", "GPU-1"), None),
    ],
    ids=str,
)
def test_who_else_is_on_the_gpu(running, gpu, others):
    seen = cuda.reading_of(fake_nvml(running=running), gpu)
    assert sensors.neighbours(Reading(), seen) == others
    assert sensors.neighbours(seen, Reading()) == others


def test_without_a_gpu_the_reading_is_empty(monkeypatch):
    monkeypatch.setattr(cuda, "_smi", lambda *arguments: "")
    assert cuda.reading() == Reading()


@pytest.mark.parametrize(
    ("name", "dtype", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312),
        ("NVIDIA A100-PCIE-40GB", "float32", 19.5),
        ("NVIDIA H100 80GB HBM3", "tf32", 494.7),
        ("Tesla T4", "float16", 65),
        ("Tesla T4", "bfloat16", None),  # it has none
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", "bfloat16", None),
        ("NVIDIA H100 PCIe", "bfloat16", None),  # never a similar part's
        ("AMD EPYC", "float32", None),
    ],
)
def test_only_a_known_part_has_a_peak(name, dtype, tera):
    found = peak(name, dtype)
    assert (found and found.flop_per_sec) == (tera and tera * 1e12)
    assert found is None or found.source
