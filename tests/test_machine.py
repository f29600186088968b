"""Identity without names, versions without imports, one timing at a time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import devices, machine
from bench.errors import StudyError

ROOT = Path(__file__).parent.parent

CPU = devices.Device("cpu", "AMD EPYC 9B14", "vcpu", 2.0, "intra_op")
HOST = {"cpu": "AMD EPYC 9B14", "logical_cpus": "2", "memory": "16 GiB"}


def gpu(**change):
    fields = {"name": "NVIDIA H200", "core_kind": "gpu", "cores": 1.0} | change
    return devices.Device(
        kind="cuda",
        parallelism="replica",
        parts={"gpu": fields["name"]},
        driver={"nvidia_driver": "570.1"},
        **fields,
    )


def test_the_golden_machine():
    made = machine.machine_of(CPU, HOST)
    assert made.name == "amd-epyc-9b14-2vcpu"
    assert made.machine_id == "b2aa9faf33b14f41"
    assert made.hardware["cores"] == "2 vcpu"


@pytest.mark.parametrize(
    ("device", "host"),
    [
        (devices.Device("cpu", CPU.name, "vcpu", 1.5, "intra_op"), HOST),
        (devices.Device("cpu", CPU.name, "cpu_core", 2.0, "intra_op"), HOST),
        (CPU, HOST | {"memory": "32 GiB"}),
        (CPU, HOST | {"cpu": "AMD EPYC 7B13"}),
        (gpu(), HOST),
    ],
)
def test_other_hardware_is_another_machine(device, host):
    usual = machine.machine_of(CPU, HOST).machine_id
    assert machine.machine_of(device, host).machine_id != usual


def test_the_driver_belongs_to_the_environment_not_to_the_machine():
    made = machine.machine_of(gpu(), HOST)
    assert "570.1" not in str(made)
    assert made.name == "nvidia-h200-1gpu"


def test_this_machine_is_itself_twice_and_tells_no_name():
    first, second = machine.fingerprint("cpu"), machine.fingerprint("cpu")
    assert first == second
    assert re.fullmatch("[a-z0-9.-]+", first.name)
    assert os.uname().nodename.lower() not in str(first).lower()


def test_an_unknown_device_is_refused():
    with pytest.raises(StudyError, match=r"unknown device 'cpuu'.*did you mean 'cpu'"):
        machine.fingerprint("cpuu")


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("AMD EPYC 9B14 2vcpu", "amd-epyc-9b14-2vcpu"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz 2vcpu", "intel-xeon-2vcpu"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "nvidia-a100-sxm4-40gb-mig-1g.5gb"),
        ("../../etc 1", "etc-1"),
    ],
)
def test_a_slug_is_fit_for_a_folder(text, slug):
    assert machine.slug(text) == slug


def test_the_environment_needs_no_framework():
    code = (
        "import sys; from bench import machine;"
        "made = [machine.environment(n)[1] for n in ('jax', 'torch')];"
        "heavy = {'jax', 'torch', 'pandas', 'pyarrow', 'scipy', 'sklearn'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "print(made)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "numpy" in done.stdout


def test_each_framework_has_its_own_environment():
    jax_id, jax = machine.environment("jax")
    torch_id, torch = machine.environment("torch")
    assert jax_id != torch_id
    assert "torch" not in jax
    assert "jax" not in torch
    assert jax["python"] == torch["python"]


def test_a_flag_changes_the_environment_and_an_unrelated_variable_does_not(monkeypatch):
    usual, _ = machine.environment("torch")
    monkeypatch.setenv("EDITOR", "ed")
    assert machine.environment("torch")[0] == usual
    monkeypatch.setenv("DNNL_DEFAULT_FPMATH_MODE", "BF16")
    changed, values = machine.environment("torch")
    assert changed != usual
    assert values["DNNL_DEFAULT_FPMATH_MODE"] == "BF16"


def test_flags_tell_no_folders():
    given = {"LD_PRELOAD": "/home/ann/lib/libjemalloc.so.2", "XLA_FLAGS": "--a=/b/c=1"}
    assert machine.flags(given) == {
        "LD_PRELOAD": "libjemalloc.so.2",
        "XLA_FLAGS": "--a=c=1",
    }


def test_an_unknown_framework_is_refused():
    with pytest.raises(StudyError, match="unknown framework 'tf'; known: jax, torch"):
        machine.environment("tf")


def test_memory_is_never_more_than_the_limit(monkeypatch):
    monkeypatch.setattr(machine.cores, "cgroup_memory", lambda: 2**30)
    assert machine.memory_bytes() == 2**30
    assert machine.host_parts()["memory"] == "1 GiB"


def test_work_of_this_process_is_not_the_load_of_others(monkeypatch):
    """100 s of busy CPUs over 10 s, of which 15 s were ours: others used 8.5."""
    load = machine.OthersLoad.__new__(machine.OthersLoad)
    load._start = (0.0, 0.0, 0.0)
    monkeypatch.setattr(load, "_read", lambda: (10.0, 100.0, 15.0))
    assert load.cores() == pytest.approx(8.5)
    monkeypatch.setattr(load, "_read", lambda: (10.0, 14.9, 15.0))
    assert load.cores() == 0.0


HOLD = """
import sys, time, pathlib
from bench import machine
with machine.lease("cpu", folder=pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_lease_waits_for_another_process_and_says_so(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    other = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout.readline() == b"held\n"
    messages = []

    def on_wait(message):
        messages.append(message)
        other.communicate(b"\n")

    with machine.lease("cpu", on_wait, folder=tmp_path, poll_s=0.01):
        assert other.returncode == 0
    assert len(messages) == 1
    assert messages[0].startswith("waiting: another mixer-bench process is timing on")


def test_a_lease_is_free_again_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), machine.lease("cpu", folder=tmp_path):
        raise ZeroDivisionError
    with machine.lease("cpu", pytest.fail, folder=tmp_path):
        pass


def test_disjoint_cores_do_not_share_a_lease(monkeypatch):
    monkeypatch.setattr(machine.cores, "allowed_cpus", lambda: frozenset({3, 1}))
    assert machine.lease_names("cpu") == ["cpu00001", "cpu00003"]
