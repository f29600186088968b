"""What this machine is, what runs on it, and who may time on it now.

`machine_id` hashes hardware only: part names, usable cores, memory in GiB. It holds no
serial number and no host name, so a row can be published. `environment_id` hashes
versions, driver and flags of the framework that runs, read without importing it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import cores, devices
from bench.backend import FRAMEWORKS
from bench.errors import StudyError, unknown
from bench.specs import OwnCore, short_hash

GIB = 2**30

PACKAGES = {
    "jax": ("jax", "jaxlib", "flax", "optax", "libtpu"),
    "torch": ("torch", "triton", "intel-extension-for-pytorch"),
}
"""Whose versions decide how fast a framework runs; those not installed are left out.
Accelerator plug-ins and NVIDIA libraries are found by `_PLUGINS`."""
_PLUGINS = {
    "jax": re.compile(r"jax-.*-(plugin|pjrt)|nvidia-(cudnn|cublas|nccl)"),
    "torch": re.compile(r"nvidia-(cudnn|cublas|nccl)"),
}
FLAGS = re.compile(
    "XLA_FLAGS|XLA_PYTHON_CLIENT_|JAX_(ENABLE_X64|DEFAULT_MATMUL|DISABLE_JIT|DEBUG_NANS)"
    "|LIBTPU_INIT_ARGS|OMP_|KMP_|GOMP_|MKL_|OPENBLAS_NUM|DNNL_|ONEDNN_|ATEN_CPU"
    "|TORCH_(CUDNN|ALLOW|BLAS)|PYTORCH_(CUDA_)?ALLOC|TORCHDYNAMO_DISABLE"
    "|CUBLAS_|CUDNN_|CUDA_LAUNCH|NVIDIA_TF32|MALLOC_|LD_PRELOAD"
)
"""Environment variables that change speed or precision, by the start of the name."""


@dataclass(frozen=True)
class Machine:
    """The hardware that a rate belongs to. Fields are named like the record's."""

    machine_id: str
    name: str
    """Readable, and fit for a folder: `amd-epyc-9b14-2vcpu`."""
    hardware: Mapping[str, str]
    device_kind: str
    device_name: str
    core_kind: str
    cores: float
    parallelism: str


def fingerprint(device_kind: str = "auto", own_core: OwnCore | None = None) -> Machine:
    """The machine as seen from one kind of device; no framework is imported."""
    return machine_of(devices.describe(device_kind), host_parts(), own_core)


def machine_of(
    device: devices.Device, host: Mapping[str, str], own_core: OwnCore | None = None
) -> Machine:
    """Hash the parts; name the machine by its device and its number of cores.

    A core of the user's own definition makes another machine, also where it is called
    what the device calls its own: rates over different cores must not meet.
    """
    own: dict[str, str] = {}
    if own_core is not None:
        device = dataclasses.replace(
            device, core_kind=own_core.kind, cores=own_core.per_device
        )
        own = {"core_defined_by": "user"}
    unit = f"{device.cores:g} {device.core_kind}"
    hardware = {**host, **device.parts, "device": device.kind, "cores": unit, **own}
    return Machine(
        machine_id=short_hash(hardware),
        name=slug(f"{device.name} {device.cores:g}{device.core_kind}"),
        hardware=hardware,
        device_kind=device.kind,
        device_name=device.name,
        core_kind=device.core_kind,
        cores=device.cores,
        parallelism=device.parallelism,
    )


def host_parts() -> dict[str, str]:
    """Processor, logical CPUs in reach, and memory of the host, without its name."""
    topology = cores.topology()
    parts = {
        "cpu": topology.name or platform.processor() or platform.machine(),
        "cpu_part": topology.part,
        "architecture": platform.machine(),
        "logical_cpus": str(len(cores.allowed_cpus())),
        "memory": f"{round(memory_bytes() / GIB)} GiB",
    }
    return {key: value for key, value in parts.items() if value}


def memory_bytes() -> int:
    """Memory that this process may use: the host's, or the cgroup's limit if lower."""
    total = int(psutil.virtual_memory().total)
    limit = cores.cgroup_memory()
    return total if limit is None else min(total, limit)


def slug(text: str) -> str:
    """Lower-case letters, digits, dots and dashes; marketing words left out.

    >>> slug("Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz 8cpu_core")
    'intel-xeon-e5-2690-v4-8cpu-core'
    """
    plain = re.sub(r"\((R|TM|r|tm)\)|@ [\d.]+GHz|\b(CPU|Processor)\b", " ", text)
    return re.sub(r"[^a-z0-9.]+", "-", plain.lower()).strip("-.")


# The environment -------------------------------------------------------------


def environment(framework: str) -> tuple[str, dict[str, str]]:
    """Versions, driver and flags of one framework, and their hash."""
    if framework not in FRAMEWORKS:
        raise StudyError(unknown("framework", framework, FRAMEWORKS))
    found = {
        "python": platform.python_version(),
        **versions(framework),
        **devices.describe().driver,
        **flags(os.environ),
    }
    return short_hash(found), found


