"""The host's own cores. Several of them share one batch."""

from __future__ import annotations

import platform
from pathlib import Path

from bench import cores
from bench.devices import Device
from bench.devices.sensors import Counter, Reading

SYS = Path("/sys")


def describe() -> Device:
    """The processor, and the cores that affinity and quota leave to this process."""
    topology = cores.topology()
    usable = cores.usable()
    return Device(
        kind="cpu",
        name=topology.name or platform.processor() or platform.machine(),
        core_kind=usable.kind,
        cores=usable.count,
        parallelism="intra_op",
    )


def reading(root: Path = SYS) -> Reading:
    """RAPL energy of the packages, mean clock of our CPUs, throttling; what is there.

    RAPL counts the whole package, so whatever else runs on it is in the figure.
    """
    energy = _packages(root / "class/powercap")
    clocks = [
        int(text)
        for cpu in sorted(cores.allowed_cpus())
        if (text := _text(_cpu(root, cpu) / "cpufreq/scaling_cur_freq")).isdigit()
    ]
    return Reading(
        energy=energy,
        energy_method="rapl" if energy else None,
        clock_mhz=sum(clocks) / len(clocks) / 1000 if clocks else None,
        throttle_counts={**_thermal(root), "cgroup_quota": cores.throttled_s()},
    )


def _packages(powercap: Path) -> dict[str, Counter]:
    """Counters of whole packages. They are readable by root alone on most systems."""
    found = {}
    for zone in sorted(powercap.glob("intel-rapl:*")):
        if zone.name.count(":") > 1:
            continue  # a part of a package, counted in it already
        energy, wraps = _text(zone / "energy_uj"), _text(zone / "max_energy_range_uj")
        if energy.isdigit() and wraps.isdigit():
            found[zone.name] = Counter(int(energy) / 1e6, int(wraps) / 1e6)
    return found


def _thermal(root: Path) -> dict[str, float]:
    """How often the hardware has slowed our cores down for heat."""
    counts = [
        int(text)
        for cpu in cores.allowed_cpus()
        if (text := _text(_cpu(root, cpu) / "thermal_throttle/core_throttle_count"))
    ]
    return {"cpu_thermal": float(sum(counts))} if counts else {}


def _cpu(root: Path, number: int) -> Path:
    return root / f"devices/system/cpu/cpu{number}"


def _text(path: Path) -> str:
    """The text of a sensor; empty where there is none or it is not ours to read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
