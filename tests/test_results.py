import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import record, results
from bench.errors import ResultsError
from bench.history import History
from bench.specs import Cell, WorkItem

CELL = Cell(mode="infer", model="Mixer-B/16", framework="jax", batch_size=8)


def attempt(**values):
    return {
        "attempt_id": str(uuid.uuid4()),
        "cell_id": CELL.cell_id,
        "repetition": 0,
        "role": "cell",
        "machine": "box",
        "machine_id": "m1",
        "environment_id": "e1",
        "study": "s",
        "protocol": 1,
        "status": "ok",
        "source": "measured",
        "mode": "infer",
        "framework": "jax",
        "batch_rule": "fixed",
        "executor": "process",
        "stop_reason": "time",
        "precision_goal": 0.02,
        "window_goal_s": 10.0,
        "samples": [0.1, 0.2],
        **values,
    }


def history(out, **change):
    same = {"protocol": 1, "machine_id": "m1", "environment_id": {"jax": "e1"}}
    return History(out, **{**same, **change})


def test_append_read_fold_keep_every_row_and_its_samples(tmp_path):
    rows = [attempt(repetition=r, samples=[float(r)] * 3) for r in range(4)]
    for values in rows:
        results.append(values, tmp_path)
    assert len(list(tmp_path.rglob("*.parquet"))) == 4
    target = results.fold(tmp_path, "box", "s")
    assert list(tmp_path.rglob("*.parquet")) == [target]
    frame = results.read_results(target, samples=True)
    found = dict(zip(frame["attempt_id"], frame["samples"], strict=True))
    assert {k: list(v) for k, v in found.items()} == {
        row["attempt_id"]: row["samples"] for row in rows
    }


def test_fold_again_adds_to_the_file(tmp_path):
    results.append(attempt(), tmp_path)
    results.fold(tmp_path, "box", "s")
    results.append(attempt(), tmp_path)
    target = results.fold(tmp_path, "box", "s")
    assert len(results.read(target).table) == 2
    assert results.fold(tmp_path, "box", "s") == target


def test_a_field_that_an_old_file_lacks_had_its_default(tmp_path):
    """Else the same cell, measured before and after, would be two settings."""
    results.append(attempt(), tmp_path)
    results.append(attempt(source="published"), tmp_path)
    target = results.fold(tmp_path, "box", "s")
    pq.write_table(pq.read_table(target).drop(["dropout", "decay", "probe"]), target)
    rows = {row["source"]: row for row in results.read(tmp_path).table.to_pylist()}
    found = [rows["measured"][name] for name in ("dropout", "decay", "probe")]
    assert found == [Cell.dropout, Cell.decay, None] == [0.0, "decoupled", None]
    assert rows["published"]["dropout"] is None


def test_fold_leaves_a_damaged_attempt_where_it_is(tmp_path):
    path = results.append(attempt(), tmp_path)
    results.append(attempt(), tmp_path)
    path.write_bytes(b"PAR1 cut short")
    target = results.fold(tmp_path, "box", "s")
    assert len(results.read(target).table) == 1
    assert path.exists()


@pytest.mark.parametrize("kind", ["damaged", "newer"])
def test_fold_never_replaces_a_file_it_cannot_read(kind, tmp_path):
    results.append(attempt(), tmp_path)
    target = results.fold(tmp_path, "box", "s")
    target.write_bytes(b"PAR1 cut") if kind == "damaged" else newer(target)
    before, part = target.read_bytes(), results.append(attempt(), tmp_path)
    with pytest.raises(ResultsError, match=r"cannot read|schema version"):
        results.fold(tmp_path, "box", "s")
    assert target.read_bytes() == before and part.exists()


def test_folds_at_the_same_time_lose_nothing(tmp_path):
    def add_and_fold(_):
        for _ in range(5):
            results.append(attempt(), tmp_path)
            results.fold(tmp_path, "box", "s")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_and_fold, range(4)))
    assert len(results.read(tmp_path / "box" / "s.parquet").table) == 20


def test_a_study_with_a_dot_in_its_name_is_found_after_a_fold(tmp_path):
    listed = [results.append(attempt(study="v1.2"), tmp_path)]
    results.fold(tmp_path, "box", "v1.2")
    assert len(results.read_files(listed).table) == 1


def test_an_attempt_is_never_overwritten(tmp_path):
    values = attempt()
    results.append(values, tmp_path)
    with pytest.raises(ResultsError, match="File exists"):
        results.append({**values, "status": "failed"}, tmp_path)
    assert results.read(tmp_path).table["status"].to_pylist() == ["ok"]


