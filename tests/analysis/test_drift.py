"""Drift of planted anchors: between which two a row stands, and the verdict."""

import datetime

import pytest

from bench.analysis.drift import anchor_drift, verdict

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def row(minute, rate=50.0, role="cell", **values):
    return {
        "sitting_id": "a",
        "role": role,
        "status": "ok",
        "started_at": NOON + datetime.timedelta(minutes=minute),
        "cell_id": "anchor" if role == "anchor" else "cell",
        "img_per_sec": rate,
        **values,
    }


def anchor(minute, rate, **values):
    return row(minute, rate, role="anchor", **values)


SITTING = [anchor(0, 100.0), row(1), anchor(2, 80.0), row(3), anchor(4, 90.0), row(5)]


def test_a_row_has_the_change_between_the_anchors_around_it():
    drifts = anchor_drift(SITTING)
    assert drifts == [
        None,
        pytest.approx(-0.2),
        pytest.approx(-0.2),
        pytest.approx(0.125),
        pytest.approx(0.125),
        None,  # interrupted: no anchor followed
    ]


def test_the_order_of_the_rows_does_not_matter():
    assert anchor_drift(SITTING[::-1]) == anchor_drift(SITTING)[::-1]


@pytest.mark.parametrize(
    "change",
    [{"sitting_id": "b"}, {"status": "failed"}, {"img_per_sec": None}],
    ids=str,
)
def test_an_anchor_of_another_sitting_or_without_a_rate_tells_nothing(change):
    rows = [anchor(0, 100.0), row(1), anchor(2, 50.0, **change)]
    assert anchor_drift(rows)[:2] == [None, None]
    assert verdict(rows).kind == "unknown"


def test_rows_of_files_without_sittings_are_unknown():
    rows = [{**one, "sitting_id": None} for one in SITTING]
    assert set(anchor_drift(rows)) == {None}


def test_anchors_of_two_cells_are_not_compared():
    rows = [anchor(0, 100.0), row(1), anchor(2, 10.0, cell_id="other")]
    assert anchor_drift(rows) == [None, None, None]


@pytest.mark.parametrize(
    ("rates", "kind", "largest"),
    [
        ([100.0, 104.0, 100.0], "steady", 0.04),
        ([100.0, 110.0, 100.0], "drifted", 0.1),  # and back again
        ([100.0], "unknown", None),
    ],
)
def test_the_verdict(rates, kind, largest):
    found = verdict([anchor(minute, rate) for minute, rate in enumerate(rates)])
    assert found.kind == kind
    assert found.largest == (largest and pytest.approx(largest))
    assert found.sentence.startswith(kind if largest else "drift unknown")


def test_the_worst_sitting_counts_and_sittings_are_not_compared():
    first = [anchor(0, 100.0), anchor(1, 101.0)]
    second = [anchor(60, 50.0, sitting_id="b"), anchor(61, 51.0, sitting_id="b")]
    assert verdict(first + second).kind == "steady"
    worse = [*second, anchor(62, 60.0, sitting_id="b")]
    assert verdict(first + worse).largest == pytest.approx(0.2)
