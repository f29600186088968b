"""Which cores this process may use: affinity and cgroup quota, counted on one page.

A leaf, because both the backends (how many threads) and the fingerprint (what a rate
is divided by) need the same answer. The parsers take text, so that tests can show
them a machine that is not here.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
VMSTAT = Path("/proc/vmstat")
SYSTEM = Path("/")
_PART = (
    *("vendor_id", "cpu family", "model", "stepping"),  # x86
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision"),
)
"""What names a processor part in /proc/cpuinfo; ARM's are codes."""
_VIRTUAL_MAKERS = ("QEMU", "KVM", "Amazon EC2", "VMware", "Xen", "innotek GmbH")
_VIRTUAL_PRODUCTS = ("Virtual Machine", "Google Compute Engine", "KVM", "VMware")
_THROTTLE_UNITS = {"throttled_usec": 1e-6, "throttled_time": 1e-9}
"""Seconds in the counters of cgroup v2 and v1."""


@dataclass(frozen=True)
class Topology:
    """What /proc/cpuinfo tells: the part, and which logical CPU sits on which core."""

    name: str
    part: str
    """Vendor, family, model, stepping, or ARM's codes; empty where there are none."""
    core_of: Mapping[int, tuple[str, str]]
    """Logical CPU -> (package, core)."""
    virtual: bool
    """A hypervisor stands between us and the cores, so the topology is its story."""


@dataclass(frozen=True)
class Cores:
    """How many cores, and what one is: `vcpu` or `cpu_core`."""

    count: float
    kind: str


def parse_cpuinfo(text: str) -> Topology:
    """Read /proc/cpuinfo. Architectures that name no core: each CPU is its own."""
    blocks = [_fields(block) for block in text.strip().split("\n\n")]
    cpus = [block for block in blocks if "processor" in block]
    first = cpus[0] if cpus else {}
    core_of = {
        int(cpu["processor"]): (
            cpu.get("physical id", "0"),
            cpu.get("core id", cpu["processor"]),
        )
        for cpu in cpus
    }
    return Topology(
        name=first.get("model name", ""),
        part=" ".join(first[key] for key in _PART if key in first),
        core_of=core_of,
        virtual="hypervisor" in first.get("flags", "").split(),
    )


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def parse_quota(cpu_max: str) -> float | None:
    """CPUs that a quota grants, from `cpu.max` ("150000 100000"); None is unlimited.

    >>> [parse_quota(text) for text in ("150000 100000", "max 100000", "-1 100000")]
    [1.5, None, None]
    """
    quota, period = cpu_max.split()
    if quota == "max" or float(quota) < 0:
        return None
    return float(quota) / float(period)


def count(topology: Topology, allowed: Iterable[int], quota: float | None) -> Cores:
    """Cores among the `allowed` logical CPUs, no more than the quota grants.

    Two threads of one physical core are one core. Under a hypervisor the sibling map
    may be made up, so each virtual CPU counts and the kind says so.
    """
    usable = set(allowed)
    if topology.virtual:
        number, kind = len(usable), "vcpu"
    else:
        places = {topology.core_of.get(cpu, ("", str(cpu))) for cpu in usable}
        number, kind = len(places), "cpu_core"
    return Cores(float(number) if quota is None else min(number, quota), kind)


def allowed_cpus() -> frozenset[int]:
    """Logical CPUs in this process's affinity mask; all of them where there is none."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cgroup_quota(root: Path = CGROUP, membership: str | None = None) -> float | None:
    """The tightest CPU quota from this process's cgroup up to the root; v2, then v1."""
    quotas = [parse_quota(text) for text in _quota_texts(root, membership)]
    return min((quota for quota in quotas if quota is not None), default=None)


def quota_period_s(root: Path = CGROUP, membership: str | None = None) -> float:
    """Seconds in which the CPU quotas are dealt out anew, the longest; 0 without any.

    >>> _period_s("150000 100000"), _period_s("max 100000")
    (0.1, 0.0)
    """
    return max(map(_period_s, _quota_texts(root, membership)), default=0.0)


