"""`mixer-bench budget`: what it prices, what it does not, and what it then says."""

from __future__ import annotations

import json

import pytest

from bench.cli import app
from bench.record import table
from bench.results import write


def timed(model="Mixer-B/16", side=224, rate=400.0, mode="train", family="mixer"):
    return [
        {
            "status": "ok",
            "role": "cell",
            "source": "measured",
            "protocol": 1,
            "machine_id": "m1",
            "machine": "Xeon",
            "environment_id": "e1",
            "core_kind": "gpu",
            "cores": 2.0,
            "mode": mode,
            "model": model,
            "family": family,
            "framework": "torch",
            "dtype": "float32",
            "image_size": side,
            "track": "protocol",
            "input": "resident",
            "batch_rule": "fixed",
            "batch_size": 8,
            "cell_id": f"{model} {side}",
            "repetition": repetition,
            "img_per_sec_core": rate * (1 + 0.01 * (repetition - 2)),
            "samples": [4 / (rate * (1 + 0.01 * (repetition - 2)))] * 3,
        }
        for repetition in range(5)
    ]


@pytest.fixture
def budget(tmp_path, capsys):
    """Runs the verb on rows; gives its code, its output and its errors."""

    def call(rows, *arguments):
        file = tmp_path / "rows.parquet"
        file.unlink(missing_ok=True)
        write(table(rows), file)
        code = app._run(["budget", str(file), *arguments])
        return (code, *capsys.readouterr())

    return call


def test_published_runs_are_priced_and_the_rate_is_named(budget):
    code, out, _ = budget(timed(), "--devices", "4", "--format", "json")
    found = json.loads(out)
    priced = [one for one in found if one["why_none"] is None]
    assert code == 0
    assert [(one["dataset"], one["epochs"]) for one in priced] == [
        ("ImageNet", 300),
        ("ImageNet-21k", 300),
        ("JFT-300M", 7),
    ]
    for one in priced:
        days = one["images"] / 400 / 86_400
        assert one["core_days_extrapolated"] == pytest.approx(days)
        assert one["wall_days"] == pytest.approx(days / 2 / 4)
        assert (one["rate_image_size"], one["rate_batch_size"]) == (224, 8)
    rest = [one for one in found if one["why_none"]]
    assert {one["published_core_days"] for one in rest} > {2300, 650}


def test_the_table_names_the_rate_and_the_missing_command(budget):
    code, out, _ = budget(timed())
    assert code == 0 and "224 px, batch 8" in out
    assert "not priced: the published side alone" in out
    assert "training not timed here" in out and "no model of this name here" in out
    command = next(line for line in out.splitlines() if "To measure" in line)
    assert "mixer-bench time Mixer-L/16 " in command
    assert command.endswith("--mode train --image-size 224")
    assert "ResNet50x1" not in command and "Mixer-B/16" not in command


@pytest.mark.parametrize(
    "rows, why",
    [
        (timed(mode="infer"), "training not timed here"),
        (timed(side=128), "timed at 128 px; the run trains at 224"),
    ],
    ids=["inference alone", "another side"],
)
def test_nothing_priced_still_prints_the_published_side_and_exits_1(budget, rows, why):
    code, out, err = budget(rows)
    assert code == 1 and err == ""
    assert why in out and "2,300" in out and "--mode train" in out
    priced = [line for line in out.splitlines() if line.startswith("Mixer-B/16")]
    assert len(priced) == 3 and all("—" in line for line in priced)


def test_a_run_at_its_own_side_uses_the_rate_of_that_side(budget):
    rows = timed(side=128, rate=900.0) + timed()
    arguments = ["--run", "Mixer-B/16:9e8", "--image-size", "128", "--format", "json"]
    code, out, _ = budget(rows, *arguments)
    (found,) = json.loads(out)
    assert code == 0
    assert found["train_img_per_sec_core"] == 900 and found["image_size"] == 128
    assert found["core_days_extrapolated"] == pytest.approx(1e6 / 86_400)