def versions(framework: str) -> dict[str, str]:
    """Installed versions of the framework, its plug-ins and numpy."""
    installed: dict[str, str] = {}
    for package in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", package.name or "").lower()
        wanted = name in PACKAGES[framework] or _PLUGINS[framework].match(name)
        if wanted or name == "numpy":
            installed.setdefault(name, package.version)
    return dict(sorted(installed.items()))


def flags(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that change speed or precision. Paths keep their last part only.

    >>> flags({"OMP_NUM_THREADS": "2", "HOME": "/home/ann", "LD_PRELOAD": "/a/b.so"})
    {'LD_PRELOAD': 'b.so', 'OMP_NUM_THREADS': '2'}
    """
    return {
        name: re.sub(r"/[^\s:=,]*/", "", variables[name])
        for name in sorted(variables)
        if FLAGS.match(name)
    }


# Load ------------------------------------------------------------------------


def load_average() -> float:
    """Host load average of one minute."""
    return os.getloadavg()[0]


class OthersLoad:
    """Cores' worth of work that other processes did on our CPUs since the start."""

    def __init__(self) -> None:
        self._cpus = sorted(cores.allowed_cpus())
        self._start = self._read()

    def cores(self) -> float:
        """Mean number of our CPUs that others kept busy; 0 before a clock tick."""
        seconds, busy, own = (
            now - then for now, then in zip(self._read(), self._start, strict=True)
        )
        return max(0.0, (busy - own) / seconds) if seconds > 0 else 0.0

    def _read(self) -> tuple[float, float, float]:
        every = psutil.cpu_times(percpu=True)
        times = [every[cpu] for cpu in self._cpus if cpu < len(every)]
        busy = sum(sum(t[:]) - t.idle - getattr(t, "iowait", 0.0) for t in times)
        # Guest time is counted in user time already.
        busy -= sum(getattr(t, "guest", 0.0) for t in times)
        own = time.process_time()
        return time.monotonic(), busy, own


# The lease -------------------------------------------------------------------


@contextlib.contextmanager
def lease(
    device_kind: str = "auto",
    on_wait: Callable[[str], None] = lambda message: None,
    *,
    folder: Path | None = None,
    poll_s: float = 0.2,
    told: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Hold the device alone: two timings on the same cores spoil each other.

    One lock file for each CPU in the affinity mask, or one for the device, so that
    disjoint masks do not wait for each other. The system drops the locks of a process
    that dies. `on_wait` is called with a message when another process holds one.
    `told` stands in the lock files for `holders`, until the lease is given back.
    """
    place = folder or _lease_folder()
    place.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as held:
        for name in lease_names(device_kind):  # sorted: two masks cannot deadlock
            lock = held.enter_context((place / f"{name}.lock").open("a"))
            if not _taken(lock.fileno()):
                on_wait(f"waiting: another mixer-bench process is timing on {name}")
                while not _taken(lock.fileno()):
                    time.sleep(poll_s)
            held.callback(lock.truncate, 0)  # before it is closed, which gives it back
            lock.truncate(0)
            lock.write(json.dumps({"pid": os.getpid(), **(told or {})}))
            lock.flush()
        yield


@dataclass(frozen=True)
class Holder:
    """A process that holds a lease here, or that died with it in its hands."""

    pid: int
    alive: bool
    told: Mapping[str, str]


def holders(folder: Path | None = None) -> list[Holder]:
    """Who times here now, or died doing so; a lease given back leaves nothing."""
    found: dict[int, Holder] = {}
    for lock in sorted((folder or _lease_folder()).glob("*.lock")):
        try:
            told = json.loads(lock.read_text())
            pid = int(told.pop("pid"))
        except (ValueError, KeyError):  # empty: given back
            continue
        found[pid] = Holder(pid, _lives(pid, lock.stat().st_mtime), told)
    return list(found.values())


def _lives(pid: int, since: float) -> bool:
    """Whether the process that wrote at `since` is there, and not a later namesake."""
    try:
        return psutil.Process(pid).create_time() <= since + 1
    except psutil.NoSuchProcess:
        return False


def _lease_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"mixer-bench-{os.getuid()}"


def lease_names(device_kind: str) -> list[str]:
    """What a timing on this kind of device must hold, in a fixed order."""
    device = devices.describe(device_kind)
    if device.kind == "cpu":
        return [f"cpu{cpu:05d}" for cpu in sorted(cores.allowed_cpus())]
    visible = os.environ.get(f"{device.kind.upper()}_VISIBLE_DEVICES", "")
    if not visible:
        return [device.kind]
    return [f"{device.kind}-{hashlib.sha256(visible.encode()).hexdigest()[:8]}"]


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
