"""`mixer-bench pareto`: frontiers in any two columns, inside one key."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.cli import app
from bench.record import table
from bench.results import write


def call(capsys, *arguments):
    capsys.readouterr()
    code = app._run(["pareto", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def rows_of(capsys, *arguments):
    code, out, _ = call(capsys, *arguments, "--format", "json")
    assert code == 0
    return json.loads(out)["rows"]


RESULTS = Path(__file__).parent.parent / "results"
TABLE_2 = ("published", "--where", "table=mixer-table2")
TABLE_3 = ("published", "--where", "table=mixer-table3")
JFT = (*TABLE_3, "--where", "pretrain_dataset=JFT-300M", "--where", "image_size=224")


def test_the_frontier_of_throughput_is_that_of_the_papers_table(capsys):
    rows = rows_of(capsys, *JFT, "--x", "img_per_sec_core")
    on_it = [row["label"] for row in rows if row["dominated_by"] is None]
    assert on_it == [
        *("ViT-H/14", "Mixer-H/14", "ViT-L/16", "Mixer-L/16, 14 epochs"),
        *("Mixer-L/32", "Mixer-B/16", "Mixer-B/32", "Mixer-S/32"),
    ]
    beaten = {row["label"]: row for row in rows}["BiT-R50x1"]
    assert beaten["dominated_by"] == "Mixer-B/32"
    assert beaten["x_ratio"] == pytest.approx(4208 / 2159)
    assert beaten["y_gap"] == pytest.approx(0.7553 - 0.7369)


@pytest.mark.parametrize("x", ["core_days", "img_per_sec_core"])
@pytest.mark.parametrize("rows", ["published", str(RESULTS)])
def test_whoever_dominates_is_named_so_that_one_point_bears_the_name(capsys, rows, x):
    found = rows_of(capsys, rows, "--x", x)
    for group in {row["group"] for row in found}:
        labels = [row["label"] for row in found if row["group"] == group]
        assert len(set(labels)) == len(labels)
        rivals = {row["dominated_by"] for row in found if row["group"] == group}
        assert rivals - {None} <= set(labels)


def test_a_printed_figure_has_the_digits_of_the_print(capsys):
    _, out, _ = call(capsys, *TABLE_2, "--where", "pretrain_dataset=JFT-300M")
    assert re.search(r"Mixer-H/14@448 +JFT-300M +1,010 ", out)
    _, out, _ = call(capsys, *JFT)
    assert re.search(r"Mixer-S/32 +JFT-300M +10 +68.70", out)


def test_pre_training_sets_stand_apart_unless_across(capsys):
    apart = rows_of(capsys, *TABLE_2)
    sets = {}
    for row in apart:
        sets.setdefault(row["group"], set()).add(row["pretrain_dataset"])
    assert all(len(found) == 1 for found in sets.values()) and len(sets) > 1
    together = rows_of(capsys, *TABLE_2, "--across", "pretrain_dataset")
    assert len({row["group"] for row in together}) == 1
    assert len(together) == len(apart)
    on_it = {row["label"] for row in together if row["dominated_by"] is None}
    assert on_it == {"HaloNet", "Mixer-H/14@448", "NFNet-F4+", "MPL"}  # and no ViT
    _, out, _ = call(capsys, *TABLE_2, "--across", "pretrain_dataset")
    assert "Points of a group may differ in pretrain_dataset." in out


def test_either_end_of_either_column_may_be_wanted(capsys):
    worst = ("--x-better", "lower", "--y-better", "lower")
    rows = rows_of(capsys, *JFT, "--x", "img_per_sec_core", *worst)
    on_it = [row["label"] for row in rows if row["dominated_by"] is None]
    assert on_it[0] == "ViT-H/14" and on_it[-1] == "Mixer-S/32"
    assert "Mixer-H/14" not in on_it  # faster and better than BiT-R200x3
    assert all(row["y_gap"] is None or row["y_gap"] >= 0 for row in rows)


def test_a_parameter_count_is_exact_and_belongs_to_no_key(capsys):
    rows = rows_of(capsys, *JFT, "--x", "param_count")
    small = {row["label"]: row for row in rows}["Mixer-S/16"]
    assert small["param_count"] == 18_528_264
    assert (small["p_on_frontier"], small["dominated_by"]) == (1.0, None)


def test_two_machines_of_one_name_are_two_groups_and_others_code_is_left_out(
    capsys, tmp_path
):
    def row(machine, model, rate, **values):
        made = {"status": "ok", "role": "cell", "source": "measured", "protocol": 1}
        made |= {"machine_id": machine, "machine": "ours", "core_kind": "vcpu"}
        made |= {"environment_id": "e", "mode": "infer", "framework": "torch"}
        made |= {
            "model": model,
            "img_per_sec_core": rate,
            "param_count": 7,
            "cores": 1.0,
        }
        made |= {"cell_id": f"{model} {values}", "dtype": "float32", "batch_size": 8}
        made |= {"cores": 1.0}
        made |= {"attempt_id": f"{machine} {model} {values}", "repetition": 0}
        return {**made, "image_size": 224, "samples": [1.0], **values}

    rows = [
        row("a", "Mixer-B/16", 3.0),
        row("a", "Mixer-B/16", 9.0, peer="timm"),
        row("a", "Mixer-B/16", 8.0, tied_token_mixing=False),
        row("b", "ViT-B/16", 2.0),
    ]
    write(table(rows), tmp_path / "two.parquet")
    file, x = str(tmp_path / "two.parquet"), "img_per_sec_core"
    found = rows_of(capsys, file, "--x", x, "--y", "param_count")
    assert [(one["model"], one[x]) for one in found] == [
        ("Mixer-B/16", 3.0),
        ("ViT-B/16", 2.0),
    ]
    assert len({one["group"] for one in found}) == 2
    assert all(one["dominated_by"] is None for one in found)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("published", "--x", "colour"), "--x: unknown column 'colour'"),
        (("published", "--y", "core_days"), "--y: core_days: is x too"),
        (("published", "--x-better", "best"), "--x-better: unknown end 'best'"),
        (("published", "--across", "colour"), "--across: unknown key column 'colour'"),
        (("published", "--format", "pdf"), "--format: unknown format 'pdf'"),
        (("published", "--where", "model=ViT-Ti/16"), "no model has both core_days"),
        (("nowhere",), "no such file"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_2(arguments, message, capsys):
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err and len(err.strip().splitlines()) == 1
