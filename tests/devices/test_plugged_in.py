"""A device of another package, and a core of the user's own: timed end to end."""

import sys

import pytest

from bench import devices, machine
from bench.cli import app
from bench.executors.process import decode, encode
from bench.results import read_results
from bench.specs import Cell, OwnCore, WorkItem

MODULE = """
from bench.devices import Device

def describe():
    return Device(
        kind="abacus", name="Abacus 3000", core_kind="rod", cores=13.0,
        parallelism="replica", parts={"beads": "91"},
        called={"torch": "cpu", "jax": "cpu"},
    )
"""
METADATA = "Metadata-Version: 2.1\nName: bench-abacus\nVersion: 0.1\n"
ENTRY_POINTS = "[mixer_bench.devices]\nabacus = bench_abacus\n"
TIME = (
    "time Mixer-XXS/4 --framework torch --image-size 8 --batch-size 2 "
    "--repetitions 1 --window 0.1 --no-anchor"
).split()


@pytest.fixture
def abacus(tmp_path, monkeypatch):
    """Another package, installed for this process and for its workers."""
    site = tmp_path / "site"
    info = site / "bench_abacus-0.1.dist-info"
    info.mkdir(parents=True)
    (site / "bench_abacus.py").write_text(MODULE)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("bench_abacus", None)


def timed(*options):
    """The one row that `time` writes with these options."""
    assert app._run([*TIME, "--out", "out", *options]) == 0
    rows = read_results("out", samples=True)
    return rows.iloc[-1]


def test_a_device_of_another_package_is_timed_without_any_code_of_ours(abacus):
    row = timed("--device", "abacus")
    assert row["status"] == "ok" and row["device_kind"] == "abacus"
    assert (row["core_kind"], row["cores"]) == ("rod", 13.0)
    assert row["img_per_sec_core"] == pytest.approx(row["img_per_sec"] / 13)
    assert dict(row["hardware"])["beads"] == "91"
    assert row["machine"] == "abacus-3000-13rod"


def test_the_users_own_core_is_recorded_and_divides_the_rate(abacus):
    own = ("--core-kind", "bead", "--cores-per-device", "6.5")
    row = timed("--device", "abacus", *own)
    assert (row["core_kind"], row["cores"]) == ("bead", 6.5)
    assert row["img_per_sec_core"] == pytest.approx(row["img_per_sec"] / 6.5)
    assert dict(row["hardware"])["core_defined_by"] == "user"
    assert row["machine_id"] != machine.fingerprint("abacus").machine_id


def test_a_plugged_in_device_is_listed_and_auto_leaves_it_alone(abacus):
    assert devices.kinds()[-1] == "abacus"
    assert devices.describe("auto").kind != "abacus"


def test_an_own_core_of_a_known_name_is_still_another_machine():
    usual = machine.fingerprint("cpu")
    same_words = OwnCore(kind=usual.core_kind, per_device=usual.cores)
    assert machine.fingerprint("cpu", same_words).machine_id != usual.machine_id


def test_an_own_core_reaches_the_worker():
    cell = Cell(mode="infer", model="Mixer-XXS/4", framework="torch")
    for own in (None, OwnCore(kind="bead", per_device=6.5)):
        item = WorkItem(cell=cell, own_core=own)
        assert decode(encode(item)) == item


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--core-kind", "bead"], "give --cores-per-device too"),
        (["--cores-per-device", "2"], "give --core-kind too"),
        (["--core-kind", "My Core", "--cores-per-device", "2"], "'My Core'"),
        (["--core-kind", "bead", "--cores-per-device", "0"], "above 0"),
        (["--core-kind", "bead", "--cores-per-device", "nan"], "above 0"),
    ],
)
def test_half_a_definition_is_refused(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert app._run([*TIME, "--out", "out", *options]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