def _period_s(cpu_max: str) -> float:
    period = float(cpu_max.split()[1]) / 1e6
    return 0.0 if parse_quota(cpu_max) is None else period


def _quota_texts(root: Path, membership: str | None) -> list[str]:
    texts = []
    for folder in _cgroup_folders(root, "cpu", membership):
        quota, period = folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"
        if (folder / "cpu.max").is_file():
            texts.append((folder / "cpu.max").read_text())
        elif quota.is_file() and period.is_file():
            texts.append(f"{quota.read_text().strip()} {period.read_text().strip()}")
    return texts


def cgroup_memory(root: Path = CGROUP, membership: str | None = None) -> int | None:
    """The tightest memory limit in bytes; None is unlimited."""
    limits = []
    for folder in _cgroup_folders(root, "memory", membership):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _text(folder / name).strip()
            if text.isdigit() and int(text) < 2**60:  # v1 writes "none" as 2**63 - 4096
                limits.append(int(text))
    return min(limits, default=None)


def memory_kills(vmstat: Path = VMSTAT) -> int | None:
    """Processes that the kernel has killed for memory so far; None where it is untold.

    The count is the machine's: a cgroup's own kills are in it too.
    """
    found = re.search(r"^oom_kill (\d+)$", _text(vmstat), re.MULTILINE)
    return int(found[1]) if found else None


def throttled_s(root: Path = CGROUP, membership: str | None = None) -> float:
    """Seconds so far for which a CPU quota has held this process's cgroup back."""
    total = 0.0
    folders = {path.resolve() for path in _cgroup_folders(root, "cpu", membership)}
    for folder in folders:  # v1 has two names for one folder
        for line in _text(folder / "cpu.stat").splitlines():
            name, _, value = line.partition(" ")
            total += int(value) * _THROTTLE_UNITS.get(name, 0.0)
    return total


def _cgroup_folders(root: Path, controller: str, membership: str | None) -> list[Path]:
    """Folders that may hold this process's limits, from its own up to the mount."""
    text = _text(Path("/proc/self/cgroup")) if membership is None else membership
    folders: list[Path] = []
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        # In a container the mount is often the group itself, and the path does not
        # exist below it: the parents, up to the mount, are then what counts.
        mounts = (
            [root / names, root / controller] if names else [root, root / "unified"]
        )
        for mount in mounts:
            own = mount / path.lstrip("/")
            folders += [own, *(up for up in own.parents if up.is_relative_to(mount))]
    return folders


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def cpuinfo() -> str:
    """The text of /proc/cpuinfo; empty on a system without one."""
    return _text(CPUINFO)


def topology() -> Topology:
    """What this machine's /proc/cpuinfo tells, and whether a hypervisor made it up."""
    found = parse_cpuinfo(cpuinfo())
    return dataclasses.replace(found, virtual=found.virtual or hypervisor())


def hypervisor(system: Path = SYSTEM) -> bool:
    """Whether the firmware names a virtual machine: ARM has no flag that tells.

    Reads Xen's node, the device tree's, and DMI's maker and product. A bare-metal
    instance of a cloud has its maker's name too, and says `metal` in the product.
    """
    nodes = ("sys/hypervisor/type", "proc/device-tree/hypervisor")
    if any((system / node).exists() for node in nodes):
        return True
    dmi = system / "sys/class/dmi/id"
    maker = _text(dmi / "sys_vendor").strip()
    product = _text(dmi / "product_name").strip()
    if "metal" in product:
        return False
    return maker in _VIRTUAL_MAKERS or product.startswith(_VIRTUAL_PRODUCTS)


def usable() -> Cores:
    """The cores that this process may use, now."""
    return count(topology(), allowed_cpus(), cgroup_quota())


def spare() -> float:
    """Cores in the affinity mask beyond those that a quota grants: room for others."""
    return count(topology(), allowed_cpus(), None).count - usable().count


def threads() -> int:
    """Threads for a framework: one per usable core, rounded up."""
    return max(1, math.ceil(usable().count))
