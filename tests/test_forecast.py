"""Forecasts from rows and probes: arithmetic that can be checked by hand."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from bench import forecast, record
from bench.specs import Cell, Effort, WorkItem

START = datetime(2026, 1, 1, tzinfo=UTC)
TIMED = Cell(mode="infer", model="Mixer-B/16", framework="jax", batch_size=8)
LEARNT = Cell(
    mode="pretrain",
    model="Mixer-XS/4",
    framework="torch",
    image_size=16,
    dataset="digits",
    batch_size=50,
    total_steps=1000,
)


def row(cell, seconds, **values):
    """A finished attempt at `cell` that took so many seconds."""
    made = dict.fromkeys(forecast.COLUMNS) | {
        name: getattr(cell, name, None) for name in forecast.COLUMNS
    }
    made |= {"cell_id": cell.cell_id, "status": "ok", "batch_rule": "fixed"}
    made |= {"started_at": START, "finished_at": START + timedelta(seconds=seconds)}
    return {**made, "machine_id": "m", "cores": 2.0, **values}


def test_the_same_cell_takes_the_same_time():
    rows = [row(TIMED, 20, window_goal_s=10.0, peak_memory_bytes=5)]
    item = WorkItem(cell=TIMED, effort=Effort(window_s=10.0))
    assert forecast.forecast(item, rows) == forecast.Forecast(20, 5, None, "same cell")


def test_a_longer_window_takes_longer():
    rows = [row(TIMED, 20, window_goal_s=10.0)]
    item = WorkItem(cell=TIMED, effort=Effort(window_s=25.0))
    assert forecast.forecast(item, rows).seconds == 35


def test_training_adds_steps_to_the_rest_of_the_attempt():
    short = dataclasses.replace(LEARNT, total_steps=100)
    rows = [row(short, 30, measured_s=20.0, steps=100)]
    found = forecast.forecast(WorkItem(cell=LEARNT), rows)
    assert found.seconds == pytest.approx(10 + 1000 * 0.2)
    assert found.core_days == pytest.approx(2 * 200 / 86_400)
    assert found.basis == "same step"


def test_epochs_count_the_images_that_a_row_saw():
    epochs = dataclasses.replace(LEARNT, total_steps=None, total_epochs=10)
    few = dataclasses.replace(epochs, data_examples=100)
    half = dataclasses.replace(epochs, data_fraction=0.5)
    rows = [row(epochs, 50, measured_s=40.0, steps=200, unique_images=1000)]
    seconds = {
        cell: forecast.forecast(WorkItem(cell=cell), rows).seconds
        for cell in (epochs, few, half)
    }
    assert seconds[epochs] == pytest.approx(50)
    assert seconds[few] == pytest.approx(10 + 20 * 0.2)
    assert seconds[half] == pytest.approx(10 + 100 * 0.2)


@pytest.mark.parametrize(
    "changes",
    [
        {"framework": "torch"},
        {"batch_size": 16},
        {"model": "ViT-B/16"},
        {"image_size": 32},
        {"dtype": "bfloat16"},
        {"batch_size": "auto"},
    ],
)
def test_another_step_says_nothing(changes):
    item = WorkItem(cell=dataclasses.replace(TIMED, **changes))
    assert forecast.forecast(item, [row(TIMED, 20)]) == forecast.NONE


def test_unknown_data_is_not_guessed():
    epochs = dataclasses.replace(LEARNT, total_steps=None, total_epochs=10)
    rows = [row(LEARNT, 12, measured_s=2.0, steps=10)]
    assert forecast.forecast(WorkItem(cell=epochs), rows) == forecast.NONE


def test_one_probe_for_a_step_and_none_for_what_is_known():
    seeds = [WorkItem(cell=dataclasses.replace(LEARNT, seed=s)) for s in (1, 2)]
    timed = WorkItem(cell=TIMED)
    (one, two) = forecast.probes([*seeds, timed], [])
    assert one.cell.total_steps == forecast.PROBE_STEPS
    assert two.effort.window_s == forecast.PROBE_WINDOW_S
    assert forecast.probes([timed], [row(TIMED, 20)]) == []


def test_a_probe_forecasts_the_cell_that_it_stands_for():
    (short,) = forecast.probes([WorkItem(cell=LEARNT)], [])
    clock = iter([START, START + timedelta(seconds=11.2)])
    made = forecast.probe_row(
        short,
        lambda item: {"status": "ok", "measured_s": 1.2, "steps": 6},
        lambda: next(clock),
    )
    found = forecast.forecast(WorkItem(cell=LEARNT), [{**made, "cores": 2.0}])
    assert found.seconds == pytest.approx(10 + 1000 * 0.2) and found.basis == "probe"


def test_errors_compare_what_was_said_with_what_it_took():
    rows = [
        row(TIMED, 20, predicted_s=10.0),
        row(TIMED, 33, predicted_s=30.0),
        row(TIMED, 5, predicted_s=None),
        row(TIMED, 5, predicted_s=1.0, status="failed"),
    ]
    found = forecast.errors(rows)
    assert (found.attempts, found.predicted_s, found.taken_s) == (2, 40, 53)
    assert found.median == pytest.approx((1.0 + 0.1) / 2)
    assert found.core_days is None
    rows[0] |= {"predicted_core_days": 2.0, "core_days_measured": 5.0}
    again = forecast.errors(rows)
    assert again is not None and again.core_days == pytest.approx(1.5)
    assert forecast.errors(rows[2:]) is None


def test_only_this_machines_finished_rows_are_used():
    keep = ("mode", "model", "framework", "machine_id", "status", "cell_id")
    rows = [row(TIMED, 1), row(TIMED, 1, machine_id="o"), row(TIMED, 1, status="oom")]
    table = record.table([{name: one[name] for name in keep} for one in rows])
    assert len(forecast.usable(table, "m")) == 1
