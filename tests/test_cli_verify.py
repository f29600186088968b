"""`mixer-bench verify` against a rig whose speed is known."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil

import pytest

from bench import executors, machine, runner
from bench.analysis import verify
from bench.analysis.contrast import contrast
from bench.cli import app
from bench.results import read, read_results
from bench.specs import Cell, Study

CELLS = tuple(
    Cell(mode="infer", model=model, framework=framework, batch_size=8)
    for model in ("Mixer-B/16", "ViT-B/16", "BiT-R50x1")
    for framework in ("jax", "torch")
)
LEARNT = Cell(
    mode="pretrain",
    model="Mixer-XXS/4",
    framework="torch",
    image_size=16,
    dataset="digits",
    batch_size=8,
    total_steps=1,
)


class Rig:
    """Answers at once; rates have 1 % of noise, and some models are slower."""

    def __init__(self, slower=(), factor=1.0, noise=0.01, top1=0.8, seed=0):
        self.slower, self.factor, self.noise = slower, factor, noise
        self.top1, self.random, self.items = top1, random.Random(seed), []

    def run(self, item):
        self.items.append(item)
        if item.cell.mode == "pretrain":
            return {"status": "ok", "top1": self.top1, "n_eval": 540}
        rate = 100 * (self.factor if item.cell.model in self.slower else 1)
        rate *= 1 + self.random.gauss(0, self.noise)
        both = {"img_per_sec": 2 * rate, "img_per_sec_core": rate}
        return {"status": "ok", "stop_reason": "time", "batch_size": 8, **both}


def use(monkeypatch, rig):
    monkeypatch.setattr(executors, "make", lambda name: rig)
    # The rig uses no core, so it need not wait for whoever measures on this machine.
    monkeypatch.setattr(machine, "lease", lambda *a, **k: contextlib.nullcontext())
    monkeypatch.setattr(machine, "git_state", lambda: (None, None))  # one git a row
    return rig


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    out = tmp_path_factory.mktemp("recorded") / "rows"
    cells = (*CELLS, LEARNT)
    study = Study(name="first", question="?", cells=cells, repetitions=5)
    with pytest.MonkeyPatch.context() as patch:
        use(patch, Rig(seed=1))
        runner.run_study(study, out=out)
    return out


@pytest.fixture
def here(tmp_path, monkeypatch, recorded):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(recorded, tmp_path / "rows")
    return tmp_path


def call(capsys, *arguments):
    capsys.readouterr()
    code = app._run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def cells_of(out):
    return json.loads(out)["cells"]


def test_an_unchanged_machine_agrees_and_the_file_is_untouched(
    capsys, here, monkeypatch
):
    rig = use(monkeypatch, Rig(seed=2))
    files = {path: path.read_bytes() for path in (here / "rows").rglob("*.parquet")}
    code, out, _ = call(
        capsys, "verify", "rows", "--sample", 7, "--format", "json", "--out", "new"
    )
    found = cells_of(out)
    assert code == 0 and [one["verdict"] for one in found] == ["agreed"] * 7
    assert len(rig.items) == 6 * 5 + 1
    assert {path: path.read_bytes() for path in files} == files
    assert read("new").table.num_rows == 31
    speed = [one for one in found if one["power"] is not None]
    assert len(speed) == 6 and min(one["power"] for one in speed) > 0.8


def test_a_planted_slowdown_of_a_tenth_is_found(capsys, here, monkeypatch):
    use(monkeypatch, Rig(slower=("ViT-B/16",), factor=0.9, seed=3))
    code, out, _ = call(capsys, "verify", "rows", "--sample", 7, "--format", "json")
    verdicts = {one["cell"]: one["verdict"] for one in cells_of(out)}
    assert code == 1
    assert {v for cell, v in verdicts.items() if "ViT" in cell} == {"differs"}
    assert {v for cell, v in verdicts.items() if "ViT" not in cell} == {"agreed"}


def test_too_much_noise_is_not_called_agreement(capsys, here, monkeypatch):
    use(monkeypatch, Rig(noise=0.15, seed=4))
    _, out, _ = call(capsys, "verify", "rows", "--sample", 7, "--format", "json")
    noisy = [one for one in cells_of(out) if one["power"] is not None]
    assert any(one["verdict"] == "not comparable here" for one in noisy)
    assert all("too noisy" in o["reason"] for o in noisy if o["verdict"][0] == "n")
    assert not any(one["verdict"] == "agreed" and one["power"] < 0.8 for one in noisy)


def test_another_accuracy_differs(capsys, here, monkeypatch):
    use(monkeypatch, Rig(top1=0.7, seed=5))
    code, out, _ = call(capsys, "verify", "rows", "--sample", 7, "--format", "json")
    (learnt,) = [one for one in cells_of(out) if "pretrain" in one["cell"]]
    assert code == 1 and learnt["verdict"] == "differs"
    assert "10.00 points apart" in learnt["reason"]


def test_rows_of_another_machine_are_not_comparable_here(capsys, here, monkeypatch):
    rig = use(monkeypatch, Rig(seed=6))
    rows = read_results("rows", samples=True)
    found = verify.finished(rows, "another")
    obstacles = {one.cell.mode: one.obstacle for one in found}
    assert "another machine" in obstacles["infer"] and obstacles["pretrain"] == ""
    assert rig.items == []


def test_the_sample_is_spread_random_and_bounded_by_time(here):
    rows = read_results("rows", samples=True)
    found = verify.finished(rows, rows["machine_id"].iloc[0])
    drawn = verify.sample(found, 4, 1.0, seed=0)
    kinds = {(o.cell.mode, o.cell.framework, o.cell.model) for o in drawn.cells}
    assert len(kinds) == 4 and drawn.of == 7
    orders = {
        tuple(o.cell.label for o in verify.sample(found, 4, 1.0, s).cells)
        for s in range(5)
    }
    assert len(orders) > 1
    slow = [verify.Finished(o.cell, o.rows, 1800.0) for o in found]
    short = verify.sample(slow, 7, 1.0, seed=0)
    assert len(short.cells) == 2 and short.too_long == 5


def test_power_is_the_share_of_planted_slowdowns_that_are_found():
    rng = random.Random(0)

    def sides(noise, factor):
        return [
            [f * 100 * (1 + rng.gauss(0, noise)) for _ in range(5)]
            for f in (1.0, factor)
        ]

    def called(noise, factor, times=400):
        found = [contrast(*sides(noise, factor)) for _ in range(times)]
        low = sum(one.p_beyond(0.05) <= 0.05 for one in found) / times
        said = sorted(verify.power(contrast(*sides(noise, 1.0)), 0.05) for _ in found)
        return low, said[len(said) // 2]

    for noise in (0.01, 0.02, 0.04):
        share, said = called(noise, 0.9)
        assert share == pytest.approx(said, abs=0.2)
    # At the edge of what counts one in forty is called slower, inside it fewer.
    assert called(0.02, 1.0)[0] <= 0.01


BAD = [
    (["nowhere"], "no such file"),
    (["published"], "no finished measured cell"),
    (["rows", "--sample", "0"], "--sample: 0"),
    (["rows", "--hours", "0"], "--hours: 0"),
    (["rows", "--max-change", "5"], "--max-change: 5"),
    (["rows", "--format", "latex"], "unknown format 'latex'"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=lambda v: " ".join(v[:4]))
def test_bad_input_is_one_line_exit_2(arguments, message, capsys, here):
    before = sorted(here.rglob("*"))
    code, out, err = call(capsys, "verify", *arguments)
    assert code == 2 and re.search(message, err), err
    assert len(err.strip().splitlines()) == 1 and out == ""
    assert sorted(here.rglob("*")) == before
