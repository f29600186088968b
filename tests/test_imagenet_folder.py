"""From an ImageNet-format folder to the paper's table: the study that ships."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_lineage import Fake

import bench
from bench import cores, executors, results, runner, studies
from bench.cli import app
from bench.data import Source, image_folder, view

ROOT = Path(bench.__file__).parents[1]
STUDY = ROOT / "studies" / "imagenet_folder.yaml"
PARENTS = "overrides: [{when: {mode: pretrain, family: vit}, set: {weight_decay: 0.1}}]"


def _script():
    place = ROOT / "studies" / "small_imagenet.py"
    spec = importlib.util.spec_from_file_location("small_imagenet", place)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


small_imagenet = _script()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where a person stands: the folder and a copy of the study lie there."""
    here = tmp_path_factory.mktemp("here")
    small_imagenet.main(here / "imagenet", classes=10, train=32, val=2)
    (here / STUDY.name).write_text(STUDY.read_text())
    return here


def files(root: Path) -> dict[str, bytes]:
    found = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


# the folder -----------------------------------------------------------------------


def test_the_folder_is_of_imagenets_form_and_always_the_same(tmp_path):
    for name in ("one", "two"):
        small_imagenet.main(tmp_path / name, classes=2, train=3, val=10)
    held = files(tmp_path / "one")
    assert held == files(tmp_path / "two") and len(held) == 2 * 13 + 2
    images = {name: text for name, text in held.items() if name.endswith(".JPEG")}
    assert all(image.startswith(b"\xff\xd8\xff") for image in images.values())
    assert len(set(images.values())) == len(images)
    dataset = image_folder.build(24, Source(folder=tmp_path / "one"))
    assert (dataset.classes, dataset.test_split) == (2, "validation")
    twice = [len(accepted) == 2 for accepted in dataset.test.accepted]
    assert sum(twice) == 2 and twice[0] and twice[10]
    shapes = {image.shape for image in dataset.train.make(np.arange(5))}
    assert shapes == {(72, 96, 3), (96, 72, 3)}
    assert len(view.whole(dataset.test, 24).everything[0]) == 20


def test_a_folder_that_exists_is_left_alone(tmp_path):
    with pytest.raises(SystemExit, match="exists; give a folder to be made"):
        small_imagenet.main(tmp_path)
    assert list(tmp_path.iterdir()) == []


# the study ------------------------------------------------------------------------


def test_the_study_has_every_part_of_a_line_of_the_table(place, monkeypatch):
    monkeypatch.chdir(place)
    cells = studies.load(str(STUDY)).cells  # the shipped file, the folder where we are
    modes = [cell.mode for cell in cells]
    assert {m: modes.count(m) for m in modes} == dict.fromkeys(
        ("pretrain", "finetune", "infer"), 4
    )
    by_id = {cell.cell_id: cell for cell in cells}
    for cell in cells:
        if cell.mode == "pretrain":
            assert cell.probe_dir == cell.data_dir == str(place / "imagenet")
        if cell.mode == "finetune":
            parent = by_id[cell.parent_cell_id]
            assert (parent.model, parent.framework) == (cell.model, cell.framework)
            timed = [
                c
                for c in cells
                if c.mode == "infer"
                and (c.model, c.framework) == (cell.model, cell.framework)
            ]
            same = ("image_size", "tokens_mlp_dim", "dtype")
            assert [[getattr(c, n) for n in same] for c in timed] == [
                [getattr(cell, n) for n in same]
            ]


def test_a_changed_pretraining_runs_again_with_its_descendants_alone(
    place, monkeypatch, tmp_path
):
    fake = Fake()
    monkeypatch.setattr(executors, "make", lambda name: fake)
    path = str(place / STUDY.name)
    runner.run_study(path, out=tmp_path)
    assert len(fake.take()) == 12 + 3  # the anchor first, between and last
    runner.run_study(path, out=tmp_path)
    assert fake.take() == []
    changed = place / "changed" / STUDY.name
    changed.parent.mkdir()
    changed.write_text(f"{STUDY.read_text()}\n{PARENTS}\n")
    monkeypatch.chdir(place)
    runner.run_study(str(changed), out=tmp_path)
    again = fake.take()
    assert sorted((cell.mode, cell.framework) for cell in again) == [
        (mode, framework)
        for mode in ("finetune", "pretrain")
        for framework in ("jax", "torch")
    ]
    assert {cell.model for cell in again} == {"ViT-XXS/4"}


# wrong inputs ---------------------------------------------------------------------


def _refused(capsys, *words: object) -> str:
    code = app._run(["run", *map(str, words)])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and err.count("\n") == 1
    return err


