"""Several processes draw what one draws, and end with the one that asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from bench import cores
from bench.errors import ResultsError
from bench.plots import crew, gallery

FIGURES = ["resolution", "relative", "data_scale"]


def test_several_processes_write_the_bytes_of_one(published, tmp_path):
    found = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        made = list(gallery.drawn(published, folder, FIGURES, processes=processes))
        skipped = [one.skipped for one in made if one.skipped]
        found[processes] = skipped, {p.name: p.read_bytes() for p in folder.iterdir()}
    assert found[1] == found[2]
    assert [*found[1][0][0]] == ["data_scale"] and len(found[1][1]) == 10


def test_a_mistake_is_the_same_line_from_another_process(published, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    said = []
    for processes in (1, 2):
        with pytest.raises(ResultsError) as caught:
            list(gallery.drawn(published, blocked, FIGURES[:2], processes=processes))
        said.append(str(caught.value))
    assert said[0] == said[1] and "cannot write" in said[0]


def twice(item, more):
    time.sleep(0.2 if item == "slow" else 0)
    yield item + more, os.getpid()
    time.sleep(0.2 if item == "slow" else 0)
    yield item * 2 + more, os.getpid()


def end(item):
    yield item
    os.kill(os.getpid(), signal.SIGKILL)


def fail(item):
    yield item
    raise ResultsError(f"{item} failed")


def waits(item, folder):
    yield "first"
    while not (folder / "seen").exists():
        time.sleep(0.01)
    yield "second"


def test_items_come_in_their_order_from_other_processes():
    made = list(crew.each(twice, ["slow", "b", "c"], ("!",), 2))
    texts = ["slow!", "slowslow!", "b!", "bb!", "c!", "cc!"]
    assert [text for text, _ in made] == texts
    assert os.getpid() not in {pid for _, pid in made}


def test_a_part_comes_before_its_item_is_over(tmp_path):
    made = crew.each(waits, ["a"], (tmp_path,), 1)
    assert next(made) == "first"
    (tmp_path / "seen").write_text("")
    assert list(made) == ["second"]


def threads_of_blas(item):
    yield os.environ["OPENBLAS_NUM_THREADS"]


def test_a_worker_has_one_thread_unless_told_otherwise():
    before = dict(os.environ)
    asked = os.environ.get("OPENBLAS_NUM_THREADS", "1")
    assert list(crew.each(threads_of_blas, ["a"], (), 1)) == [asked]
    assert dict(os.environ) == before


def says_too_much(item):
    if item == "a":
        raise ResultsError("a failed")
    time.sleep(0.2)
    yield "x" * 2_000_000  # far more than a pipe holds


def test_an_error_ends_a_worker_that_nobody_listens_to():
    with pytest.raises(ResultsError, match="a failed"):
        list(crew.each(says_too_much, ["a", "b"], (), 2))


def dies_in_mid_part(item):
    os.write(crew._sending.fileno(), b"\x00\x00\x00\xff" + b"not 255 bytes")
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)
    yield item


def test_half_a_part_is_the_same_line_as_an_end_from_outside():
    with pytest.raises(ResultsError, match="ended from outside"):
        list(crew.each(dies_in_mid_part, ["a"], (), 1))


@pytest.mark.parametrize("work, said", [(end, "ended from outside"), (fail, "a fail")])
def test_parts_of_an_item_that_fails_come_before_the_line(work, said):
    made = crew.each(work, ["a", "b"], (), 2)
    assert next(made) == "a"
    with pytest.raises(ResultsError, match=said):
        list(made)


def test_a_process_ended_from_outside_is_one_line():
    with pytest.raises(ResultsError, match=r"ended from outside.*--figure"):
        list(crew.each(end, ["a"], (), 1))


@pytest.mark.parametrize(
    "threads, items, size", [(1, 9, 1), (2, 9, 2), (64, 9, crew.MOST), (8, 1, 1)]
)
def test_no_more_processes_than_cores_or_figures(monkeypatch, threads, items, size):
    monkeypatch.setattr(cores, "threads", lambda: threads)
    assert crew.size(items) == size


SLEEPERS = """
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run behind nohup
from bench.plots import crew
def sleep(item, seconds):
    print(os.getpid(), flush=True)
    time.sleep(seconds)
    yield
if __name__ == "__main__":
    crew.call([])
    list(crew.each(sleep, ["a", "b"], (60,), 2))
"""


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("whom", ["group", "parent"])
def test_workers_end_with_their_parent(tmp_path, whom):
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    if whom == "group":  # Ctrl-C in a terminal
        os.killpg(parent.pid, signal.SIGINT)
    else:
        parent.kill()
    _, said = parent.communicate(timeout=30)
    if whom == "group":
        assert said.endswith("\nKeyboardInterrupt\n")
    deadline = time.monotonic() + 20
    while any(map(running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(running, workers))
