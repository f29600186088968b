"""fold, check and status: planted faults are found, sound files pass, nothing moves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import executors, folding, machine, record, results, studies
from bench.cli import app

COMMITTED = Path(__file__).parent.parent / "results" / "amd-epyc-2vcpu"
STUDY = """
question: Two cells
settings: {batch_size: 4}
anchor: null
grids: [{mode: infer, model: [Mixer-XXS/4, ViT-XXS/4], framework: jax, image_size: 16}]
"""


def call(capsys, *arguments):
    capsys.readouterr()
    code = app._run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "_lease_folder", lambda: tmp_path / "lease")
    (tmp_path / "my.yaml").write_text(STUDY)
    return tmp_path


def committed(name="demo_scaling"):
    return results.read_each([COMMITTED / f"{name}.parquet"]).table.to_pylist()


def written(rows, path):
    results.write(record.table(rows), path)
    return path


# check -----------------------------------------------------------------------


def test_the_committed_rows_have_no_fault(capsys, here):
    code, out, err = call(capsys, "check", COMMITTED)
    assert (code, out) == (0, "") and re.search(r"rows: 0 faults$", err.strip())


TRAINED = [
    ("allocated_s", lambda row: row["allocated_s"] + 1, "measured_s + excluded_s"),
    ("core_days_measured", lambda row: row["core_days_measured"] * 2, "86400"),
    ("top1", lambda row: 1.5, "at most 1"),
    ("top1", lambda row: float("nan"), "not a finite number"),
    ("top1", lambda row: None, "is missing in an ok row of pretrain"),
    ("measured_s", lambda row: -1.0, "must be 0 or more"),
    ("seed", lambda row: row["seed"] + 7, "the row's fields give"),
    ("model", lambda row: "Mixer-Z/9", "is no cell"),
    ("param_count", lambda row: row["param_count"] + 1, "has "),
    ("macs", lambda row: row["macs"] + 1, "has "),
    ("family", lambda row: "convnext", "has "),
    ("status", lambda row: "fine", "must be one of ok, oom"),
    ("finished_at", lambda row: row["started_at"].replace(year=2000), "is before"),
    ("attempt_id", lambda row: None, "is missing"),
]
TIMED = [
    ("img_per_sec_core", lambda row: row["img_per_sec"], "img_per_sec / cores"),
    ("step_s", lambda row: row["step_s"] * 2, "median of samples"),
    ("samples", lambda row: [0.0, *row["samples"]], "above 0"),
    ("mfu", lambda row: 1.3, "at most 1"),
    ("ceiling_share", lambda row: row["ceiling_share"] * 3, "ceiling_flop_per_sec"),
    ("cores", lambda row: None, "is missing in an ok row of infer"),
]


@pytest.mark.parametrize(
    "name, column, planted, said",
    [("demo_scaling", *one) for one in TRAINED] + [("peers", *one) for one in TIMED],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_planted_fault_is_one_line_of_its_attempt(
    name, column, planted, said, capsys, here
):
    row = next(r for r in committed(name) if r["role"] == "cell")
    good = written([row], here / "good.parquet")
    assert call(capsys, "check", good)[0] == 0
    bad = written([{**row, column: planted(row)}], here / "bad.parquet")
    code, out, _err = call(capsys, "check", bad)
    assert code == 1
    (line,) = [line for line in out.splitlines() if said in line]
    attempt = planted(row) if column == "attempt_id" else row["attempt_id"]
    assert line.startswith(f"{bad}: " + ("" if attempt is None else f"{attempt}: "))


def test_failed_rows_need_no_numbers(capsys, here):
    row = dict.fromkeys(record.COLUMNS) | {
        name: committed()[0][name]
        for name in ("model", "framework", "mode", "attempt_id", "source", "role")
    }
    row |= {"status": "oom", "source": "an-import"}
    assert call(capsys, "check", written([row], here / "f.parquet"))[0] == 0


def test_an_attempt_that_stands_twice(capsys, here):
    row = committed()[0]
    written([row, row], here / "one.parquet")
    assert "stands in row 0 too" in call(capsys, "check", "one.parquet")[1]
    written([row], here / "a.parquet")
    written([{**row, "note": "edited"}], here / "b.parquet")
    code, out, _ = call(capsys, "check", "a.parquet", "b.parquet")
    assert code == 1 and "stands in a.parquet too, and differs there in note" in out


def test_files_that_cannot_be_read_are_faults_beside_the_others(capsys, here):
    folder = here / "r"
    written(committed()[:2], folder / "good.parquet")
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "torn.parquet").write_bytes(b"PAR1" + bytes(50))
    pq.write_table(pa.table({"x": [1]}), folder / "foreign.parquet")
    newer = pa.table({"x": [1]}).replace_schema_metadata({"mixer_bench_schema": "999"})
    pq.write_table(newer, folder / "newer.parquet")
    odd = pa.table({"cores": ["two"]}).replace_schema_metadata(
        {"mixer_bench_schema": str(record.SCHEMA_VERSION)}
    )
    pq.write_table(odd, folder / "odd.parquet")
    code, out, err = call(capsys, "check", folder, "--format", "json")
    faults = {Path(one["file"]).name: one for one in json.loads(out)}
    assert code == 1 and "6 files, 2 rows: 5 faults" in err
    assert set(faults) == {
        *("empty.parquet", "torn.parquet", "foreign.parquet"),
        *("newer.parquet", "odd.parquet"),
    }
    assert "schema version 999" in faults["newer.parquet"]["fault"]
    assert all(one["column"] == "file" for one in faults.values())


def test_check_of_a_study_counts_and_runs_nothing(capsys, here):
    code, out, err = call(capsys, "check", "my.yaml")
    assert (code, err) == (0, "")
    assert out == "my.yaml: fine: 2 cells (2 infer), 2 measurements, jax\n"
    (here / "bad.yaml").write_text(STUDY.replace("Mixer-XXS/4", "Mixxer"))
    code, out, err = call(capsys, "check", "bad.yaml")
    assert code == 2 and out == "" and "bad.yaml: grids[0].model: " in err
    assert len(err.splitlines()) == 1


# fold ------------------------------------------------------------------------


def attempts(out, count=2):
    rows = committed()[:count]
    for row in rows:
        results.append(row, out)
    return rows


def test_fold_gathers_what_a_killed_run_left(capsys, here):
    rows = attempts(here / "results")
    code, out, _ = call(capsys, "fold", "results", "--format", "json")
    (one,) = json.loads(out)
    assert code == 0 and (one["gathered"], one["waiting"]) == (2, 0)
    assert one["study"] == "demo_scaling"
    (file,) = (here / "results").rglob("*.parquet")
    assert str(file) == one["file"]
    read = results.read(file).table["attempt_id"].to_pylist()
    assert sorted(read) == sorted(row["attempt_id"] for row in rows)
    code, out, _ = call(capsys, "fold", "results")
    assert code == 0 and "nothing to fold" in out


def test_fold_leaves_a_damaged_attempt_and_says_so(capsys, here):
    attempts(here / "results")
    (folder,) = folding.attempt_folders(here / "results")
    torn = folder / "00000000-0000-0000-0000-000000000000.parquet"
    torn.write_bytes(b"PAR1")
    code, _out, err = call(capsys, "fold", "results")
    assert code == 1 and "left: " in err and torn.name in err
    assert torn.exists() and [p.name for p in folder.iterdir()] == [torn.name]


def test_fold_keeps_attempts_where_the_studys_file_is_damaged(capsys, here):
    attempts(here / "results")
    (folder,) = folding.attempt_folders(here / "results")
    folder.with_name("demo_scaling.parquet").write_bytes(b"junk")
    code, _, err = call(capsys, "fold", "results")
    assert code == 1 and "not a parquet file" in err
    assert len(list(folder.iterdir())) == 2


# status ----------------------------------------------------------------------


class Fails:
    """Every ViT fails."""

    def run(self, item):
        if item.cell.model.startswith("ViT"):
            return {"status": "oom", "error_class": "X", "error_message": "too big"}
        rates = {"img_per_sec": 20.0, "img_per_sec_core": 10.0}
        return {"status": "ok", "stop_reason": "time", **rates}


def states(capsys, *arguments):
    code, out, err = call(capsys, "status", *arguments, "--format", "json")
    assert code == 0
    return {one["cell"].split()[1]: one for one in json.loads(out)}, err


def test_status_of_a_study_before_and_after(capsys, here, monkeypatch):
    found, err = states(capsys, "my.yaml")
    assert {one["state"] for one in found.values()} == {"left"}
    assert "2 cells: 2 left; 2 measurements left" in err
    monkeypatch.setattr(executors, "make", lambda name: Fails())
    call(capsys, "run", "my.yaml")
    before = sorted(here.rglob("*"))
    found, err = states(capsys, "my.yaml")
    assert found["Mixer-XXS/4"]["state"] == "finished"
    assert found["Mixer-XXS/4"]["left"] == 0
    assert found["ViT-XXS/4"]["state"] == "failed"
    assert found["ViT-XXS/4"]["note"] == "oom: too big"
    assert sorted(here.rglob("*")) == before


def test_status_tells_the_running_from_the_dead(capsys, here):
    study = studies.load("my.yaml")
    first, second = study.cells
    told = {"study": "my", "cell_id": first.cell_id, "cell": first.label}
    with machine.lease("cpu", folder=here / "lease", told=told):
        assert states(capsys, "my.yaml")[0]["Mixer-XXS/4"]["state"] == "running"
    assert states(capsys, "my.yaml")[0]["Mixer-XXS/4"]["state"] == "left"
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    told = {"pid": dead.pid, "study": "my", "cell_id": second.cell_id}
    (here / "lease" / "cpu.lock").write_text(json.dumps(told))
    found, _ = states(capsys, "my.yaml")
    assert found["ViT-XXS/4"]["state"] == "interrupted"


def test_status_of_results(capsys, here):
    attempts(here / "results", 3)
    code, out, _ = call(capsys, "status", "results", "--format", "json")
    (one,) = json.loads(out)
    assert code == 0 and one["study"] == "demo_scaling"
    assert (one["cells"], one["finished"], one["unfolded"]) == (3, 3, 3)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["check", "nowhere"], "no such file or folder"),
        (["check", "empty"], "holds no parquet file"),
        (["check", "my.yaml", "--format", "xml"], "unknown format 'xml'"),
        (["fold", "nowhere"], "no such folder"),
        (["fold", "my.yaml"], "no such folder"),
        (["status", "nowhere"], "no such file or folder"),
        (["status", "nowhere.yaml"], "no such file; shipped studies"),
        (["status", "empty", "--out", "x"], "--out: goes with a study"),
        (["status", "my.yaml", "--reuse", "some"], "unknown word 'some'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_two(arguments, said, capsys, here):
    (here / "empty").mkdir()
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "") and said in err and len(err.splitlines()) == 1
