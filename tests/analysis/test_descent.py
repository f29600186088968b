"""Finetune rows find their parents, and the mean of five is of five."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from bench.analysis.descent import FIVE, avg5, task_of
from bench.analysis.join import model_rows
from bench.record import table
from bench.report.layout import layout_grid, layout_table
from bench.results import to_frame

BASE = {
    "status": "ok",
    "role": "cell",
    "source": "measured",
    "repetition": 0,
    "protocol": 1,
    "machine_id": "m1",
    "environment_id": "e1",
    "machine": "A",
    "core_kind": "vcpu",
    "cores": 2.0,
    "framework": "jax",
    "dtype": "float32",
    "model": "Mixer-XS/4",
    "family": "mixer",
    "pretrain_dataset": "fractals",
    "eval_split": "test",
}


def root(**values) -> dict:
    row = {
        "mode": "pretrain",
        "cell_id": "p",
        "image_size": 16,
        "dataset": "fractals",
        "eval_dataset": "fractals",
        "top1": 0.9,
        "core_days_measured": 0.5,
        "epochs": 7.0,
        "unique_images": 1000,
        "weights_sha256": "w",
        "attempt_id": "root",
    }
    return {**BASE, **row, **values}


def child(dataset: str = "digits", top1: float = 0.6, **values) -> dict:
    row = {
        "mode": "finetune",
        "cell_id": f"c-{dataset}",
        "image_size": 32,
        "dataset": dataset,
        "eval_dataset": dataset,
        "top1": top1,
        "parent_cell_id": "p",
        "init_weights_sha256": "w",
        "learning_rates": "0.01+0.03",
        "learning_rate": 0.03,
        "core_days_finetune": 0.01,
        "unique_images": 200,
        "epochs": 3.0,
        "attempt_id": f"child-{dataset}",
    }
    return {**BASE, **row, **values}


def infer(rate: float = 100.0, **values) -> dict:
    row = {
        "mode": "infer",
        "cell_id": "i",
        "image_size": 32,
        "img_per_sec_core": rate,
        "track": "protocol",
        "attempt_id": "timed",
    }
    row = {**BASE, **row, **values}
    return {**row, "pretrain_dataset": None, "eval_split": None}


def frame(*rows: dict) -> pd.DataFrame:
    return to_frame(table(rows), samples=True)


def tuned(*rows: dict) -> dict:
    found = model_rows(frame(*rows)).to_dict("records")
    (row,) = [one for one in found if one["train_mode"] == "finetune"]
    return row


def test_cost_and_data_come_from_the_root_accuracy_from_the_child_speed_from_timing():
    row = tuned(root(), child(), infer())
    assert (row["core_days"], row["core_days_kind"]) == (0.5, "measured")
    assert (row["top1"], row["eval_dataset"], row["img_per_sec_core"]) == (
        *(0.6, "digits"),
        100,
    )
    assert (row["unique_images"], row["epochs"]) == (1000, 7)
    assert row["core_days_finetune"] == 0.01


@pytest.mark.parametrize(
    "other",
    [
        {"cell_id": "q"},
        {"weights_sha256": "x"},
        {"machine_id": "m2"},
        {"environment_id": "e2"},
        {"protocol": 2},
        {"status": "failed"},
    ],
    ids=str,
)
def test_no_cost_is_taken_from_another_lineage(other):
    row = tuned(root(**other), child())
    assert pd.isna(row["core_days"]) and row["core_days_kind"] == ""
    assert row["top1"] == 0.6


def test_a_parent_that_ran_again_gives_the_cost_of_the_run_that_was_started_from():
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)]
    again = {"weights_sha256": "x", "core_days_measured": 9.0, "attempt_id": "r2"}
    row = tuned(root(finished_at=days[0]), root(finished_at=days[1], **again), child())
    assert row["core_days"] == 0.5


def test_seeds_are_one_row_though_their_searches_picked_other_rates():
    seeds = [
        row
        for seed in (0, 1, 2)
        for row in (
            root(seed=seed, cell_id=f"p{seed}", weights_sha256=f"w{seed}"),
            child(
                seed=seed,
                cell_id=f"c{seed}",
                parent_cell_id=f"p{seed}",
                init_weights_sha256=f"w{seed}",
                learning_rate=(0.01, 0.03, 0.01)[seed],
                top1=(0.5, 0.7, 0.6)[seed],
            ),
        )
    ]
    row = tuned(*seeds)
    assert (row["top1"], row["n_train"]) == (0.6, 3)


def test_two_pretrainings_are_two_lineages():
    rows = model_rows(
        frame(
            root(),
            root(cell_id="q", total_steps=9, weights_sha256="v", unique_images=50),
            child(),
            child(parent_cell_id="q", init_weights_sha256="v", top1=0.4),
        )
    )
    found = rows[rows["train_mode"] == "finetune"]
    assert sorted(found["unique_images"]) == [50, 1000]
    assert found["lineage"].nunique() == 2


def test_averaged_weights_are_another_result_than_the_last_ones():
    rows = model_rows(frame(root(), child(top1=0.6), child(top1=0.8, polyak=0.999)))
    found = rows[rows["train_mode"] == "finetune"]
    assert sorted(found["top1"]) == [0.6, 0.8]


def test_few_shot_of_the_parent_stands_where_the_child_has_none():
    probe = {"dataset": "digits", "shots": 5, "seed": 0, "accuracy": 0.5}
    probe = [{**probe, "baseline": None}]
    assert len(tuned(root(fewshot=probe), child())["fewshot"]) == 1


# the mean of five ------------------------------------------------------------------


def family(*left_out: str, **changes) -> list[dict]:
    tested = {name: 0.5 + number / 10 for number, name in enumerate(FIVE)}
    return [
        child(name, top1, **changes)
        for name, top1 in tested.items()
        if name not in left_out
    ]


def test_five_sets_have_a_mean_in_every_row_of_the_lineage():
    rows = model_rows(frame(root(), *family()))
    found = rows[rows["train_mode"] == "finetune"]
    assert found["avg5_top1"].tolist() == pytest.approx([0.7] * 5)
    assert rows["avg5_missing"].notna().sum() == 0


def test_a_missing_set_is_named_and_never_averaged_over():
    rows = model_rows(frame(root(), *family("Pets", "ImageNet")))
    assert rows["avg5_top1"].isna().all()
    assert set(rows["avg5_missing"].dropna()) == {"ImageNet, Pets missing"}
    text = layout_table(frame(root(), *family("Pets", "ImageNet")), "github")
    assert "No Avg 5: ImageNet, Pets missing." in text


def test_sets_at_two_resolutions_are_not_one_mean():
    rows = [*family("Pets"), child("Pets", image_size=16)]
    assert model_rows(frame(root(), *rows))["avg5_top1"].isna().all()


def test_published_means_are_as_printed():
    """ViT paper, Table 2: 87.76, 99.42, 93.90, 97.32, 99.74 print as 95.63."""
    parts = (0.8776, 0.9942, 0.9390, 0.9732, 0.9974)
    mean, missing = avg5({name: [part] for name, part in zip(FIVE, parts, strict=True)})
    assert mean == pytest.approx(0.95628, abs=1e-6) and missing is None


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("CIFAR-10", "CIFAR-10"),
        ("cifar100", "CIFAR-100"),
        ("imagenet", "ImageNet"),
        ("oxford_iiit_pet", "Pets"),
        ("flowers102", "Flowers"),
        ("digits", None),
        (None, None),
    ],
)
def test_the_five_are_known_by_their_usual_names(name, task):
    assert task_of(name) == task


# the paper's layout -----------------------------------------------------------------


def test_one_lineage_is_one_line_with_a_column_for_each_test_set():
    rows = frame(root(), child("digits", 0.6), child("letters", 0.25), infer())
    grid = layout_grid(rows)
    ((group, (line,)),) = [(group.heading, group.rows) for group in grid.groups]
    assert group == "[1] Pre-trained on fractals, A, float32"
    titles = [column.title for column in grid.columns]
    told = dict(zip(titles[1:], line[1:], strict=True))
    assert told == {
        "framework": "jax",
        "Image size": "32",
        "Pre-Train Epochs": "7",
        "digits top-1": "60.00",
        "letters top-1": "25.00",
        "ReaL top-1": "—",
        "Avg 5 top-1": "—",
        "Throughput img/sec/core": "100",
        "vcpu core-days": "0.500",
    }


def test_two_results_of_one_set_are_two_lines():
    rows = frame(root(), child(), child(total_steps=7, top1=0.3, cell_id="d"))
    text = layout_table(rows, "github")
    assert "60.00" in text and "30.00" in text and text.count("Mixer-XS/4") == 2
