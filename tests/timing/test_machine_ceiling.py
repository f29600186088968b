"""One ceiling per machine and dtype, from every library, measured once."""

import dataclasses
import json

import pytest

from bench import machine
from bench.errors import ResultsError
from bench.executors import ceiling as executor
from bench.specs import Bandwidth, Limit
from bench.timing import ceiling

HOST = machine.fingerprint("cpu")
RATES = {"numpy": [1e9], "torch": [2e9, 5e9], "jax": [3e9]}


def library(name, dtype, device):
    assert (dtype, device) == ("float32", "cpu")
    library.asked.append(name)
    products = [
        {"flop_per_sec": rate, "method": f"{name} {rate}"} for rate in RATES[name]
    ]
    return [*products, {"bytes_per_sec": 2 * RATES[name][0], "source": name}]


@pytest.fixture(autouse=True)
def nothing_asked():
    library.asked = []


def of(tmp_path, host=HOST):
    return executor.ceiling_of(host, "float32", tmp_path, attempt=library)[0]


def test_the_widest_copy_of_every_library_counts_and_is_kept(tmp_path):
    for _ in range(2):
        roofs = executor.ceiling_of(HOST, "float32", tmp_path, attempt=library)
        assert roofs == (Limit(5e9, "torch 5000000000.0"), Bandwidth(6e9, "jax"))
    assert library.asked == ["numpy", "torch", "jax"]


def test_the_largest_rate_of_every_library_counts_and_is_measured_once(tmp_path):
    assert of(tmp_path) == of(tmp_path) == Limit(5e9, "torch 5000000000.0")
    assert library.asked == ["numpy", "torch", "jax"]


def test_another_machine_measures_again(tmp_path):
    of(tmp_path)
    of(tmp_path, dataclasses.replace(HOST, machine_id="other"))
    assert len(library.asked) == 6


def test_another_version_measures_again(tmp_path, monkeypatch):
    of(tmp_path)
    monkeypatch.setattr(machine, "versions", lambda framework: {framework: "9"})
    of(tmp_path)
    assert len(library.asked) == 6


def test_what_was_tried_is_kept(tmp_path):
    of(tmp_path)
    (path,) = tmp_path.rglob("ceiling-float32.json")
    kept = json.loads(path.read_text())
    products = [one for one in kept["found"] if "flop_per_sec" in one]
    assert [one["flop_per_sec"] for one in products] == [1e9, 2e9, 5e9, 3e9]
    assert kept["seconds"] >= 0 and kept["machine_id"] == HOST.machine_id


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    of(tmp_path)
    (path,) = tmp_path.rglob("ceiling-float32.json")
    path.write_text("{cut")
    with pytest.raises(ResultsError, match="is not JSON; delete it"):
        of(tmp_path)


@pytest.mark.parametrize("found", [[], [{"flop_per_sec": 0.0, "method": "x failed"}]])
def test_no_library_no_ceiling(tmp_path, found):
    none = executor.ceiling_of(HOST, "float32", tmp_path, attempt=lambda *what: found)
    assert none == (None, None)


class Way:
    def __init__(self, precision):
        self.name, self.precision = precision, precision

    def effective_precision(self, dtype):
        return self.precision

    def matmul_rate(self, size, dtype):
        return 1e15


def test_a_way_in_another_precision_sets_no_ceiling(monkeypatch):
    ways = [Way("bfloat16"), Way("float32")]
    monkeypatch.setattr(ceiling, "_ways", lambda library, device: ways)
    (found,) = ceiling.ceilings("torch", "float32", "cpu")
    assert found.method.startswith("float32 float32 product")


def test_numpy_multiplies_and_says_what_it_cannot():
    numpy = ceiling.Numpy()
    assert numpy.matmul_rate(256, "float32") > 0
    assert 1e8 < numpy.copy_rate() < 1e13
    assert numpy.effective_precision("float32") == "float32"
    assert numpy.effective_precision("float64") == "float64"
    assert numpy.effective_precision("bfloat16").startswith("none")


def test_a_library_that_fails_is_kept_with_its_reason():
    (found,) = executor.fresh_process("no-such-library", "float32", "cpu")
    assert found["flop_per_sec"] == 0.0
    assert found["method"].startswith("no-such-library failed: KeyError")


def test_a_library_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(executor, "PATIENCE_S", 0.01)
    (found,) = executor.fresh_process("numpy", "float32", "cpu")
    assert found["method"] == "numpy failed: no rate after 0.01 s"


def test_a_failure_is_told_and_not_kept(tmp_path, monkeypatch):
    told = []
    with monkeypatch.context() as patch:
        patch.setitem(RATES, "jax", [0.0])
        best, _ = executor.ceiling_of(
            HOST, "float32", tmp_path, attempt=library, on_note=told.append
        )
    assert best == Limit(5e9, "torch 5000000000.0")
    assert "measured again" in told[-1]
    assert list(tmp_path.rglob("*.json")) == []


def test_prepacked_onednn_computes_what_it_says():
    pytest.importorskip("torch")
    from bench.timing.prepacked_torch import Prepacked, _offered

    if not _offered():
        pytest.skip("this build of torch has no oneDNN")
    assert Prepacked().effective_precision("float32") == "float32"
    assert Prepacked().effective_precision("float16").startswith("none")
    assert Prepacked().matmul_rate(256, "float32") > 0
