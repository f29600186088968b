"""Devices by name, and NVIDIA's own list of them."""

import types

import pytest

from bench import devices
from bench.devices import cuda
from bench.errors import StudyError

TWO_GPUS = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-aaaa-1)
GPU 1: NVIDIA H100 PCIe (UUID: GPU-bbbb-2)
"""
SLICED = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-aaaa-1)
  MIG 3g.40gb     Device  0: (UUID: MIG-1111)
  MIG 1g.10gb     Device  1: (UUID: MIG-2222)
GPU 1: NVIDIA H100 PCIe (UUID: GPU-bbbb-2)
"""
QUERY = """\
GPU-aaaa-1, NVIDIA A100-SXM4-80GB, 81920 MiB, 570.86.15
GPU-bbbb-2, NVIDIA H100 PCIe, 81559 MiB, 570.86.15
"""


@pytest.mark.parametrize(
    ("listing", "setting", "name"),
    [
        (TWO_GPUS, None, "NVIDIA A100-SXM4-80GB"),
        (TWO_GPUS, "1", "NVIDIA H100 PCIe"),
        (TWO_GPUS, "1,0", "NVIDIA H100 PCIe"),
        (TWO_GPUS, "GPU-bbbb", "NVIDIA H100 PCIe"),
        (TWO_GPUS, "", None),
        (TWO_GPUS, "-1", None),
        (TWO_GPUS, "7", None),
        (SLICED, None, "NVIDIA A100-SXM4-80GB MIG 3g.40gb"),
        (SLICED, "MIG-2222", "NVIDIA A100-SXM4-80GB MIG 1g.10gb"),
        ("", None, None),
    ],
)
def test_the_first_visible_gpu(listing, setting, name):
    gpu = cuda.visible(cuda.parse_list(listing), setting)
    assert (gpu and gpu.name) == name


def test_a_whole_gpu():
    (_, gpu) = cuda.parse_list(TWO_GPUS)
    device = cuda.device_of(gpu, QUERY)
    assert (device.core_kind, device.cores) == ("gpu", 1.0)
    assert device.parts == {"gpu": "NVIDIA H100 PCIe", "gpu_memory": "81559 MiB"}
    assert device.driver == {"nvidia_driver": "570.86.15"}


def test_a_slice_is_its_own_kind_of_core_and_has_the_board_of_its_gpu():
    device = cuda.device_of(cuda.parse_list(SLICED)[0], QUERY)
    assert device.core_kind == "mig_slice"
    assert device.parts["gpu"] == "NVIDIA A100-SXM4-80GB MIG 3g.40gb"
    assert device.parts["gpu_memory"] == "81920 MiB"


def test_no_serial_number_leaves():
    assert "aaaa" not in str(cuda.device_of(cuda.parse_list(TWO_GPUS)[0], QUERY))


def test_without_a_driver_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(cuda.shutil, "which", lambda name: None)
    assert cuda.describe() is None
    with pytest.raises(StudyError, match="no cuda device on this machine"):
        devices.describe("cuda")
    assert devices.describe("auto").kind == "cpu"


def test_auto_prefers_the_gpu(monkeypatch):
    monkeypatch.setattr(cuda.shutil, "which", lambda name: "nvidia-smi")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    answers = {("-L",): TWO_GPUS, cuda.QUERY: QUERY}
    monkeypatch.setattr(cuda, "_smi", lambda *arguments: answers[arguments])
    assert devices.describe("auto").name == "NVIDIA A100-SXM4-80GB"


class Found(tuple):
    """Entry points of one package that brings `abacus`."""

    names = frozenset({"abacus"})


def test_another_package_brings_a_device(monkeypatch):
    made = devices.Device("abacus", "Abacus 3000", "rod", 13.0, "replica")
    module = types.SimpleNamespace(describe=lambda: made)
    point = types.SimpleNamespace(load=lambda: module)
    monkeypatch.setattr(devices, "entry_points", lambda **which: Found([point]))
    assert devices.kinds() == (*devices.BUILT_IN, "abacus")
    assert devices.describe("abacus") is made