def test_a_recipe_is_priced_for_every_model_timed(budget):
    rows = timed() + timed("BiT-R50x1", family="resnet")
    code, out, _ = budget(rows, "--recipe", "mixer-imagenet", "--format", "json")
    mixer, resnet = json.loads(out)
    assert code == 0 and mixer["published_core_days"] == 10 and mixer["note"] is None
    assert resnet["epochs"] == 300 and "not in the table" in resnet["note"]
    code, out, _ = budget(rows, "--recipe", "mixer-jft")
    assert code == 0
    assert "not in the table of mixer-jft, whose models differ in length" in out


def test_a_recipe_of_models_never_timed_lists_its_table_and_the_command(budget):
    code, out, err = budget(timed(mode="infer"), "--recipe", "bit-adam-jft")
    assert code == 1 and err == ""
    names = "BiT-R50x1 BiT-R50x2 BiT-R101x1 BiT-R152x1 BiT-R152x2"
    assert f"mixer-bench time {names} --mode train --image-size 224" in out


def test_a_time_buys_epochs_or_a_share(budget):
    rows, both = timed(), ["--run", "Mixer-B/16:ImageNet:300"]
    both += ["--run", f"Mixer-B/16:{400 * 2 * 86_400}", "--budget", "12h"]
    _, out, _ = budget(rows, *both, "--format", "json")
    epochs, share = json.loads(out)
    whole = 1.281167e6 / 400 / 2
    assert epochs["affordable_epochs"] == pytest.approx(43_200 / whole)
    assert share["affordable_epochs"] is None
    assert share["affordable_share"] == pytest.approx(0.5)
    _, out, _ = budget(rows, *both)
    assert "26.98 [26.44, 27.51] epochs" in out
    assert "0.500 [0.490, 0.510] of the run" in out
    assert epochs["affordable_epochs_low"] == pytest.approx(0.98 * 43_200 / whole)
    assert share["affordable_share_high"] == pytest.approx(0.51)


def test_a_run_that_was_published_stands_beside_its_published_cost(budget):
    _, out, _ = budget(timed(), "--run", "Mixer-B/16:JFT-300M:7", "--format", "json")
    (found,) = json.loads(out)
    assert found["published_core_days"] == 80
    implied = 7 * 303e6 / 80 / 86_400
    assert found["tpuv3_cores_estimate"] == pytest.approx(400 / implied)
    _, out, _ = budget(timed(), "--run", "Mixer-B/16:JFT-300M:8", "--format", "json")
    assert json.loads(out)[0]["published_core_days"] is None


def test_the_table_shows_what_was_printed_and_whose_cores(budget):
    _, out, _ = budget(timed())
    assert "Xeon, 2 gpu, torch, float32, protocol track" in out
    line = next(one for one in out.splitlines() if "300  224" in one)
    assert " 10‡ " in line and "10.0" not in line


BAD = [
    (["--recipe", "mixer"], "--recipe: unknown paper recipe 'mixer'"),
    (["--image-size", "128"], "is the side of --run or --recipe"),
    (["--recipe", "vit-jft", "--image-size", "0"], "--image-size: 0: must be above 0"),
    (["--devices", "0"], "--devices: 0: must be a finite number above 0"),
    (["--budget", "soon"], "--budget: 'soon': give a duration"),
    (["--run", "Mixer-B/16"], "--run: 'Mixer-B/16': give MODEL:DATASET:EPOCHS"),
    (["--run", "Mixr-B/16:5e7"], "Mixr-B/16"),
    (["--format", "latex"], "unknown format 'latex'"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=lambda v: " ".join(v[:2]))
def test_bad_input_is_one_line(budget, arguments, message):
    code, out, err = budget(timed(), *arguments)
    assert code == 2 and out == ""
    assert message in err and len(err.strip().splitlines()) == 1
