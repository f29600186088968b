"""The command that a row tells, in new rows and in old files."""

from __future__ import annotations

import shlex

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import asked, record
from bench.results import read, read_results, write

LINES = [
    ("run studies/a.yaml --out /tmp/x --plots /tmp/y", "run studies/a.yaml"),
    ("run --out=/tmp/x a.yaml --plots=p --reuse any", "run a.yaml --reuse any"),
    (
        "--debug time Mixer-B/16 --out r --batch-size 8",
        "time Mixer-B/16 --batch-size 8",
    ),
    ("run a.yaml --out", "run a.yaml"),
    ("time Mixer-B/16 --output-like x", "time Mixer-B/16 --output-like x"),
]


@pytest.mark.parametrize(("given", "left"), LINES)
def test_where_files_went_is_no_part_of_the_command(given, left):
    assert asked.line(given.split()) == f"mixer-bench {left}"
    assert asked.without_places(f"mixer-bench {given}") == f"mixer-bench {left}"
    assert asked.without_places(f"mixer-bench {left}") == f"mixer-bench {left}"


def test_the_line_can_be_pasted():
    words = ["time", "Mixer-B/16", "--peak", "bf16=989e12:the data sheet; p. 3"]
    assert shlex.split(asked.line(words)) == ["mixer-bench", *words]


def test_rows_of_an_old_file_lose_their_output_folders(tmp_path):
    path, other = tmp_path / "old.parquet", tmp_path / "again.parquet"
    commands = [
        "mixer-bench run a.yaml --out /tmp/lead",
        None,
        "mixer-bench run b.yaml",
    ]
    rows = [{"attempt_id": str(n), "command": c} for n, c in enumerate(commands)]
    write(record.table(rows), path)
    pq.write_table(pq.read_table(path), path)  # as it stands, schema version and all
    expected = ["mixer-bench run a.yaml", None, "mixer-bench run b.yaml"]
    assert read(path).table["command"].to_pylist() == expected
    write(read(path).table, other)
    assert pa.parquet.read_table(other)["command"].to_pylist() == expected


def test_no_committed_row_tells_a_folder_of_whoever_measured_it():
    told = set(read_results("results")["command"].dropna())
    assert told and all(line.startswith("mixer-bench run studies/") for line in told)
    assert not any(option in line for line in told for option in ("--out", "/tmp"))
