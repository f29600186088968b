"""Merging: each attempt once, conflicts refused, older schemas raised."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import merging, record, results
from bench.analysis import verify
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
    with pytest.raises(
        ResultsError,
        match=r"b.*1.parquet: attempt 1 stands otherwise in .*a.*1.parquet.* in top1",
    ):
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


OLDER = Path(__file__).parent / "older"
"""One row of each schema version, as the code of that version wrote it: 1, 4, 7, 8 and
9 were measured, 2, 3, 5 and 6 are such a row in the schema of their day."""
VERSIONS = range(1, record.SCHEMA_VERSION + 1)


def older(version):
    return OLDER / f"v{version}.parquet"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_of_every_version_is_raised_with_its_values(version, tmp_path):
    out = tmp_path / "both.parquet"
    new = write(tmp_path / "new", "B", "n")
    assert merging.merge([older(version), new], out).rows == 2
    merged = pq.read_table(out)
    assert merged.column_names == list(record.COLUMNS)
    version_of = merged.schema.metadata[b"mixer_bench_schema"]
    assert version_of == str(record.SCHEMA_VERSION).encode()
    before, after = pq.read_table(older(version)), merged.slice(0, 1)
    lost = {*before.column_names} - {*merged.column_names}
    assert before.schema.metadata[b"mixer_bench_schema"] == str(version).encode()
    assert lost == set()
    for name in set(before.column_names) - set(record.CHANGED_MEANING):
        (old,), (raised,) = before[name].to_pylist(), after[name].to_pylist()
        assert contained(old, raised), name


def contained(old, raised):
    """Every value of the old row; a nested one may have gained fields."""
    if isinstance(old, dict):
        return all(contained(old[name], raised[name]) for name in old)
    if isinstance(old, list):
        both = zip(old, raised, strict=True)
        return all(contained(*one) for one in both)
    return old == raised or repr(old) == repr(raised)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_cell_of_an_old_row_is_the_cell_of_today(version):
    (row,) = results.read(older(version)).table.to_pylist()
    assert verify.cell_of(row).cell_id == row["cell_id"]


def test_files_of_all_versions_merge_and_a_second_time_add_nothing(tmp_path):
    out = tmp_path / "all.parquet"
    assert merging.merge([OLDER], out).rows == len(VERSIONS)
    again = merging.merge([OLDER, out], tmp_path / "again.parquet")
    assert (again.rows, again.twice) == (len(VERSIONS), len(VERSIONS))


@pytest.mark.parametrize(
    "version, message", [("10", "version 10.*up"), ("x", "not of")]
)
def test_a_file_of_the_future_is_refused_in_one_line(
    version, message, tmp_path, capsys
):
    table = pq.read_table(older(9))
    future = tmp_path / "future.parquet"
    version = str(record.SCHEMA_VERSION + 1) if version == "10" else version
    message = message.replace("10", version)
    pq.write_table(
        table.replace_schema_metadata({"mixer_bench_schema": version}), future
    )
    out = tmp_path / "out.parquet"
    assert app._run(["merge", str(future), "-o", str(out)]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and re.search(message, said)
    assert not out.exists()


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