def test_without_the_folder_one_line_says_where_it_was_looked_for(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    err = _refused(capsys, STUDY)
    assert f"data_dir: imagenet: no such folder: {STUDY.parent / 'imagenet'} or" in err
    assert str(tmp_path / "imagenet") in err
    assert list(tmp_path.iterdir()) == []


def test_a_class_index_that_does_not_fit_is_refused(place, capsys, monkeypatch):
    index = place / "imagenet" / "imagenet_class_index.json"
    text = index.read_text()
    monkeypatch.chdir(place)
    try:
        held = json.loads(text)
        held["10"] = ["n00000011", "fractal_10"]
        index.write_text(json.dumps(held))
        assert "lists class n00000011 (label 10), which has no folder" in _refused(
            capsys, STUDY.name
        )
        index.write_text("{")
        assert "is not a class index" in _refused(capsys, STUDY.name)
    finally:
        index.write_text(text)
    assert not (place / "results").exists()


def test_without_a_class_index_the_sorted_folders_are_the_labels(place):
    index = place / "imagenet" / "imagenet_class_index.json"
    with_index = image_folder.build(8, Source(folder=place / "imagenet"))
    text = index.read_text()
    try:
        index.unlink()
        without = image_folder.build(8, Source(folder=place / "imagenet"))
    finally:
        index.write_text(text)
    np.testing.assert_array_equal(with_index.train.labels, without.train.labels)


# a kill, and a resume -------------------------------------------------------------

TINY = """
settings: {recipe: demo, batch_size: 16, data_dir: imagenet, checkpoint_steps: 10}
grids:
  - mode: finetune
    model: Mixer-XXS/4
    framework: torch
    device: cpu
    dataset: image-folder
    image_size: 16
    total_steps: 4
    learning_rates: 0.01+0.1
    init: {dataset: image-folder, image_size: 8, total_steps: 200, probe: image-folder}
"""
DIE = """
import os, signal
from bench import cores, runner
from bench.training.checkpoint import Keeper

true = Keeper.stepped

def stepped(self, learner, step):
    true(self, learner, step)
    if step == 25:
        os.kill(os.getpid(), signal.SIGKILL)

Keeper.stepped = stepped
cores.threads = lambda: 1
runner.run_study("tiny.yaml", out="cut", executor="inline")
"""
COMMAND = [sys.executable, "-P", "-c", "from bench.cli.app import main; main()"]
KEPT = ("weights_sha256", "top1", "real_top1", "train_loss", "fewshot", "curve")


def _step(out: Path) -> int:
    texts = [path.read_text() for path in out.glob(".work/*/*/clock.json")]
    return max((json.loads(text)["step"] for text in texts if text), default=0)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _kill_when_at(step: int, out: Path, process: subprocess.Popen[str]) -> None:
    while _step(out) < step:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()


def _rows(out: Path) -> dict[tuple[str, ...], dict]:
    table = results.read(out).table
    return {
        (row["mode"], row["model"], row["framework"]): row for row in table.to_pylist()
    }


def _assert_the_same(cut: dict, whole: dict) -> None:
    assert cut.keys() == whole.keys()
    for key, row in cut.items():
        assert row["status"] == whole[key]["status"] == "ok", row["error_message"]
        for name in KEPT:
            mine, theirs = row[name], whole[key][name]
            if name == "curve" and mine is not None:  # its clock is its own
                for point in (*mine, *theirs):
                    point.pop("train_s")
            assert mine == theirs, (key, name)


def test_a_killed_pretraining_and_its_child_end_in_the_same_bits(place, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(cores, "threads", lambda: 1)
    # The killed process is given it; an environment that differs is no exact resume.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(place)
    Path("tiny.yaml").write_text(TINY)
    died = subprocess.run(
        [sys.executable, "-P", "-c", DIE], env=_environment(), check=False
    )
    assert died.returncode == -signal.SIGKILL
    for out in ("cut", "whole"):
        summary = runner.run_study("tiny.yaml", out=out, executor="inline")
        assert [row["error_message"] for row in summary.failed] == []
    cut, whole = _rows(Path("cut")), _rows(Path("whole"))
    _assert_the_same(cut, whole)
    parent = cut["pretrain", "Mixer-XXS/4", "torch"]
    child = cut["finetune", "Mixer-XXS/4", "torch"]
    assert (parent["resumed_step"], parent["inexact_resume"]) == (20, False)
    assert whole["pretrain", "Mixer-XXS/4", "torch"]["resumes"] == 0
    assert child["init_weights_sha256"] == parent["weights_sha256"]
    assert parent["probe_fingerprint"] == parent["data_fingerprint"]
    assert {entry["n_test"] for entry in parent["fewshot"]} == {20}


@pytest.mark.slow
def test_the_whole_study_as_a_stranger_runs_it(tmp_path, monkeypatch):
    """Make the folder, run, be killed, run again, change a key, print the table."""
    monkeypatch.chdir(tmp_path)
    script = str(ROOT / "studies" / "small_imagenet.py")
    subprocess.run([sys.executable, script, "imagenet"], env=_environment(), check=True)
    text = STUDY.read_text().replace("total_steps: 150\n", "total_steps: 15\n")
    text = text.replace("total_steps: 600", "total_steps: 60")
    text = text.replace("settings:\n", "settings:\n  checkpoint_steps: 10\n")
    Path(STUDY.name).write_text(text)

    def started(out: str) -> subprocess.Popen[str]:
        words = ["run", STUDY.name, "--out", out, "--plots", f"{out}-plots"]
        return subprocess.Popen(
            [*COMMAND, *words],
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    dying = started("cut")
    _kill_when_at(15, Path("cut"), dying)
    dying.stdout.close()
    for out in ("cut", "whole"):
        process = started(out)
        _, err = process.communicate()
        assert process.returncode == 0, err
        assert ("found a checkpoint of step" in err) is (out == "cut")
    cut, whole = _rows(Path("cut")), _rows(Path("whole"))
    _assert_the_same(cut, whole)
    assert len(cut) == 12 + 1 and sum(row["resumes"] == 1 for row in cut.values()) == 1

    Path(STUDY.name).write_text(f"{text}\n{PARENTS}\n")
    process = started("cut")
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert "reusing 8 finished measurements" in err and "[4/4]" in err
    again = [line for line in err.splitlines() if line.startswith("[")]
    assert all("ViT-XXS/4" in line and "infer" not in line for line in again)

    Path(STUDY.name).write_text(text)
    printed = subprocess.run(
        [*COMMAND, *"table whole --layout paper --where study=imagenet_folder".split()],
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line for line in printed.splitlines() if "XXS/4  " in line]
    assert len(lines) == 4
    assert all(line.count("—") == 1 for line in lines), printed  # Avg 5 alone
