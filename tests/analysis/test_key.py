"""What may be compared with what."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.analysis.demo import is_demo
from bench.analysis.key import by_key, key_columns, keys, need, plain, require_one_key
from bench.errors import ResultsError
from bench.record import COLUMNS, table
from bench.results import to_frame


def frame(*rows: dict) -> pd.DataFrame:
    base = {"source": "measured", "machine": "A", "protocol": 1, "dtype": "float32"}
    return to_frame(table([{**base, **row} for row in rows]))


@pytest.mark.parametrize(
    ("metric", "must", "must_not"),
    [
        ("top1", {"eval_dataset", "eval_split", "pretrain_dataset"}, {"machine"}),
        ("img_per_sec_core", {"machine", "core_kind", "mode", "track"}, {"eval_split"}),
        ("core_days", {"machine", "core_kind", "protocol"}, {"mode", "track"}),
    ],
)
def test_what_must_agree_depends_on_the_metric(metric, must, must_not):
    columns = set(key_columns(metric))
    assert must <= columns
    assert not must_not & columns
    assert columns <= set(COLUMNS)


def test_an_unknown_metric_names_the_known_ones():
    with pytest.raises(ResultsError, match=r"unknown metric 'top2'; known: top1, .*"):
        key_columns("top2")


def test_rows_that_agree_pass_and_nulls_agree_with_nulls():
    same = frame({"mode": "infer"}, {"mode": "infer"})
    require_one_key(same, "img_per_sec_core")
    assert len(keys(same, "img_per_sec_core")) == 1


def test_the_refusal_names_the_columns_and_their_values():
    rows = frame(
        {"mode": "infer", "dtype": "float32", "track": None},
        {"mode": "infer", "dtype": "bfloat16", "track": "tuned"},
    )
    with pytest.raises(ResultsError) as caught:
        require_one_key(rows, "img_per_sec_core")
    assert str(caught.value) == (
        "img_per_sec_core of these rows cannot be compared: they differ in "
        "dtype (float32, bfloat16); track (none, tuned); keep one value of each"
    )
    require_one_key(rows, "img_per_sec_core", across=("dtype", "track"))


def test_by_key_splits_without_losing_rows():
    rows = frame({"mode": "infer"}, {"mode": "train"}, {"mode": "infer"})
    parts = list(by_key(rows, "img_per_sec_core"))
    assert [(key["mode"], len(part)) for key, part in parts] == [
        ("infer", 2),
        ("train", 1),
    ]
    assert parts[0][0]["track"] is None
    assert list(by_key(rows.iloc[:0], "top1")) == []


def test_a_missing_column_is_named():
    with pytest.raises(ResultsError, match=r"^the join needs the columns b; read"):
        need(pd.DataFrame({"a": [1]}), ["a", "b"], "the join")


@pytest.mark.parametrize("null", [None, pd.NA, float("nan"), pd.NaT])
def test_every_null_becomes_none(null):
    assert plain(null) is None


def test_plain_keeps_values():
    assert plain(0) == 0
    assert plain([float("nan")]) is not None


@pytest.mark.parametrize(
    ("name", "demo"),
    [
        ("Mixer-XXS/4", True),
        ("Mixer-XXXS/4", True),
        ("ViT-XS/8", True),
        ("BiT-R14x1", True),
        ("BiT-R26x1/4", True),
        ("Mixer-S/32", False),
        ("BiT-R50x1", False),
        ("NFNet-F4+", False),
        ("MPL", False),
    ],
)
def test_demo_sizes_are_known_by_name(name, demo):
    assert is_demo(name) is demo