def test_a_crash_between_write_and_link_leaves_no_row(tmp_path, monkeypatch):
    def no_link(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(results.os, "link", no_link)
    with pytest.raises(ResultsError, match="Input/output error"):
        results.append(attempt(), tmp_path)
    assert list(tmp_path.rglob("*.parquet")) == []
    assert list(tmp_path.rglob("*.tmp")) == []


def test_a_copied_attempt_counts_once(tmp_path):
    path = results.append(attempt(), tmp_path)
    (tmp_path / "copy.parquet").write_bytes(path.read_bytes())
    assert len(results.read(tmp_path).table) == 1


def foreign(path: Path):
    pq.write_table(pa.table({"x": [1]}), path)


def newer(path: Path):
    table = record.table([attempt()])
    pq.write_table(table.replace_schema_metadata({"mixer_bench_schema": "99"}), path)


BAD_FILES = [
    (lambda path: path.write_bytes(b"\x00\xff" * 99), "not a parquet file"),
    (lambda path: path.write_bytes(b"PAR1" + b"\x00" * 50), "cannot read"),
    (lambda path: path.write_bytes(b""), "not a parquet file"),
    (foreign, "not of mixer-bench"),
    (newer, "schema version 99"),
    (lambda path: None, "no such file"),
]


@pytest.mark.parametrize("make, message", BAD_FILES)
def test_a_named_bad_file_is_refused_in_one_line(make, message, tmp_path):
    path = tmp_path / "bad.parquet"
    make(path)
    with pytest.raises(ResultsError, match=message) as caught:
        results.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("make, message", BAD_FILES[:-1])
def test_a_bad_file_in_a_folder_is_set_aside(make, message, tmp_path):
    results.append(attempt(), tmp_path)
    make(tmp_path / "bad.parquet")
    reading = results.read(tmp_path)
    assert len(reading.table) == 1
    assert len(reading.set_aside) == 1 and message in reading.set_aside[0]


def test_a_file_that_vanishes_into_a_fold_is_still_read(tmp_path):
    path = results.append(attempt(), tmp_path)
    listed = [path]
    results.fold(tmp_path, "box", "s")  # another process folds between list and read
    assert len(results.read_files(listed).table) == 1


def test_an_old_file_lacks_columns_that_read_as_null(tmp_path):
    table = record.table([attempt()]).drop_columns(["core_kind", "samples"])
    pq.write_table(table, tmp_path / "old.parquet")
    read = results.read(tmp_path / "old.parquet").table
    assert read.schema.equals(record.SCHEMA)
    assert read["core_kind"].to_pylist() == [None]


def test_an_old_ceiling_was_another_and_reads_as_null(tmp_path):
    table = record.table([attempt(ceiling_share=0.9)])
    for version, share in (("3", None), ("4", 0.9)):
        path = tmp_path / f"{version}.parquet"
        pq.write_table(
            table.replace_schema_metadata({"mixer_bench_schema": version}), path
        )
        assert results.read(path).table["ceiling_share"].to_pylist() == [share]


def test_units_travel_in_the_file(tmp_path):
    schema = pq.read_schema(results.append(attempt(), tmp_path))
    assert schema.field("img_per_sec_core").metadata[b"unit"] == b"image/s/core"
    assert schema.field("core_days_measured").metadata[b"unit"] == b"core-day"


ITEM = WorkItem(cell=CELL)


@pytest.mark.parametrize(
    "row, where, finished",
    [
        ({}, {}, True),
        ({"status": "failed"}, {}, False),
        ({"repetition": 1}, {}, False),
        ({"role": "anchor"}, {}, False),
        ({}, {"protocol": 2}, False),
        ({}, {"machine_id": "m2"}, False),
        ({}, {"environment_id": {"jax": "e2"}}, False),
        # Training rows carry core-days: those of another machine are not ours.
        ({"mode": "pretrain"}, {"machine_id": "m2"}, False),
        ({}, {"environment_id": {"jax": "e2"}, "reuse": "machine"}, True),
        ({}, {"machine_id": "m2", "reuse": "machine"}, False),
        ({}, {"machine_id": "m2", "reuse": "any"}, True),
        # A hurried row does not stand in for a careful one.
        ({"window_goal_s": 1.0}, {}, False),
        ({"window_goal_s": 1.0, "stop_reason": "precision"}, {}, True),
        (
            {"window_goal_s": 1.0, "stop_reason": "precision", "precision_goal": 0.05},
            {},
            False,
        ),
        ({"executor": "inline"}, {}, False),
    ],
    ids=str,
)
def test_what_counts_as_finished(row, where, finished, tmp_path):
    results.append(attempt(**row), tmp_path)
    assert history(tmp_path, **where).is_finished(ITEM) is finished


def test_failed_until_a_later_attempt_is_ok(tmp_path):
    results.append(attempt(status="oom"), tmp_path)
    assert history(tmp_path).has_failed(ITEM)
    results.append(attempt(), tmp_path)
    assert not history(tmp_path).has_failed(ITEM)


def test_later_repetitions_take_the_batch_that_the_pilot_picked(tmp_path):
    assert history(tmp_path).picked_batch(ITEM) is None
    results.append(attempt(batch_rule="auto", batch_size=64), tmp_path)
    assert history(tmp_path).picked_batch(ITEM) == 64


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(ResultsError, match="is a file"):
        results.check_writable(blocker)
    with pytest.raises(ResultsError, match="cannot write"):
        results.check_writable(blocker / "below")


def test_checking_leaves_nothing_behind(tmp_path):
    results.check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_schema_one_reads_with_nulls_for_what_is_new(tmp_path):
    new = ["sitting_id", "timer", "mfu", "energy_j", "throttled_by"]
    table = record.table([attempt()]).drop_columns(new)
    table = table.replace_schema_metadata({"mixer_bench_schema": "1"})
    pq.write_table(table, tmp_path / "old.parquet")
    (row,) = results.read(tmp_path / "old.parquet").table.to_pylist()
    assert [row[name] for name in new] == [None] * len(new)
    frame = results.read_results(tmp_path / "old.parquet")
    assert frame["anchor_drift"].isna().all()
