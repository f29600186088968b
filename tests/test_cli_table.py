"""`mixer-bench table` on selections: what is kept, in which order, what is refused."""

from __future__ import annotations

import csv
import json
import re

import pytest

from bench.cli import app


def call(capsys, *arguments):
    capsys.readouterr()
    code = app._run(["table", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_selection_is_one_comparison_table(capsys):
    code, out, _ = call(
        capsys,
        "published",
        *("--where", "table=mixer-table3", "--where", "family=mixer"),
        *("--sort", "top1", "--format", "json"),
    )
    rows = json.loads(out)["rows"]
    assert code == 0 and {row["model"].split("-")[0] for row in rows} == {"Mixer"}
    jft = [row for row in rows if row["pretrain_dataset"] == "JFT-300M"]
    assert all("trained on JFT-300M" in row["group"] for row in jft)
    scores = [row["top1"] for row in jft]
    assert scores == sorted(scores, reverse=True)
    assert all(row["attempt_ids"][0].startswith("published:") for row in rows)


def test_training_rows_of_timm_stand_apart(capsys):
    _, out, _ = call(
        capsys, "published", "--where", "machine=RTX 3090", "--format", "github"
    )
    assert "training" in out and "inference" in out and "**13,811**" in out


def test_bibtex_alone(capsys):
    code, out, _ = call(capsys, "published", "--bib")
    assert code == 0 and out.startswith("@inproceedings{tolstikhin2021mixer,")
    _, out, _ = call(capsys, "published", "--bib", "--where", "table=timm")
    keys = re.findall(r"@\w+\{(\w+),", out)
    assert keys == ["tolstikhin2021mixer", "rw2019timm"]


def test_without_a_selection_the_papers_tables_and_the_rest_are_one_document(capsys):
    _, out, _ = call(capsys, "published", "--format", "json")
    rows = json.loads(out)["rows"]  # it parses: several tables, one document
    tables = [row.get("table") for row in rows]
    assert tables.count("mixer-table2") == 10 and tables.count("mixer-table3") == 26
    _, out, _ = call(capsys, "published", "--format", "csv")
    lines = list(csv.DictReader(out.splitlines()))
    assert len(lines) == len(rows) and len({len(line) for line in lines}) == 1


BAD = [
    (["--where", "family"], "--where: 'family': give column=value"),
    (["--where", "familly=vit"], "unknown column 'familly'.*did you mean 'family'"),
    (["--where", "family=resnext"], "no row has family=resnext; present: attention"),
    (["--where", "family=vit", "--where", "family=mixer"], "family is given twice"),
    (["--where", "image_size=big"], "image_size=big: give a number"),
    (["--format", "xml"], "--format: unknown format 'xml'; known: table, github"),
    (["--sort", "speed"], "--sort: unknown column 'speed'"),
    (["--layout", "ieee"], "--layout: unknown layout 'ieee'; known: comparison, paper"),
    (["--layout", "paper"], "no finished measured row"),
    (["--layout", "paper", "--sort", "top1"], "takes neither --baseline nor --sort"),
    (["--baseline", "Mixer-B/16"], "printed as they stand"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=lambda v: " ".join(v[:4]))
def test_bad_input_is_one_line_exit_2(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, "published", *arguments)
    assert code == 2 and re.search(message, err), err
    assert len(err.strip().splitlines()) == 1 and err.startswith("mixer-bench: ")
    assert out == "" and not list(tmp_path.iterdir())


def test_a_condition_on_no_rows_is_one_line(capsys, tmp_path):
    code, out, err = call(capsys, str(tmp_path), "--where", "mode=infer")
    assert (code, out) == (2, "")
    assert err.strip() == "mixer-bench: --where: no row has mode=infer; present: none"
