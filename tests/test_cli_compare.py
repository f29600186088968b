"""`mixer-bench compare` as a user meets it."""

from __future__ import annotations

import csv
import json
import re

import pytest

from bench.cli import app
from bench.results import append

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
    "mode": "infer",
    "model": "Mixer-B/16",
    "framework": "torch",
    "dtype": "float32",
    "image_size": 224,
    "track": "protocol",
    "input": "resident",
    "batch_rule": "fixed",
    "batch_size": 8,
    "git_sha": "aaaa1111",
}


def write(out, study, factor=1.0, **values):
    for r in range(5):
        made = {
            "attempt_id": f"{study}-{r}",
            "repetition": r,
            "img_per_sec_core": factor * (100 + 0.1 * r),
            "study": study,
        }
        append({**BASE, **made, **values}, out)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a", "one")
    write(tmp_path / "b", "two", 0.9, git_sha="bbbb2222", environment_id="e2")
    (tmp_path / "junk.bin").write_bytes(bytes(range(256)))
    return tmp_path


def call(capsys, *arguments):
    capsys.readouterr()
    code = app._run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_nothing_changed_is_0_and_slower_is_1(capsys, here):
    write(here / "c", "three")
    code, out, _ = call(capsys, "compare", "a", "c")
    assert code == 0 and "1 same; 0 regressions beyond 2 %" in out
    assert "same code, versions, flags and machine" in out
    code, out, _ = call(capsys, "compare", "a", "b")
    assert code == 1 and "1 slower; 1 regression beyond 2 %" in out
    assert out.index("git_sha") < out.index("slower")
    assert call(capsys, "compare", "b", "a")[0] == 0


@pytest.mark.parametrize("sides", [("a", "a"), ("both", "b"), ("a", "both")])
def test_a_row_on_both_sides_is_refused(capsys, here, sides):
    call(capsys, "merge", "a", "b", "-o", "both.parquet")
    names = ["both.parquet@environment_id=e1" if n == "both" else n for n in sides]
    if sides == ("both", "b"):
        names[0] = "both.parquet@environment_id=e2"
    code, out, err = call(capsys, "compare", *names)
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert "A and B share 5 of B's 5 attempts" in err and "apart, as in" in err


def test_the_accepted_slowdown_decides_the_exit_code(capsys, here):
    assert call(capsys, "compare", "a", "b", "--max-slowdown", "15%")[0] == 0
    assert call(capsys, "compare", "a", "b", "--max-slowdown", "0.05")[0] == 1
    code, out, _ = call(capsys, "compare", "a", "b", "--min-effect", "15%")
    assert code == 0 and "1 same" in out


def test_two_commits_of_one_folder(capsys, here):
    write(here / "both", "one")
    write(here / "both", "two", 0.9, git_sha="bbbb2222")
    code, out, _ = call(capsys, "compare", "both@git_sha=aaaa", "both@git_sha=bbbb")
    assert code == 1 and re.search(r"git_sha +aaaa1111 +bbbb2222", out)


def test_two_machines_only_by_name(capsys, here):
    write(here / "both", "one")
    write(here / "both", "two", 2.0, machine="EPYC", machine_id="m2")
    arguments = ["both@machine=Xeon", "both@machine=EPYC"]
    assert call(capsys, "compare", *arguments)[0] == 0
    write(here / "c", "two", 2.0, machine="EPYC", machine_id="m2")
    code, _, err = call(capsys, "compare", "a", "c")
    assert code == 2 and "differ in machine_id (m1, m2)" in err


def test_the_formats(capsys, here):
    code, out, _ = call(capsys, "compare", "a", "b", "--format", "json")
    found = json.loads(out)
    (cell,) = found["cells"]
    assert code == 1 and cell["verdict"] == "slower" and cell["regression"] is True
    assert cell["ratio"] == pytest.approx(0.9)
    assert cell["geomean_b"] / cell["geomean_a"] == pytest.approx(cell["ratio"])
    assert found["differences"] == [
        {"what": "git_sha", "a": "aaaa1111", "b": "bbbb2222"}
    ]
    _, out, _ = call(capsys, "compare", "a", "b", "--format", "csv")
    (row,) = csv.DictReader(out.splitlines())
    assert row["verdict"] == "slower" and float(row["high"]) < 0.92
    _, out, _ = call(capsys, "compare", "a", "b", "--format", "github")
    assert out.startswith("| differs") and "| slower" in out
    assert "A and B: geometric means of images/s/core over n repetitions" in out


