"""The join: what comes from where, and that a missing part stays missing."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from bench.analysis.join import model_rows, once
from bench.analysis.repetitions import speed_rows
from bench.errors import ResultsError
from bench.record import table
from bench.results import read_published, to_frame

BASE = {
    "status": "ok",
    "role": "cell",
    "source": "measured",
    "protocol": 1,
    "machine_id": "m1",
    "environment_id": "e1",
    "machine": "A",
    "core_kind": "vcpu",
    "cores": 2.0,
    "framework": "jax",
    "dtype": "float32",
    "image_size": 32,
    "batch_size": 8,
    "model": "Mixer-XS/4",
    "family": "mixer",
}


def infer(rate: float, **values) -> dict:
    row = {
        "mode": "infer",
        "cell_id": "i",
        "img_per_sec_core": rate,
        "track": "protocol",
    }
    return {**BASE, **row, "param_count": 1000, **values}


def pretrain(top1: float, **values) -> dict:
    row = {"mode": "pretrain", "cell_id": "p", "top1": top1, "core_days_measured": 0.5}
    return {**BASE, **row, "param_count": 900, "pretrain_dataset": "fractals", **values}


def frame(*rows: dict, samples: bool = True) -> pd.DataFrame:
    return to_frame(table(rows), samples=samples)


def test_one_row_takes_cost_and_accuracy_from_training_and_speed_from_timing():
    (row,) = model_rows(frame(infer(100.0), pretrain(0.6))).to_dict("records")
    assert row["img_per_sec_core"] == 100
    assert row["top1"] == 0.6
    assert (row["core_days"], row["core_days_kind"]) == (0.5, "measured")
    assert row["mode"] == "infer"
    assert row["param_count"] == 900  # of the trained head


@pytest.mark.parametrize(
    "other",
    [
        {"machine_id": "m2"},
        {"environment_id": "e2"},
        {"framework": "torch"},
        {"dtype": "bfloat16"},
        {"image_size": 64},
        {"protocol": 2},
        {"model": "ViT-XS/4"},
        {"tokens_mlp_dim": 7},
        {"pool": "gap"},
    ],
)
def test_nothing_is_taken_from_another_lineage(other):
    rows = model_rows(frame(infer(100.0, **other), pretrain(0.6)))
    assert len(rows) == 2
    trained = rows[rows["top1"].notna()].iloc[0]
    timed = rows[rows["top1"].isna()].iloc[0]
    assert np.isnan(trained["img_per_sec_core"])
    assert trained["core_days"] == 0.5
    assert timed["img_per_sec_core"] == 100
    assert np.isnan(timed["core_days"])
    assert timed["core_days_kind"] == ""


def test_failed_attempts_and_anchors_are_no_evidence():
    rows = frame(
        infer(1.0, status="oom"),
        infer(2.0, role="anchor"),
        infer(3.0, repetition=0),
        infer(5.0, repetition=1),
    )
    (row,) = model_rows(rows).to_dict("records")
    assert (row["img_per_sec_core"], row["n"]) == (4.0, 2)


def test_a_repetition_counts_once_by_its_newest_attempt():
    new, old = (datetime(2026, 1, day, tzinfo=UTC) for day in (2, 1))
    rows = frame(
        infer(100.0, repetition=0, finished_at=old),
        infer(300.0, repetition=1, finished_at=new),
        infer(200.0, repetition=1, finished_at=old),
        pretrain(0.5, repetition=0, seed=0, finished_at=new),
        pretrain(0.1, repetition=0, seed=0, finished_at=old),
        pretrain(0.7, repetition=0, seed=1, finished_at=old),
    )
    (row,) = model_rows(rows).to_dict("records")
    assert (row["img_per_sec_core"], row["n"]) == (200, 2)
    assert (row["top1_low"], row["top1_high"], row["n_train"]) == (0.5, 0.7, 2)


def test_five_attempts_at_four_repetitions_give_no_interval():
    rows = _repetitions(4)
    (row,) = speed_rows(frame(*rows, rows[0])).to_dict("records")
    assert row["n"] == 4
    assert np.isnan(row["low"])


@pytest.mark.parametrize("differs", ["eval_preprocess", "eval_split", "core_kind"])
def test_rows_of_two_keys_are_never_averaged(differs):
    rows = frame(pretrain(0.5, **{differs: "a"}), pretrain(0.7, **{differs: "b"}))
    assert sorted(model_rows(rows)["top1"]) == [0.5, 0.7]
    if differs == "core_kind":
        rows = frame(infer(1.0, core_kind="a"), infer(3.0, core_kind="b"))
        assert sorted(speed_rows(rows)["img_per_sec_core"]) == [1, 3]


def test_training_and_timing_each_keep_their_batch_size():
    (row,) = model_rows(frame(infer(1.0), pretrain(0.5, batch_size=64))).to_dict(
        "records"
    )
    assert (row["batch_size"], row["train_batch_size"]) == (8, 64)


def test_the_modes_are_kept_apart():
    rows = frame(infer(100.0), infer(30.0, mode="train", cell_id="t"), pretrain(0.6))
    assert model_rows(rows)["img_per_sec_core"].tolist() == [100]
    assert model_rows(rows, mode="train")["img_per_sec_core"].tolist() == [30]


def test_tracks_and_batch_sizes_are_rows_of_their_own():
    rows = frame(
        infer(100.0),
        infer(150.0, track="tuned", cell_id="i2"),
        infer(90.0, batch_size=4, cell_id="i3"),
        pretrain(0.6),
    )
    found = model_rows(rows)
    assert sorted(found["img_per_sec_core"]) == [90, 100, 150]
    assert found["top1"].tolist() == [0.6] * 3


def _repetitions(count: int) -> list[dict]:
    """Rate 100 + r by samples: 8 images per step on 2 cores."""
    return [
        infer(100.0 + r, repetition=r, samples=[8 / 2 / (100.0 + r)] * 3)
        for r in range(count)
    ]


def test_no_interval_below_five_repetitions():
    (row,) = speed_rows(frame(*_repetitions(4))).to_dict("records")
    assert row["n"] == 4
    assert row["img_per_sec_core"] == 101.5
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


def test_with_five_the_interval_is_in_images_per_second_per_core():
    (row,) = speed_rows(frame(*_repetitions(5))).to_dict("records")
    assert row["img_per_sec_core"] == 102
    assert 100 - 1e-9 <= row["low"] <= 102 <= row["high"] <= 104 + 1e-9
    assert row["low"] < row["high"]


def test_without_samples_there_is_no_interval():
    (row,) = speed_rows(frame(*_repetitions(5), samples=False)).to_dict("records")
    assert row["n"] == 5
    assert np.isnan(row["low"])


def test_batch_sizes_that_differ_between_repetitions_are_not_one_number():
    rows = frame(infer(100.0, batch_size=8), infer(100.0, batch_size=16, repetition=1))
    (row,) = speed_rows(rows).to_dict("records")
    assert np.isnan(row["batch_size"])


def test_seeds_are_one_row_with_median_and_range():
    rows = frame(
        *(pretrain(a, seed=s, cell_id=f"p{s}") for s, a in enumerate((0.5, 0.9, 0.6)))
    )
    (row,) = model_rows(rows).to_dict("records")
    assert (row["top1"], row["top1_low"], row["top1_high"]) == (0.6, 0.5, 0.9)
    assert row["n_train"] == 3


def test_data_sizes_are_rows_of_their_own():
    rows = frame(
        pretrain(0.4, data_examples=100, cell_id="a"),
        pretrain(0.6, data_examples=1000, cell_id="b"),
        infer(100.0),
    )
    found = model_rows(rows)
    assert sorted(found["top1"]) == [0.4, 0.6]
    assert found["img_per_sec_core"].tolist() == [100, 100]


def test_few_shot_of_all_seeds_is_kept():
    probe = {"dataset": "digits", "shots": 5, "seed": 0, "accuracy": 0.5}
    rows = frame(
        pretrain(0.5, seed=0, fewshot=[{**probe, "baseline": None}]),
        pretrain(0.5, seed=1, fewshot=[{**probe, "baseline": "raw_pixels"}]),
    )
    (row,) = model_rows(rows).to_dict("records")
    assert [entry["baseline"] for entry in row["fewshot"]] == [None, "raw_pixels"]


def test_extrapolated_core_days_are_told_apart():
    rows = frame(pretrain(0.5, core_days_measured=None, core_days_extrapolated=7.0))
    (row,) = model_rows(rows).to_dict("records")
    assert (row["core_days"], row["core_days_kind"]) == (7.0, "extrapolated")


@pytest.mark.parametrize("runs", [1, 4, 5])
def test_extrapolated_core_days_have_the_interval_of_their_runs(runs):
    """Five runs reach from the least to the largest; fewer have no interval."""
    found = [3.0, 9.0, 5.0, 4.0, 7.0][:runs]
    rows = frame(
        *(
            pretrain(0.5, seed=seed, core_days_extrapolated=value)
            for seed, value in enumerate(found)
        )
    )
    (row,) = model_rows(rows).to_dict("records")
    assert (row["n_train"], row["core_days_kind"]) == (runs, "measured")
    assert row["core_days_extrapolated"] == np.median(found)
    ends = [row[f"core_days_extrapolated_{end}"] for end in ("low", "high")]
    if runs < 5:
        assert pd.isna(ends).all()
    else:
        assert ends == pytest.approx([3.0, 9.0])


def test_a_run_quoted_twice_counts_once_by_its_first_table():
    rows = read_published()
    kept = once(rows)
    vit_h = kept[(kept["model"] == "ViT-H/14") & (kept["image_size"] == 518)]
    assert vit_h["table"].tolist() == ["mixer-table2"]
    assert vit_h["core_days_measured"].tolist() == [2300]
    assert kept["run_id"].isna().sum() == rows["run_id"].isna().sum()  # timm's


def test_published_throughput_is_inference_and_no_row_is_lost():
    rows = read_published()
    infer_mode, train_mode = model_rows(rows), model_rows(rows, mode="train")
    assert set(train_mode["machine"]) == {"RTX 3090"}
    assert set(infer_mode["machine"]) == {"TPUv3", "RTX 4090", "RTX 3090"}
    assert len(infer_mode) == len(once(rows)) - (rows["mode"] == "train").sum()


def test_no_rows_give_an_empty_frame_with_the_columns():
    found = model_rows(frame())
    assert found.empty
    assert {"core_days", "img_per_sec_core", "n"} <= set(found.columns)


def test_rows_without_the_record_are_refused():
    with pytest.raises(ResultsError, match="the join needs the columns"):
        model_rows(pd.DataFrame({"model": ["a"]}))
