"""One TPU device as jax counts them, found on the PCI bus without libtpu.

The paper's unit is one TPUv3 core, which is one jax device. From v4 on a device is a
whole chip, of one core or of two that share a batch. PCI numbers as in jax's own
`hardware_utils`; TensorCores per chip from https://cloud.google.com/tpu/docs (v4 and
v5p: two, as one device; v5e and v6e: one; 7x: two, each a device). Not tried on such a
machine: tested against a made-up bus.
"""

from __future__ import annotations

from pathlib import Path

from bench.devices import Device

BUS = Path("/sys/bus/pci/devices")
VENDOR = "0x1ae0"
CHIPS = {
    # PCI device: (name, TensorCores of one jax device)
    "0x0027": ("TPU v3", 1),  # jax does not tell v2 from v3 here
    "0x005e": ("TPU v4", 2),
    "0x0062": ("TPU v5p", 2),
    "0x0063": ("TPU v5e", 1),
    "0x006f": ("TPU v6e", 1),
    "0x0076": ("TPU 7x", 1),
}


def describe(bus: Path = BUS) -> Device | None:
    """The first TPU on the bus; None where there is none."""
    numbers = {_read(path / "device") for path in sorted(bus.glob("*")) if _ours(path)}
    name, tensor_cores = next(
        (CHIPS[number] for number in sorted(numbers) if number in CHIPS), ("", 0)
    )
    if not name:
        return None
    return Device(
        kind="tpu",
        name=name,
        core_kind="tpu_core",
        cores=float(tensor_cores),
        parallelism="replica" if tensor_cores == 1 else "intra_op",
        parts={"tpu": name},
    )


def _ours(path: Path) -> bool:
    return _read(path / "vendor") == VENDOR


def _read(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""