def test_the_columns_divide_to_the_ratio(capsys, here):
    """Medians would say 2 and 1, beside a ratio of one."""
    for name, rates in {"even": [2] * 5, "odd": [1, 1, 1, 1, 32]}.items():
        for r, rate in enumerate(rates):
            row = {"attempt_id": f"{name}-{r}", "repetition": r, "study": name}
            append({**BASE, **row, "img_per_sec_core": float(rate)}, here / name)
    _, out, _ = call(capsys, "compare", "even", "odd", "--format", "github")
    line = next(line for line in out.splitlines() if "Mixer-B/16" in line)
    assert [cell.strip() for cell in line.split("|")][3:6] == ["2.00", "2.00", "1.000x"]


TF32 = {"effective_precision": "tf32"}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (TF32, "computed in different precision: float32 and tf32 (1)"),
        ({"img_per_sec_core": 0.0}, "B holds a rate that is missing or not positive"),
    ],
)
def test_where_every_cell_is_invalid_nothing_was_compared(values, reason, capsys, here):
    write(here / "c", "three", effective_precision="float32")
    write(here / "d", "four", **values)
    code, out, err = call(capsys, "compare", "c", "d")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert "nothing could be compared, no common cell has a ratio" in err
    assert reason in err
    for name, side in (("c", "one"), ("d", "two")):  # one cell that says something
        write(here / name, side, model="ViT-B/16")
    code, out, _ = call(capsys, "compare", "c", "d")
    assert code == 0 and "1 same, 1 invalid; 0 regressions" in out


def test_without_any_interval_a_slowdown_does_not_pass(capsys, here):
    write(here / "c", "three", 0.5)
    code, out, err = call(capsys, "compare", "a", "c@repetition=0")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
    assert "n=5 and n=1: an interval needs 5 repetitions a side (1)" in err


def test_what_only_fails_in_b_is_a_regression_though_nothing_was_compared(capsys, here):
    write(here / "c", "three", status="oom")
    code, out, _ = call(capsys, "compare", "a", "c")
    assert code == 1 and "1 invalid; 1 regression" in out
    assert call(capsys, "compare", "c", "a")[0] == 2


def test_the_help_states_the_exit_codes(capsys):
    _, out, _ = call(capsys, "compare", "--help")
    assert "Exit code: 0 no regression; 1 a cell of B" in " ".join(out.split())


BAD = [
    (["a"], "Missing argument"),
    (["a", "nowhere"], "no such file"),
    (["a", "junk.bin"], "not a parquet file"),
    (["a", "published"], "no timed cell in common"),
    (["a", "b", "--format", "latex"], "unknown format 'latex'; known: table, github"),
    (["a", "b", "--max-slowdown", "much"], "--max-slowdown: 'much': give a share"),
    (["a", "b", "--max-slowdown", "0%"], "between 0% and 100%"),
    (
        ["a", "b", "--max-slowdown", "1%"],
        "1%: below --min-effect .2%..*--min-effect 1%",
    ),
    (["a", "b", "--min-effect", "nan"], "between 0% and 100%"),
    (["a@gitsha=1", "b"], "unknown column 'gitsha'.*did you mean 'git_sha'"),
    (["a@git_sha", "b"], "give column=value"),
    (["a@git_sha=aa", "b"], "give 4 characters or more"),
    (["a@git_sha=cccc", "b"], "no row has git_sha=cccc; present: aaaa1111"),
    (["a@cores=two", "b"], "cores=two: give a number"),
    (["a@git_dirty=maybe", "b"], "give true or false"),
    (["a@cores=2,cores=2", "b"], "given twice"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=lambda v: " ".join(v[:4]))
def test_bad_input_is_one_line_exit_2(arguments, message, capsys, here):
    before = sorted(here.rglob("*"))
    code, out, err = call(capsys, "compare", *arguments)
    assert code == 2 and re.search(message, err), err
    assert len(err.strip().splitlines()) == 1 and err.startswith("mixer-bench: ")
    assert out == "" and sorted(here.rglob("*")) == before
