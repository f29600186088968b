"""One NVIDIA GPU, or one MIG slice of it, as `nvidia-smi` lists it.

The driver's own tool is asked, not a framework, so that the fingerprint is the same
for jax and torch and costs neither's import. One process times one device: the first
that `CUDA_VISIBLE_DEVICES` leaves visible.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from bench.devices import Device
from bench.devices.sensors import Counter, Reading

QUERY = ("--query-gpu=uuid,name,memory.total,driver_version", "--format=csv,noheader")


THROTTLES = {
    0x04: "power_cap",
    0x08: "hardware_slowdown",
    0x20: "thermal_software",
    0x40: "thermal_hardware",
    0x80: "power_brake",
}
"""Bits of NVML's clock event reasons that mean slower than the device could."""


@dataclass(frozen=True)
class Gpu:
    """One line of the list: a GPU, or a MIG slice under it."""

    uuid: str
    name: str
    slice_of: str = ""
    """UUID of the GPU that a MIG slice belongs to; empty for a whole GPU."""


def describe() -> Device | None:
    """The first visible GPU; None where there is no driver or no GPU."""
    if shutil.which("nvidia-smi") is None:
        return None
    gpu = visible(parse_list(_smi("-L")), os.environ.get("CUDA_VISIBLE_DEVICES"))
    return None if gpu is None else device_of(gpu, _smi(*QUERY))


def _smi(*arguments: str) -> str:
    """Standard output of nvidia-smi; empty when it finds no driver to talk to."""
    command = ["nvidia-smi", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def parse_list(text: str) -> list[Gpu]:
    """Read `nvidia-smi -L`. A GPU cut into slices stands for its slices."""
    found: list[Gpu] = []
    for line in text.splitlines():
        gpu = re.match(r"GPU \d+: (.+) \(UUID: (GPU-[\w-]+)\)", line)
        piece = re.match(r"\s+(MIG \S+)\s+Device\s+\d+: \(UUID: (MIG-[\w/-]+)\)", line)
        if gpu:
            found.append(Gpu(uuid=gpu[2], name=gpu[1]))
        elif piece:
            whole = next(item for item in reversed(found) if not item.slice_of)
            name = f"{whole.name} {piece[1]}"
            found.append(Gpu(uuid=piece[2], name=name, slice_of=whole.uuid))
    cut = {gpu.slice_of for gpu in found}
    return [gpu for gpu in found if gpu.uuid not in cut]


def visible(gpus: list[Gpu], setting: str | None) -> Gpu | None:
    """The first GPU that CUDA_VISIBLE_DEVICES names, by number or start of its UUID."""
    if setting is None:
        return gpus[0] if gpus else None
    first = setting.split(",")[0].strip()
    if first.isdigit():
        return gpus[int(first)] if int(first) < len(gpus) else None
    return next((gpu for gpu in gpus if first and gpu.uuid.startswith(first)), None)


def device_of(gpu: Gpu, query: str) -> Device:
    """Name, memory and driver of one GPU from the CSV answer to `QUERY`."""
    lines = [re.split(r",\s*", line) for line in query.strip().splitlines()]
    board = gpu.slice_of or gpu.uuid
    memory, driver = next(line[2:4] for line in lines if line[0] == board)
    return Device(
        kind="cuda",
        name=gpu.name,
        core_kind="mig_slice" if gpu.slice_of else "gpu",
        cores=1.0,
        parallelism="replica",
        parts={"gpu": gpu.name, "gpu_memory": memory},
        driver={"nvidia_driver": driver},
    )


def reading() -> Reading:
    """Energy counter, clock and throttle reasons of the GPU that is timed, by NVML.

    Needs nvidia-ml-py. A MIG slice shares its board's counter with its neighbours, so
    it has no energy of its own, nor a list of who else is on it.
    """
    gpu = visible(parse_list(_smi("-L")), os.environ.get("CUDA_VISIBLE_DEVICES"))
    if gpu is None or importlib.util.find_spec("pynvml") is None:
        return Reading()
    nvml = importlib.import_module("pynvml")
    nvml.nvmlInit()
    try:
        return reading_of(nvml, gpu)
    finally:
        nvml.nvmlShutdown()


def reading_of(nvml: Any, gpu: Gpu) -> Reading:
    """What NVML tells of one GPU; what this part does not support stays null."""
    board = nvml.nvmlDeviceGetHandleByUUID(gpu.slice_of or gpu.uuid)

    def asked(name: str, *arguments: Any) -> Any:
        try:
            return getattr(nvml, name)(board, *arguments)
        except nvml.NVMLError_NotSupported:
            return None

    spent = running = None
    if not gpu.slice_of:
        spent = asked("nvmlDeviceGetTotalEnergyConsumption")  # millijoules
        running = asked("nvmlDeviceGetComputeRunningProcesses")
    bits = asked("nvmlDeviceGetCurrentClocksThrottleReasons") or 0
    return Reading(
        energy={} if spent is None else {"gpu": Counter(spent / 1e3)},
        energy_method=None if spent is None else "nvml_counter",
        clock_mhz=asked("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
        throttle_flags=tuple(name for bit, name in THROTTLES.items() if bits & bit),
        # A container may see nobody, not even itself: that tells nothing.
        processes=len(running) if running else None,
    )
