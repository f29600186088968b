"""How a worker ended, told from its exit code and the kernel's count of kills."""

import signal

import pytest

from bench import cores
from bench.executors.process import _death


@pytest.mark.parametrize(
    ("code", "starved", "status", "said"),
    [
        (-signal.SIGKILL, True, "oom", "when memory runs out"),
        # A scheduler or a person ended it: that is no memory error.
        (-signal.SIGKILL, False, "failed", "signal 9 and no result"),
        (
            -signal.SIGSEGV,
            True,
            "failed",
            "signal 11 and no result: first words | last words",
        ),
        (1, True, "failed", "exit code 1"),
    ],
)
def test_only_the_kernel_kills_for_memory(code, starved, status, said):
    death = _death(code, "first words\nlast words", starved)
    assert death.status == status
    assert said in str(death)


def test_the_kernels_count(tmp_path):
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 7\noom_kill 3\n")
    assert cores.memory_kills(vmstat) == 3
    assert cores.memory_kills(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("nr_throttled 2\nthrottled_usec 1500000\n", 1.5),
        ("throttled_time 5000\n", 5e-6),
    ],
)
def test_time_held_back_by_a_quota(tmp_path, text, seconds):
    (tmp_path / "cpu.stat").write_text(text)
    assert cores.throttled_s(tmp_path, "0::/") == pytest.approx(seconds)
    assert cores.throttled_s(tmp_path / "none", "0::/") == 0.0
