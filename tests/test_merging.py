"""Merging: each attempt once, conflicts refused, older schemas raised."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import merging, record, results
from bench.cli import app
from bench.errors import ResultsError

ROW = {"machine": "A", "study": "s", "status": "ok", "mode": "infer", "model": "M"}


def write(out, machine, *ids, **values):
    for name in ids:
        row = {**ROW, "attempt_id": name, "machine": machine, **values}
        results.append(row, out)
    return out


def test_two_machines_become_one_file(tmp_path, capsys):
    a = write(tmp_path / "a", "A", "1", "2", samples=[1.0, float("nan")])
    b = write(tmp_path / "b", "B", "3")
    results.append(next(iter(results.read(a).table.to_pylist())), b)
    out = tmp_path / "new" / "both.parquet"
    code = app._run(["merge", str(a), str(b), "-o", str(out)])
    assert code == 0 and "3 rows; 1 stood twice" in capsys.readouterr().out
    merged = results.read(out).table
    assert sorted(merged["attempt_id"].to_pylist()) == ["1", "2", "3"]
    assert set(merged["machine"].to_pylist()) == {"A", "B"}


def test_one_id_with_two_contents_is_refused(tmp_path):
    a = write(tmp_path / "a", "A", "1", top1=0.5)
    b = write(tmp_path / "b", "A", "1", top1=0.6)
    out = tmp_path / "c.parquet"
    with pytest.raises(ResultsError, match=r"attempt 1 stands for two .* in top1"):
        merging.merge([a, b], out)
    assert not out.exists()


def test_nothing_is_overwritten_and_nothing_is_made_of_nothing(tmp_path):
    a = write(tmp_path / "a", "A", "1")
    out = tmp_path / "c.parquet"
    merging.merge([a], out)
    before = out.read_bytes()
    with pytest.raises(ResultsError, match="exists"):
        merging.merge([a], out)
    assert out.read_bytes() == before
    (tmp_path / "none").mkdir()
    with pytest.raises(ResultsError, match="nothing to merge"):
        merging.merge([tmp_path / "none"], tmp_path / "d.parquet")
    with pytest.raises(ResultsError, match="no such file"):
        merging.merge([tmp_path / "absent"], tmp_path / "d.parquet")


def old_file(path, version, lacking):
    """A file as an older version wrote it: its number, and without later columns."""
    table = record.table([{**ROW, "attempt_id": f"v{version}"}])
    kept = table.drop_columns(lacking)
    marked = kept.replace_schema_metadata({"mixer_bench_schema": str(version)})
    pq.write_table(marked, path)
    return path


LATER = {
    1: ["compile_cached", "executor", "sitting_id", "attention_kernel", "peer"],
    4: ["attention_kernel", "peer", "predicted_s"],
    6: ["predicted_s", "predicted_core_days", "predicted_from"],
    7: ["product_dtype"],
}


@pytest.mark.parametrize("version", LATER)
def test_older_schemas_are_raised(version, tmp_path):
    old = old_file(tmp_path / "old.parquet", version, LATER[version])
    new = write(tmp_path / "new", "B", "n")
    out = tmp_path / "both.parquet"
    merging.merge([old, new], out)
    table = pq.read_table(out)
    assert (
        table.schema.metadata[b"mixer_bench_schema"]
        == str(record.SCHEMA_VERSION).encode()
    )
    assert set(table.column_names) == set(record.COLUMNS)
    assert all(table[name][0].as_py() is None for name in LATER[version])


def test_damaged_files_in_a_folder_are_set_aside_and_a_named_one_refused(tmp_path):
    a = write(tmp_path / "a", "A", "1")
    (a / "bad.parquet").write_bytes(b"junk")
    pq.write_table(pa.table({"x": [1]}), a / "foreign.parquet")
    found = merging.merge([a], tmp_path / "c.parquet")
    assert found.rows == 1 and len(found.set_aside) == 2
    with pytest.raises(ResultsError, match="not a parquet file"):
        merging.merge([a / "bad.parquet"], tmp_path / "d.parquet")


def test_the_published_rows_need_no_merging(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a = write(tmp_path / "a", "A", "1")
    with pytest.raises(ResultsError, match=r"ship with.*leave the word out"):
        merging.merge([str(a), "published"], tmp_path / "new.parquet")
    assert not (tmp_path / "new.parquet").exists()


@pytest.mark.parametrize("closed", ["results", "results/A/s"])
def test_a_folder_without_read_right_is_not_an_empty_one(closed, tmp_path, monkeypatch):
    write(tmp_path / "results", "A", "1")
    write(tmp_path / "results", "B", "2")
    listing = os.scandir

    def scandir(path):  # root, as in a container, may read anything
        if Path(path) == tmp_path / closed:
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)
    if closed == "results":
        with pytest.raises(ResultsError, match=r"results: cannot read: Permission den"):
            results.read(tmp_path / "results")
        return
    for reading in (
        results.read(tmp_path / "results"),
        results.read_each([tmp_path / "results"]),
    ):
        assert reading.table["attempt_id"].to_pylist() == ["2"]
        (message,) = reading.set_aside
        assert message.startswith(
            f"{tmp_path / closed}: cannot read: Permission denied"
        )
