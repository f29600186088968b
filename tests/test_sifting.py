"""What is read and cannot be used: rates that are none, attempts told twice."""

from __future__ import annotations

import math
import uuid

import pyarrow.parquet as pq
import pytest

from bench import record, results, sifting
from bench.analysis import check
from bench.cli import app

NAN, INF = math.nan, math.inf
ROW = {
    "status": "ok", "role": "cell", "source": "measured", "protocol": 1,
    "machine_id": "m1", "machine": "Xeon", "environment_id": "e1",
    "core_kind": "vcpu", "cores": 2.0, "mode": "infer", "framework": "torch",
    "dtype": "float32", "image_size": 224, "track": "protocol", "input": "resident",
    "batch_rule": "fixed", "batch_size": 8, "study": "mine", "model": "Mixer-B/16",
    "family": "mixer", "cell_id": "a", "img_per_sec_core": 5.0, "img_per_sec": 10.0,
    "samples": [0.5, 0.8],
}  # fmt: skip


def rows(*changes, **shared):
    made = [{"attempt_id": f"a{n}", "repetition": n} for n in range(len(changes))]
    return [{**ROW, **a, **shared, **b} for a, b in zip(made, changes, strict=True)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(capsys, *arguments):
    capsys.readouterr()
    code = app._run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


# Rates ------------------------------------------------------------------------

UNSOUND = [
    ({"img_per_sec_core": NAN}, "img_per_sec_core"),
    ({"img_per_sec_core": INF}, "img_per_sec_core"),
    ({"img_per_sec_core": -1.0}, "img_per_sec_core"),
    ({"img_per_sec_core": 0.0}, "img_per_sec_core"),
    ({"img_per_sec": -1.0}, "img_per_sec"),
    ({"train_img_per_sec_core": NAN}, "train_img_per_sec_core"),
    (
        {"img_per_sec_core": NAN, "img_per_sec": 0.0},
        "img_per_sec_core or img_per_sec",
    ),
    ({"img_per_sec_core": None}, None),
    ({"img_per_sec_core": NAN, "status": "failed"}, None),
    ({"img_per_sec_core": 1e-300}, None),
]


@pytest.mark.parametrize("change, named", UNSOUND, ids=str)
def test_a_rate_that_is_none_is_set_aside_aloud(change, named, here):
    results.write(record.table(rows({}, change, {})), here / "odd file.parquet")
    for paths in ("odd file.parquet", ["published", "odd file.parquet"]):
        reading = results.read(paths)
        kept = [one for one in reading.table["attempt_id"].to_pylist() if one[0] == "a"]
        assert kept == (["a0", "a2"] if named else ["a0", "a1", "a2"])
        assert reading.set_aside == (
            [
                f"odd file.parquet: 1 row whose {named} is no number above 0; "
                "mixer-bench check 'odd file.parquet' names it"
            ]
            if named
            else []
        )


def test_what_is_set_aside_is_what_check_calls_a_fault(here):
    """The remedy that the line names finds each of these rows."""
    assert set(sifting.RATES) <= set(check.POSITIVE)
    changes = [change for change, _ in UNSOUND]
    table = record.table(rows(*changes))
    faulty = {
        fault.row
        for fault in check.faults(table)
        if fault.column in sifting.RATES and "missing" not in fault.said
        and "is not img" not in fault.said
    }  # fmt: skip
    sound, (line,) = sifting.sound(table, "f.parquet")
    kept = {int(name[1:]) for name in sound["attempt_id"].to_pylist()}
    assert faulty == set(range(len(changes))) - kept and "7 rows whose" in line


VERBS = ["table", "claims", "plot"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("rate", [NAN, INF, -1.0])
def test_a_verb_goes_on_without_such_rows(verb, rate, capsys, here):
    changes = [{}] * 5 + [{"img_per_sec_core": rate}] * 2
    results.write(record.table(rows(*changes)), here / "odd.parquet")
    extra = ["--figure", "relative", "--format", "svg"] * (verb == "plot")
    code, out, err = call(capsys, verb, "odd.parquet", *extra)
    assert code == 0 and "-1.00" not in out
    assert err.splitlines()[0] == (
        "set aside: odd.parquet: 2 rows whose img_per_sec_core is no number above 0; "
        "mixer-bench check odd.parquet names them"
    )
    assert "Warning" not in err


def test_a_file_of_such_rows_alone_has_none(capsys, here):
    odd = rows({}, {}, img_per_sec_core=NAN)
    results.write(record.table(odd), here / "odd.parquet")
    code, out, err = call(capsys, "table", "odd.parquet")
    assert (code, out) == (2, "") and err.splitlines()[1:] == [
        "mixer-bench: odd.parquet: no rows; nothing to tabulate"
    ]


def test_a_fold_and_a_merge_keep_what_reading_sets_aside(capsys, here):
    """They move rows; nothing is lost that check could still show."""
    for row in rows({}, {"img_per_sec_core": NAN}):
        results.append({**row, "attempt_id": str(uuid.uuid4())}, here / "results")
    assert call(capsys, "fold", "results")[0] == 0
    folded = here / "results" / "Xeon" / "mine.parquet"
    assert pq.read_metadata(folded).num_rows == 2
    assert call(capsys, "merge", "results", "-o", "m.parquet")[0] == 0
    assert pq.read_metadata(here / "m.parquet").num_rows == 2
    assert len(results.read("m.parquet").table) == 1


def test_a_comparison_says_itself_what_is_no_rate(capsys, here):
    """There a cell that lost its rate is invalid, and not one that is missing."""
    for name, rate in (("A", 5.0), ("B", NAN)):
        table = record.table(rows({"attempt_id": name}, img_per_sec_core=rate))
        results.write(table, here / f"{name}.parquet")
    code, _, err = call(capsys, "compare", "A.parquet", "B.parquet")
    assert code == 2 and "B holds a rate that is missing or not positive" in err


# Attempts ---------------------------------------------------------------------

TWICE = [
    ({}, {}, None),
    ({"img_per_sec": NAN, "status": "failed"}, {}, None),
    ({"samples": [0.5, NAN]}, {}, None),
    ({"samples": None}, {}, None),
    ({"top1": None}, {}, None),
    ({}, {"img_per_sec_core": 4.0}, "img_per_sec_core"),
    ({}, {"img_per_sec_core": None}, "img_per_sec_core"),
    ({"top1": None}, {"top1": 0.5}, "top1"),
    ({}, {"model": "ViT-B/16", "batch_size": 4}, "model, batch_size"),
    ({}, {"samples": [0.5, 0.9]}, "samples"),
    ({}, {"samples": None}, "samples"),
    ({}, {"samples": [0.5, NAN]}, "samples"),
    (
        {},
        dict.fromkeys(("model", "family", "study", "dtype", "input", "track"), "x"),
        ", ..., ",
    ),
]


@pytest.mark.parametrize("one, change, named", TWICE, ids=str)
def test_attempts_that_are_told_twice(one, change, named, here):
    first, second = rows(one, {}), rows({**one, **change}, {})
    results.write(record.table(first), here / "A.parquet")
    results.write(record.table(second), here / "B.parquet")
    for order in (("A.parquet", "B.parquet"), ("B.parquet", "A.parquet")):
        reading = results.read([*order, "published"])
        assert reading.table["attempt_id"].to_pylist()[:2] == ["a0", "a1"]
        assert len(results.read(order).table) == 2
        if named is None:
            assert reading.set_aside == []
            continue
        (line,) = reading.set_aside
        assert line.startswith("1 attempt told twice with different values (")
        assert line.endswith(
            f"): the first is used; mixer-bench check {' '.join(order)} names it"
        )
        told = line.partition("(")[2].partition(")")[0]
        assert set(told.split(", ")) == set(named.split(", ")) or "..." in named
        assert told.count(",") <= 5


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
def test_the_order_of_the_files_decides_and_is_said(order, capsys, here):
    for name, rate in (("A", 5.0), ("B", 4.0)):
        table = record.table(rows({}, {}, {}, img_per_sec_core=rate))
        results.write(table, here / f"{name}.parquet")
    files = [f"{name}.parquet" for name in order]
    code, out, err = call(capsys, "table", *files)
    assert code == 0 and ("5.00" if order[0] == "A" else "4.00") in out
    assert err.splitlines()[0] == (
        "set aside: 3 attempts told twice with different values (img_per_sec_core): "
        f"the first is used; mixer-bench check {' '.join(files)} names them"
    )
    code, out, _ = call(capsys, "check", *files)
    assert code == 1 and out.count("differs there in img_per_sec_core") == 3


def test_copies_in_one_folder_and_one_file_stay_silent(capsys, here):
    results.write(record.table(rows({}, {}) * 2), here / "all" / "A.parquet")
    results.write(record.table(rows({}, {})), here / "all" / "B.parquet")
    results.write(record.table(rows({}, {}, attempt_id=None)), here / "N.parquet")
    reading = results.read(["all", "all", "N.parquet"])
    assert reading.set_aside == []
    ids = reading.table["attempt_id"].to_pylist()
    assert ids == ["a0", "a1", None, None]  # rows without an id are no copies


def test_no_more_than_the_ids_is_compared_where_none_repeats(monkeypatch):
    def refuse(*_):
        raise AssertionError("compared")

    monkeypatch.setattr(sifting, "_differing", refuse)
    table = record.table(rows(*[{}] * 50))
    assert sifting.told_once(table, ["f"]) == (table, [])
    with pytest.raises(AssertionError, match="compared"):
        sifting.told_once(record.table(rows({}) * 2), ["f"])
