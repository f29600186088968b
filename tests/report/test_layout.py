"""Measured rows in the paper's columns, and the BibTeX of what is cited."""

from __future__ import annotations

import csv
import re

import pandas as pd
import pytest

from bench.errors import UserError
from bench.record import table
from bench.report.bib import bibtex, cited
from bench.report.layout import layout_grid, layout_table
from bench.results import read_published, to_frame

BASE = {
    "status": "ok",
    "role": "cell",
    "source": "measured",
    "protocol": 1,
    "machine_id": "m1",
    "machine": "Xeon",
    "environment_id": "e1",
    "core_kind": "vcpu",
    "cores": 2.0,
    "framework": "jax",
    "dtype": "float32",
    "image_size": 32,
    "batch_size": 8,
    "family": "mixer",
    "attempt_id": "x",
}
SPEED = {"mode": "infer", "track": "protocol", "cell_id": "i", "img_per_sec_core": 12.5}
TRAIN = {
    "mode": "pretrain",
    "cell_id": "p",
    "pretrain_dataset": "photos",
    "eval_dataset": "photos",
    "epochs": 7.0,
    "top1": 0.654321,
    "core_days_measured": 0.25,
}


def frame(*rows: dict) -> pd.DataFrame:
    return to_frame(table({**BASE, **row} for row in rows), samples=True)


def lines(rows: pd.DataFrame) -> list[dict[str, str]]:
    grid = layout_grid(rows)
    titles = [column.title or "model" for column in grid.columns]
    return [
        {"pre-training": group.heading, **dict(zip(titles, cells, strict=True))}
        for group in grid.groups
        for cells in group.rows
    ]


def test_data_holds_numbers_and_every_attempt_behind_a_line():
    rows = frame(
        {**TRAIN, "model": "Mixer-S/16", "attempt_id": "t"},
        {**SPEED, "model": "Mixer-S/16", "attempt_id": "s"},
    )
    (line,) = csv.DictReader(layout_table(rows, "csv").splitlines())
    assert float(line["top1 photos"]) == 0.654321
    assert float(line["img_per_sec_core (image/s/core)"]) == 12.5
    assert float(line["core_days (core-day)"]) == 0.25
    assert line["avg5_top1"] == "" and line["core_kind"] == "vcpu"
    assert line["attempt_ids"].split(";") == ["t", "s"]


def test_the_columns_are_those_of_table_3_and_missing_parts_are_dashes():
    rows = frame(
        {**TRAIN, "model": "Mixer-S/16"},
        {**SPEED, "model": "Mixer-S/16"},
        {**TRAIN, "model": "ViT-S/16", "cell_id": "q"},
        {**SPEED, "model": "BiT-R50x1", "cell_id": "j"},
    )
    made = {row["model"]: row for row in lines(rows)}
    groups = {name: row["pre-training"][4:] for name, row in made.items()}
    assert groups["Mixer-S/16"] == groups["ViT-S/16"]
    assert groups["Mixer-S/16"] == "Pre-trained on photos, Xeon, float32"
    assert groups["BiT-R50x1"] == "Not trained here, Xeon, float32"
    assert made["Mixer-S/16"] == {
        "pre-training": made["ViT-S/16"]["pre-training"],
        "model": "Mixer-S/16",
        "framework": "jax",
        "Image size": "32",
        "Pre-Train Epochs": "7",
        "photos top-1": "65.43",
        "ReaL top-1": "—",
        "Avg 5 top-1": "—",
        "Throughput img/sec/core": "12.5",
        "vcpu core-days": "0.250",
    }
    assert made["ViT-S/16"]["Throughput img/sec/core"] == "—"
    assert made["ViT-S/16"]["photos top-1"] == "65.43"
    assert made["BiT-R50x1"]["photos top-1"] == "—"


def test_two_ways_of_timing_never_share_a_group():
    rows = frame(
        {**SPEED, "model": "Mixer-S/16"},
        {**SPEED, "model": "ViT-S/16", "cell_id": "j", "input": "h2d"},
    )
    assert len({row["pre-training"] for row in lines(rows)}) == 2


def test_published_rows_are_not_filled_in():
    rows = pd.concat([read_published(), frame({**SPEED, "model": "Mixer-B/16"})])
    assert len(lines(rows)) == 1
    with pytest.raises(UserError, match="no finished measured row among these"):
        layout_table(read_published())


def test_every_key_that_a_published_row_carries_has_an_entry():
    keys = cited(read_published())
    text = bibtex(keys)
    assert re.findall(r"@\w+\{(\w+),", text) == keys
    assert len(keys) == 4 and text.count("{") == text.count("}")


def test_an_unknown_key_is_named():
    with pytest.raises(UserError, match="no BibTeX entry for nobody2020; known: tol"):
        bibtex(["nobody2020"])
