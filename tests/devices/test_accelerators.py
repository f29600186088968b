"""AMD, Intel, Apple and TPU devices, from answers recorded or made up elsewhere."""

import json

import pytest

from bench import devices
from bench.devices import mps, rocm, tpu, xpu

MI250 = {
    "card1": {"Card series": "AMD INSTINCT MI200 (MCM) OAM LC MBA HPE C2"},
    "card0": {
        "Card series": "AMD INSTINCT MI200 (MCM) OAM LC MBA HPE C2",
        "VRAM Total Memory (B)": "68702699520",
        "GUID": "58294",
    },
    "system": {"Driver version": "6.3.6"},
}
RADEON = {
    "card0": {
        "Card Series": "Radeon RX 7900 XT",
        "VRAM Total Memory (B)": "21458059264",
    }
}


def test_a_die_of_an_mi250_is_a_gcd_and_torch_calls_it_cuda():
    device = rocm.parse(MI250, {})
    assert (device.kind, device.core_kind, device.cores) == ("rocm", "gcd", 1.0)
    assert device.parts["gpu_memory"] == "68702699520 B"
    assert device.driver == {"amdgpu": "6.3.6"}
    assert (device.name_in("torch"), device.name_in("jax")) == ("cuda", "rocm")
    assert "58294" not in str(device)


def test_keys_in_the_other_case_and_no_driver():
    device = rocm.parse(RADEON, {})
    assert (device.name, device.core_kind) == ("Radeon RX 7900 XT", "gpu")
    assert device.driver == {}


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"HIP_VISIBLE_DEVICES": "1"}, True),
        ({"CUDA_VISIBLE_DEVICES": "7"}, False),
        ({"ROCR_VISIBLE_DEVICES": ""}, False),
        ({"HIP_VISIBLE_DEVICES": "-1"}, False),
    ],
)
def test_the_first_visible_card(variables, found):
    assert (rocm.parse(MI250, variables) is not None) is found


def put_on_path(folder, monkeypatch, name, text):
    """A command called `name` that answers `text`, alone on the search path."""
    script = folder / name
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_rocm_through_its_tool(tmp_path, monkeypatch):
    for name in rocm.VISIBLE:
        monkeypatch.delenv(name, raising=False)
    assert rocm.describe() is None
    put_on_path(tmp_path, monkeypatch, "rocm-smi", json.dumps(RADEON))
    assert devices.describe("rocm").name == "Radeon RX 7900 XT"
    put_on_path(tmp_path, monkeypatch, "rocm-smi", "WARNING: no AMD GPUs")
    assert rocm.describe() is None


MAX = {"device_id": 0, "device_name": "Intel(R) Data Center GPU Max 1550"}
DETAILS = {"number_of_tiles": "2", "driver_version": "23.30", "serial_number": "S1"}


@pytest.mark.parametrize(
    ("details", "flat", "core_kind"),
    [(DETAILS, True, "tile"), (DETAILS, False, "gpu"), ({}, True, "gpu")],
)
def test_a_tile_is_a_device_under_the_flat_hierarchy(details, flat, core_kind):
    device = xpu.parse(MAX, details, flat)
    assert (device.kind, device.core_kind) == ("xpu", core_kind)
    assert "S1" not in str(device)


def test_xpu_through_its_tool(tmp_path, monkeypatch):
    monkeypatch.delenv("ZE_AFFINITY_MASK", raising=False)
    assert xpu.describe() is None
    answer = json.dumps({"device_list": [MAX], **DETAILS})
    put_on_path(tmp_path, monkeypatch, "xpu-smi", answer)
    assert devices.describe("xpu").driver == {"intel_gpu": "23.30"}
    monkeypatch.setenv("ZE_AFFINITY_MASK", "1.0")
    assert xpu.describe() is None


@pytest.mark.parametrize(
    ("number", "name", "cores", "parallelism"),
    [
        ("0x0027", "TPU v3", 1, "replica"),
        ("0x005e", "TPU v4", 2, "intra_op"),
        ("0x0063", "TPU v5e", 1, "replica"),
    ],
)
def test_a_tpu_on_the_bus(tmp_path, number, name, cores, parallelism):
    slots = {"0": ("0x8086", "0x0027"), "1": ("0x1ae0", "0x001f")}
    slots["2"] = ("0x1ae0", number)
    for slot, (vendor, device) in slots.items():
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "vendor").write_text(vendor + "\n")
        (tmp_path / slot / "device").write_text(device + "\n")
    found = tpu.describe(tmp_path)
    assert (found.name, found.core_kind) == (name, "tpu_core")
    assert (found.cores, found.parallelism) == (cores, parallelism)


def test_no_tpu_on_the_bus(tmp_path):
    assert tpu.describe(tmp_path) is None


def test_the_gpu_of_a_mac(monkeypatch):
    monkeypatch.setattr(mps.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(mps.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(mps.platform, "mac_ver", lambda: ("15.1", ("", "", ""), ""))
    monkeypatch.setattr(mps, "_chip", lambda: "Apple M2 Ultra")
    device = mps.describe()
    assert (device.name, device.core_kind) == ("Apple M2 Ultra GPU", "gpu")
    assert device.driver == {"macos": "15.1"}
    monkeypatch.setattr(mps.platform, "machine", lambda: "x86_64")
    assert mps.describe() is None
