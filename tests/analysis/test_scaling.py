"""Curves from rows, where they cross, and what is never pooled."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.analysis import scaling
from bench.cli import app
from bench.errors import ResultsError
from bench.record import table
from bench.results import to_frame, write

SIZES = (100, 300, 1000, 3000, 10_000)
LAWS = {"Mixer-XS/4": ("mixer", 3.0, -0.4), "BiT-R14x1/4": ("resnet", 1.0, -0.2)}
CROSS = 3.0**5
"""3 x^-0.4 = x^-0.2."""


def rows(noise=0.02, subsets=5, models=LAWS, **values):
    rng = np.random.default_rng(0)
    return [
        {
            "status": "ok",
            "source": "measured",
            "role": "cell",
            "mode": "pretrain",
            "protocol": 1,
            "framework": "torch",
            "dtype": "float32",
            "model": model,
            "family": family,
            "cell_id": f"{model} {images} {subset}",
            "attempt_id": f"{model} {images} {subset} {sorted(values.items())}",
            "repetition": 0,
            "unique_images": images,
            "data_examples": images,
            "subset_seed": subset,
            "seed": 0,
            "top1": 1 - beta * images**c * np.exp(noise * rng.normal()),
            "pretrain_dataset": "digits",
            "eval_dataset": "digits",
            **values,
        }
        for model, (family, beta, c) in models.items()
        for subset in range(subsets)
        for images in SIZES
    ]


def frame(*parts):
    return to_frame(table([row for part in parts for row in part]))


def fitted(found):
    return [(line, scaling.fit_line(line, ("power",))) for line in found]


def test_a_curve_is_a_model_with_all_its_seeds_and_sizes():
    mixer, resnet = scaling.lines(frame(rows()))
    assert (mixer.family, resnet.family) == ("mixer", "resnet")
    assert len(mixer.data) == 25 and mixer.data.sizes.tolist() == list(SIZES)
    assert mixer.label == "Mixer-XS/4, torch"


@pytest.mark.parametrize("differs", [{"eval_split": "other"}, {"learning_rate": 0.1}])
def test_other_keys_and_settings_are_other_curves(differs):
    assert len(scaling.lines(frame(rows(), rows(**differs)))) == 4


def test_asked_groups_never_pool_two_keys():
    both = frame(rows(), rows(learning_rate=0.1))
    assert len(scaling.lines(both, group=["model"])) == 2
    with pytest.raises(ResultsError, match="they differ in eval_split"):
        scaling.lines(frame(rows(), rows(eval_split="x")), group=["model"])


def test_published_failed_and_timed_rows_are_no_evidence():
    for change in ({"source": "published"}, {"status": "oom"}, {"mode": "infer"}):
        assert scaling.lines(frame(rows(**change))) == []


def test_the_crossing_comes_back_with_an_interval_around_it():
    (found,) = scaling.crossings(fitted(scaling.lines(frame(rows()))))
    assert (found.first, found.second) == ("BiT-R14x1/4, torch", "Mixer-XS/4, torch")
    assert found.inside and found.x == pytest.approx(CROSS, rel=0.15)
    assert found.low <= CROSS <= found.high and found.share == 1


def test_lines_that_do_not_cross_say_so():
    apart = {"Mixer-XS/4": ("mixer", 0.5, -0.2), "BiT-R14x1/4": ("resnet", 1.0, -0.2)}
    (found,) = scaling.crossings(fitted(scaling.lines(frame(rows(models=apart)))))
    assert found.x is None and not found.inside


def test_differences_are_paired_and_adjusted():
    found = scaling.differences(scaling.lines(frame(rows())))
    assert [one.x for one in found] == list(SIZES)
    assert all(one.paired.n == 5 and one.p_holm >= one.paired.p for one in found)
    assert found[0].paired.difference > 0 > found[-1].paired.difference


def test_the_verb_fits_and_refuses(tmp_path, capsys):
    file = tmp_path / "rows.parquet"
    write(table(rows()), file)
    assert app._run(["fit", str(file), "--form", "power", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    mixer = found["fits"][0]
    assert mixer["c_low"] <= -0.4 <= mixer["c_high"] and mixer["refused"] is None
    assert len(found["crossings"]) == 1 and len(found["differences"]) == 5
    few = tmp_path / "few.parquet"
    write(table(row for row in rows() if row["unique_images"] < 1000), few)
    assert app._run(["fit", str(few), "--form", "power"]) == 1
    assert "2 sizes of x, power needs 3" in capsys.readouterr().out


BAD = [
    (["--form", "cubic"], "--form: unknown form 'cubic'; known: power"),
    (["--x", "price"], "--x: unknown column 'price'"),
    (["--y", "loss"], "--y: unknown column 'loss'"),
    (["--group", "colour"], "--group: unknown column 'colour'"),
    (["--format", "latex"], "unknown format 'latex'"),
    (["--x", "macs"], "no finished training row has macs and top1"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=lambda v: " ".join(v[:2]))
def test_bad_input_is_one_line(arguments, message, tmp_path, capsys):
    file = tmp_path / "rows.parquet"
    write(table(rows()), file)
    assert app._run(["fit", str(file), *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.strip().splitlines()) == 1


def test_the_verb_says_how_often_the_saturating_intervals_hold(tmp_path, capsys):
    file = tmp_path / "rows.parquet"
    write(table(rows(subsets=1)), file)
    app._run(["fit", str(file), "--form", "saturating"])
    assert "held the true curve in 91 to 98 %" in capsys.readouterr().out
    app._run(["fit", str(file), "--form", "power"])
    assert "simulated" not in capsys.readouterr().out
