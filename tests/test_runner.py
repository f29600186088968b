import dataclasses
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench import checkpoints, executors, machine, results, runner
from bench.errors import MissingPackage, ResultsError, StudyError
from bench.ordering import estimate_s, work_items
from bench.specs import Bandwidth, Cell, Limit, Study, WorkItem

A = Cell(mode="infer", model="Mixer-B/16", framework="jax", batch_size=8)
B = dataclasses.replace(A, model="ViT-B/16", batch_size="auto")
LEARNT = Cell(
    mode="pretrain",
    model="Mixer-B/16",
    framework="torch",
    image_size=32,
    dataset="digits",
    batch_size=8,
    total_steps=1,
)
ANCHOR = dataclasses.replace(A, model="Mixer-S/32")


class FakeExecutor:
    """Notes what it is asked for and answers at once; one model may fail."""

    def __init__(self, failing=()):
        self.items: list[WorkItem] = []
        self.failing = failing

    def run(self, item):
        self.items.append(item)
        if item.cell.model in self.failing:
            return {"status": "oom", "error_class": "X", "error_message": "too big"}
        ok = {"status": "ok", "img_per_sec": 100.0, "batch_size": 64}
        return ok | {"stop_reason": "time"}


@pytest.fixture
def fake(monkeypatch):
    made = FakeExecutor()
    monkeypatch.setattr(executors, "make", lambda name: made)
    return made


def study(*cells, **values):
    return Study(name="s", question="?", cells=cells, **values)


def test_every_cell_is_repeated_in_rounds_and_training_is_not(fake, tmp_path):
    runner.run_study(study(A, B, LEARNT, repetitions=3), out=tmp_path)
    keys = [(item.cell.model, item.cell.mode, item.repetition) for item in fake.items]
    assert len(keys) == len(set(keys)) == 3 + 3 + 1
    rounds = [item.repetition for item in fake.items]
    assert rounds == sorted(rounds)


def test_each_round_has_its_own_random_order_and_a_second_run_the_same():
    cells = [dataclasses.replace(A, batch_size=size) for size in range(1, 9)]
    asked = study(*cells, repetitions=3)
    sizes = [item.cell.batch_size for item in work_items(asked)]
    rounds = [sizes[:8], sizes[8:16], sizes[16:]]
    assert len({tuple(one) for one in rounds}) == 3
    assert all(sorted(one) == list(range(1, 9)) != one for one in rounds)
    assert [item.cell.batch_size for item in work_items(asked)] == sizes


