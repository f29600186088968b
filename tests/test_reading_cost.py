"""What keeps the reading verbs fast, counted rather than timed."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import record, results
from bench.analysis import drift, join
from bench.analysis.columns import sample_medians
from bench.analysis.key import numbered
from bench.cli import app
from bench.plots import gallery, remember

HEAVY = "{'matplotlib', 'scipy', 'pandas', 'sklearn', 'pyarrow', 'jax', 'torch'}"


def loaded(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sorted({HEAVY} & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


ASKED = "from bench.cli import app; app._run(['{}', '--help'])"
READ = {"pandas", "pyarrow"}
MAY_LOAD = [
    ("import bench.cli.app", set()),
    ("from bench.cli import app; app._run(['--version'])", set()),
    (ASKED.format("table"), {"pandas", "pyarrow"}),
    (ASKED.format("plot"), set()),
    (ASKED.format("run"), {"pyarrow", "pandas"}),
    ("from bench.cli import app; app._run(['table', 'published'])", READ),
    ("from bench.cli import app; app._run(['claims'])", {*READ, "scipy"}),
    ("from bench.plots import gallery; gallery.begin()", set()),
]


@pytest.mark.parametrize(
    "statement, most", MAY_LOAD, ids=[statement[-30:] for statement, _ in MAY_LOAD]
)
def test_a_verb_imports_what_it_needs(statement, most):
    assert loaded(statement) <= most


@pytest.fixture
def columns_read(monkeypatch):
    """Nested columns that are taken from parquet files."""
    seen: set[str] = set()
    plainly = pq.ParquetFile.read

    def read(self, columns=None, **options):
        held = self.schema_arrow.names if columns is None else columns
        seen.update(set(held) & set(record.NESTED))
        return plainly(self, columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read", read)
    return seen


@pytest.fixture
def rows_file(tmp_path):
    file = tmp_path / "rows.parquet"
    row = {"attempt_id": "a", "status": "failed", "role": "cell", "mode": "infer"}
    pq.write_table(record.table([{**row, "samples": [1.0]}]), file)
    return file


NESTED_OF = {
    "table": join.NESTED,
    "claims": join.NESTED,
    "plot": gallery.NESTED,
    "fit": (),
    "compare": record.NESTED,  # it says in what the sides differ
}


@pytest.mark.parametrize("verb", NESTED_OF)
def test_a_verb_reads_the_nested_columns_that_it_needs(
    verb, rows_file, columns_read, tmp_path
):
    extra = [str(rows_file)] * (verb == "compare")
    extra += ["--out", str(tmp_path / "plots"), "--figure", "data_scale"] * (
        verb == "plot"
    )
    app._run([verb, str(rows_file), *extra])
    assert columns_read == set(NESTED_OF[verb])


def test_a_frame_without_samples_reads_nothing_nested(rows_file, columns_read):
    assert "samples" not in results.read_results(rows_file)
    assert columns_read == set()
    assert list(results.read_results(rows_file, samples=True)["samples"][0]) == [1.0]


@pytest.mark.parametrize("nested", [(), ("curve",)])
def test_rows_of_every_kind_have_the_columns_asked_for(rows_file, tmp_path, nested):
    empty = tmp_path / "empty"
    empty.mkdir()
    given = [rows_file, "published", empty]
    kept = [n for n in record.COLUMNS if n in nested or n not in record.NESTED]
    for paths in (given, empty, []):
        assert results.read(paths, nested).table.column_names == kept


def test_the_check_above_can_fail():
    assert "scipy" in loaded("import scipy")


WORDS = st.one_of(st.none(), st.sampled_from(["a", "b", "c"]))
NUMBERS = st.one_of(st.none(), st.integers(0, 2))


@given(st.lists(st.tuples(WORDS, NUMBERS, NUMBERS), max_size=30))
def test_groups_are_numbered_as_groupby_numbers_them(rows):
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    types = [pa.string(), pa.int64(), pa.float64()]
    frame = pd.DataFrame(
        {
            name: pd.Series(list(column), dtype=pd.ArrowDtype(kind))
            for name, column, kind in zip("xyz", columns, types, strict=True)
        }
    )
    by = frame.groupby(["x", "y", "z"], dropna=False, sort=False).ngroup()
    assert numbered(frame, ["x", "y", "z"]).tolist() == by.tolist()


UNKNOWN = [1.0, 2.0, float("nan")]
SAMPLES = [[1.0, 2.0], None, [], [3.0], UNKNOWN, [5.0, 1.0, 2.0], [8.0, 1.0]]


@pytest.mark.parametrize("arrow", [True, False])
def test_medians_of_samples_are_those_of_each_row(arrow):
    kind = pd.ArrowDtype(pa.list_(pa.float64())) if arrow else object
    rows = pd.DataFrame({"samples": pd.Series(SAMPLES, range(7, 0, -1), dtype=kind)})
    medians = [1.5, None, None, 3.0, None, 2.0, 4.5]
    assert sample_medians(rows) == medians
    assert sample_medians(rows.iloc[2:]) == medians[2:]
    assert sample_medians(rows.drop(columns="samples")) == [None] * 7


def test_drift_of_a_table_is_that_of_its_rows():
    def row(n, role, sitting, rate):
        when = pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(n, "s")
        return {
            "attempt_id": str(n),
            "role": role,
            "status": "ok",
            "sitting_id": sitting,
            "cell_id": "c",
            "started_at": when.to_pydatetime(),
            "img_per_sec": rate,
        }

    rows = [
        *(row(0, "anchor", "s", 10.0), row(1, "cell", "s", 1.0)),
        *(row(2, "anchor", "s", 11.0), row(3, "cell", "t", 1.0)),
        *(row(4, "cell", None, 1.0), row(5, "cell", "s", 1.0)),
    ]
    table = record.table(rows)
    by_row = drift.anchor_drift(table.select(drift.NEEDS).to_pylist())
    assert drift.anchor_drifts(table).to_pylist() == by_row
    assert by_row[1] == pytest.approx(0.1) and by_row[3] is None


def test_a_lineage_is_hashed_once_for_a_setting_and_not_for_each_row(monkeypatch):
    from bench.analysis import descent

    calls = []
    monkeypatch.setattr(descent, "short_hash", lambda v: calls.append(v) or str(v))
    names = [*join.SETTINGS, "machine_id", "environment_id", "protocol"]
    rows = pd.DataFrame({name: ["same"] * 100 for name in dict.fromkeys(names)})
    rows["model"] = ["Mixer-B/16", "ViT-B/16"] * 50
    found = descent.roots(rows, join.SETTINGS)["lineage"]
    assert len(calls) == 2 and found.nunique() == 2


def test_points_are_asked_once_while_the_rows_stand():
    asked = []

    @remember.once
    def points(rows):
        asked.append(len(rows))
        return rows.assign(y=1)

    rows, others = pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [1, 2]})
    with remember.while_rows_stand():
        mine = points(rows)
        mine.loc[0, "y"] = 7  # what a caller does to its copy stays there
        assert points(rows)["y"].tolist() == [1]
        points(others)
    assert asked == [1, 2]
    points(rows)
    points(rows)
    assert asked == [1, 2, 1, 1]


def test_the_style_written_out_is_seaborns():
    import seaborn

    from bench.plots import style

    theirs = seaborn.axes_style("ticks")
    differ = {key for key, value in style._TICKS.items() if theirs[key] != value}
    left = set(theirs) - set(style._RC) - {"font.sans-serif", "image.cmap"}
    assert (differ, left) == (set(), set())


def test_a_settled_figure_is_not_laid_out_again():
    from bench.plots import labels, style

    figure, _ = style.canvas(1, 3.25)
    labels.settle(figure)
    assert figure.get_layout_engine() is None


@pytest.mark.parametrize("name", ["pareto", "resolution", "relative"])
def test_a_figure_is_laid_out_once_for_all_its_formats(name, tmp_path, monkeypatch):
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    laid_out = []
    plainly = ConstrainedLayoutEngine.execute
    monkeypatch.setattr(
        ConstrainedLayoutEngine,
        "execute",
        lambda self, figure: laid_out.append(figure) or plainly(self, figure),
    )
    gallery.draw_all(results.read_published(), tmp_path, [name])
    assert len(laid_out) == 1
