"""`mixer-bench verify` against a rig whose speed is known."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import re
import shutil

import pytest

from bench import checkout, executors, machine, runner
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
        if item.cell.mode in ("pretrain", "finetune"):
            left = {"weights_sha256": "of no weights"}
            return {"status": "ok", "top1": self.top1, "n_eval": 540, **left}
        rate = 100 * (self.factor if item.cell.model in self.slower else 1)
        rate *= 1 + self.random.gauss(0, self.noise)
        both = {"img_per_sec": 2 * rate, "img_per_sec_core": rate}
        return {"status": "ok", "stop_reason": "time", "batch_size": 8, **both}


def use(monkeypatch, rig):
    monkeypatch.setattr(executors, "make", lambda name: rig)
    # The rig uses no core, so it need not wait for whoever measures on this machine.
    monkeypatch.setattr(machine, "lease", lambda *a, **k: contextlib.nullcontext())
    monkeypatch.setattr(checkout, "git_state", lambda: (None, None))  # one git a row
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


PARENT = dataclasses.replace(LEARNT, seed=1)
CHILD = Cell(
    mode="finetune",
    model="Mixer-XXS/4",
    framework="torch",
    image_size=16,
    dataset="digits",
    batch_size=8,
    total_steps=1,
    init=PARENT.label,
    parent_cell_id=PARENT.cell_id,
)


@pytest.fixture
def family(tmp_path, monkeypatch):
    """Rows of a fine-tuning and of the pre-training that it starts from."""
    monkeypatch.chdir(tmp_path)
    study = Study(name="family", question="?", cells=(PARENT, CHILD))
    use(monkeypatch, Rig())
    runner.run_study(study, out=tmp_path / "rows")
    return tmp_path / "rows"


def test_a_fine_tuning_is_verified_after_its_pre_training(capsys, family, monkeypatch):
    rig = use(monkeypatch, Rig())
    rows = read_results(family, samples=True)
    alone = rows[rows["mode"] == "finetune"]
    (child,) = [o for o in verify.finished(rows, "m") if o.cell.mode == "finetune"]
    assert child.parent == PARENT and child.obstacle == ""
    assert "not in the file" in verify.finished(alone, "m")[0].obstacle
    code, out, _ = call(
        capsys, "verify", family, "--sample", 2, "--format", "json", "--out", "new"
    )
    assert [one["verdict"] for one in cells_of(out)] == ["agreed"] * 2, out
    assert code == 0 and [i.cell.mode for i in rig.items] == ["pretrain", "finetune"]


def test_where_nothing_can_be_compared_the_answer_is_no(capsys, here, monkeypatch):
    rig = use(monkeypatch, Rig())
    monkeypatch.setattr(verify, "PROTOCOL", -1)
    code, out, err = call(capsys, "verify", "rows", "--format", "json")
    assert {one["verdict"] for one in cells_of(out)} == {"not comparable here"}
    assert code == 1 and "nothing was verified" in err and rig.items == []


def test_cells_that_can_be_measured_here_are_drawn_first(here):
    rows = read_results("rows", samples=True)
    found = verify.finished(rows, "another machine")
    assert sum(not one.obstacle for one in found) == 1
    for seed in range(5):
        first, *rest = verify.sample(found, 3, 1.0, seed).cells
        assert first.obstacle == "" and len(rest) == 2 and all(o.obstacle for o in rest)


def test_what_is_missing_here_is_no_difference(capsys, here, monkeypatch):
    class Lacking(Rig):
        def run(self, item):
            return {
                "status": "failed",
                "error_class": "DataError",
                "error_message": "data_dir: imagenet: no such folder",
            }

    use(monkeypatch, Lacking())
    code, out, _ = call(capsys, "verify", "rows", "--sample", 2, "--format", "json")
    found = cells_of(out)
    assert code == 1 and {o["verdict"] for o in found} == {"not comparable here"}
    assert all("no such folder" in one["reason"] for one in found)


def test_time_for_no_cell_is_refused_before_anything_runs(capsys, here, monkeypatch):
    rig = use(monkeypatch, Rig())
    rows = read_results("rows", samples=True)
    long = [
        dataclasses.replace(one, seconds=1800.0)
        for one in verify.finished(rows, rows["machine_id"].iloc[0])
    ]
    monkeypatch.setattr(verify, "finished", lambda *a: long)
    code, out, err = call(capsys, "verify", "rows", "--hours", "0.1")
    assert (code, out, rig.items) == (2, "", []) and "shortest takes 0.5 h" in err


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