def test_while_an_item_runs_the_device_is_held(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_lease_folder", lambda: tmp_path / "lease")
    held = []

    def seen(item):
        held.extend(machine.holders())
        return {"status": "ok"}

    monkeypatch.setattr(fake, "run", seen)
    runner.run_study(study(A), out=tmp_path)
    (holder,) = held
    assert holder.alive and holder.told["cell_id"] == A.cell_id
    assert machine.holders() == []


def test_the_estimate_counts_the_anchor_and_the_sweeps():
    plain = estimate_s(study(A))
    anchored = estimate_s(study(A, anchor=ANCHOR))
    window_s = study(A).effort.window_s
    assert anchored - plain == pytest.approx(3 * (8.0 + 1.5 * window_s))
    assert estimate_s(study(B)) > plain + 8.0  # one more process, and its pilots


def test_the_second_run_measures_nothing(fake, tmp_path):
    first = runner.run_study(study(A, B, repetitions=2), out=tmp_path)
    again = runner.run_study(study(A, B, repetitions=2), out=tmp_path)
    assert len(fake.items) == 4
    assert (again.reused, again.rows, again.file) == (4, [], first.file)


def test_rows_of_another_study_count_and_are_found(fake, tmp_path):
    first = runner.run_study(study(A), out=tmp_path)
    other = dataclasses.replace(study(A), name="other")
    again = runner.run_study(other, out=tmp_path)
    assert (again.reused, again.file) == (1, None)
    assert again.attempts == first.attempts and len(first.attempts) == 1


def test_more_repetitions_add_only_the_missing_ones(fake, tmp_path):
    runner.run_study(study(A, repetitions=2), out=tmp_path)
    runner.run_study(study(A, repetitions=5), out=tmp_path)
    assert [item.repetition for item in fake.items] == [0, 1, 2, 3, 4]


def test_later_repetitions_reuse_the_picked_batch_also_after_an_interrupt(
    fake, tmp_path
):
    runner.run_study(study(B, repetitions=2), out=tmp_path)
    runner.run_study(study(B, repetitions=3), out=tmp_path)
    assert [item.picked_batch for item in fake.items] == [None, 64, 64]


def test_a_failure_is_a_row_and_the_rest_goes_on(fake, tmp_path):
    fake.failing = ("ViT-B/16",)
    summary = runner.run_study(study(A, B), out=tmp_path)
    assert sorted(row["status"] for row in summary.rows) == ["ok", "oom"]
    stored = results.read(summary.file).table
    assert sorted(stored["status"].to_pylist()) == ["ok", "oom"]


def test_retry_failed_runs_only_what_failed(fake, tmp_path):
    fake.failing = ("ViT-B/16",)
    runner.run_study(study(A, B), out=tmp_path)
    fake.failing, fake.items = (), []
    wider = study(A, B, ANCHOR)
    summary = runner.run_study(wider, out=tmp_path, retry_failed=True)
    assert [item.cell.model for item in fake.items] == ["ViT-B/16"]
    assert summary.failed == []


def test_an_interrupt_loses_only_the_running_attempt(fake, tmp_path, monkeypatch):
    def interrupted(item):
        if len(fake.items) == 2:
            raise KeyboardInterrupt
        return FakeExecutor.run(fake, item)

    monkeypatch.setattr(fake, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.run_study(study(A, repetitions=5), out=tmp_path)
    assert len(results.read(tmp_path).table) == 2


def test_the_anchor_stands_first_between_and_last(fake, tmp_path):
    runner.run_study(study(A, anchor=ANCHOR, repetitions=4), out=tmp_path)
    roles = [item.role for item in fake.items]
    assert roles == ["anchor", "cell", "cell", "anchor", "cell", "cell", "anchor"]
    rows = results.read_results(tmp_path)
    assert rows["sitting_id"].nunique() == 1
    # Every cell stands between two anchors; the first anchor has none before it.
    assert rows["anchor_drift"].isna().sum() == 1
    assert (rows["anchor_drift"].dropna() == 0).all()
    runner.run_study(study(A, anchor=ANCHOR, repetitions=4), out=tmp_path)
    assert len(fake.items) == 7  # nothing to measure needs no anchor


def test_an_anchor_of_another_framework_and_a_failed_anchor_do_not_end_the_run(
    fake, tmp_path
):
    anchor = dataclasses.replace(ANCHOR, framework="torch")
    fake.failing = (anchor.model,)
    summary = runner.run_study(study(A, anchor=anchor), out=tmp_path)
    roles = [row["role"] for row in summary.rows]
    assert len(roles) == 4 and roles.count("anchor") == 3
    assert [row["status"] for row in summary.failed] == ["oom"] * 3


def test_two_devices_in_a_study_are_refused(fake, tmp_path):
    other = dataclasses.replace(B, device="cpu")
    with pytest.raises(StudyError, match="device: auto, cpu: a study runs on one"):
        runner.run_study(study(A, other), out=tmp_path)


def test_start_and_end_of_the_worker_are_allocated_and_excluded(
    fake, tmp_path, monkeypatch
):
    seen = {"allocated_s": 1.0, "measured_s": 0.75, "excluded_s": 0.25}

    def slow(item):
        time.sleep(1.2)
        return {"status": "ok", "repeated_s": 0.0, "idle_s": 0.0, **seen}

    monkeypatch.setattr(fake, "run", slow)
    (row,) = runner.run_study(study(LEARNT), out=tmp_path).rows
    assert row["allocated_s"] >= 1.2 and row["measured_s"] == 0.75
    assert row["allocated_s"] == pytest.approx(row["measured_s"] + row["excluded_s"])


def test_a_row_says_who_what_and_where(fake, tmp_path):
    (row,) = runner.run_study(study(A), out=tmp_path).rows
    table = results.read(tmp_path).table.to_pylist()[0]
    assert row["cell_id"] == A.cell_id and table["family"] == "mixer"
    assert table["cores"] >= 1 and table["core_kind"] and table["machine_id"]
    versions = dict(table["environment"])
    assert {"jax", "jaxlib", "numpy", "python"} <= set(versions)
    assert "torch" not in versions


def test_progress_counts_up_and_time_left_falls_to_zero(fake, tmp_path):
    seen = []
    runner.run_study(study(A, B, LEARNT), out=tmp_path, on_item=seen.append)
    assert [p.done for p in seen] == [1, 2, 3] and {p.total for p in seen} == {3}
    assert seen[-1].seconds_left == 0


def test_refused_before_anything_is_written(fake, tmp_path, monkeypatch):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(ResultsError, match="is a file"):
        runner.run_study(study(A), out=blocker)
    find_spec = runner.backends.importlib.util.find_spec
    monkeypatch.setattr(
        runner.backends.importlib.util,
        "find_spec",
        lambda name: None if name == "flax" else find_spec(name),
    )
    with pytest.raises(MissingPackage, match=r"pip install 'mixer-bench\[jax\]'"):
        runner.run_study(study(A), out=tmp_path / "new")
    assert not (tmp_path / "new").exists() and fake.items == []


def test_unknown_executor():
    with pytest.raises(StudyError, match="unknown executor 'slurm'"):
        executors.make("slurm")


def test_the_ceiling_is_asked_for_once_a_dtype_and_given_to_every_item(fake, tmp_path):
    asked = []

    def ceiling(host, dtype, out, on_note):
        asked.append(dtype)
        return Limit(1e12, "measured"), Bandwidth(1e9, "copied")

    fake.ceiling = ceiling
    half = dataclasses.replace(A, dtype="bfloat16")
    runner.run_study(study(A, B, half, LEARNT, repetitions=2), out=tmp_path)
    assert sorted(asked) == ["bfloat16", "float32"]
    given = {item.cell.mode: (item.ceiling, item.bandwidth) for item in fake.items}
    roofs = Limit(1e12, "measured"), Bandwidth(1e9, "copied")
    assert given == {"infer": roofs, "pretrain": (None, None)}


def test_a_peak_reaches_the_cells_of_its_dtype(fake, tmp_path):
    half = dataclasses.replace(A, dtype="bfloat16")
    runner.run_study(study(A, half, peaks={"bfloat16": Limit(1, "me")}), out=tmp_path)
    given = {item.cell.dtype: item.peak for item in fake.items}
    assert given == {"float32": None, "bfloat16": Limit(1, "me")}


def test_trainings_are_told_where_to_keep_checkpoints_and_timings_are_not(
    fake, tmp_path
):
    runner.run_study(study(A, LEARNT), out=tmp_path)
    told = {item.cell.mode: item.checkpoints for item in fake.items}
    assert told["infer"] is None
    folder = Path(told["pretrain"])
    assert folder.name == f"{LEARNT.cell_id}-p{runner.PROTOCOL}"
    assert folder.parents[1] == tmp_path / ".work"


class Dying(FakeExecutor):
    """Writes a clock as a training does, then ends as `status` says."""

    status = "failed"

    def run(self, item):
        super().run(item)
        if item.cell.mode == "pretrain":
            with checkpoints.Work(Path(item.checkpoints)) as work:
                carried_s = (work.read_clock() or {"allocated_s": 0.0})["allocated_s"]
                zero = dict.fromkeys(checkpoints.CLOCK, 0.0)
                work.write_clock({**zero, "carried_s": carried_s})
            time.sleep(0.2)
        return {"status": self.status, "error_class": "X", "error_message": "no"}


def test_what_a_dead_worker_held_is_noted_and_a_finished_one_forgotten(
    monkeypatch, tmp_path
):
    made = Dying()
    monkeypatch.setattr(executors, "make", lambda name: made)
    for deaths in (1, 2):
        runner.run_study(study(LEARNT), out=tmp_path)
        folder = Path(made.items[-1].checkpoints)
        clock = json.loads((folder / "clock.json").read_text())
        assert 0.2 * deaths < clock["allocated_s"] < 0.2 * deaths + 0.5
        assert clock["excluded_s"] > 0.19
    monkeypatch.setattr(made, "status", "ok")
    runner.run_study(study(LEARNT), out=tmp_path)
    assert not folder.exists() and not (tmp_path / ".work").exists()
    folder.mkdir(parents=True)  # killed after its row, before the end
    runner.run_study(study(LEARNT), out=tmp_path)
    assert len(made.items) == 3 and not folder.exists()


def test_seconds_that_earlier_processes_held_are_not_those_of_this_one(
    fake, tmp_path, monkeypatch
):
    parts = {"allocated_s": 100.5, "measured_s": 60.0, "excluded_s": 40.5}
    monkeypatch.setattr(
        fake, "run", lambda item: {"status": "ok", **parts, "carried_s": 100.0}
    )
    started = datetime.now(UTC) - timedelta(seconds=2)
    row = runner._accounted(fake.run(None), started)
    assert row["allocated_s"] == pytest.approx(102, abs=0.2)
    assert row["excluded_s"] == pytest.approx(42, abs=0.2)
