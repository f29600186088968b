"""Compiled programs are reused, said to be, and never change a result or a run."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import compile_cache, cores
from bench.errors import StudyError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def switched_on(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(compile_cache.SWITCH)
    return tmp_path


def test_the_folder_stands_in_the_users_cache(switched_on):
    found = compile_cache.folder("jax")
    assert found is not None and found.is_dir()
    assert found.parent == switched_on / "mixer-bench" / "compiled" / "jax"


def test_another_number_of_threads_or_another_processor_has_its_own(
    switched_on, monkeypatch
):
    here = compile_cache.folder("jax")
    monkeypatch.setattr(cores, "threads", lambda: 96)
    more = compile_cache.folder("jax")
    monkeypatch.setattr(cores, "cpuinfo", lambda: "processor : 0\nmodel : 7\n")
    other = compile_cache.folder("jax")
    assert len({here, more, other}) == 3


def test_without_xdg_it_is_in_the_home_folder(switched_on, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(switched_on))
    found = compile_cache.folder("torch")
    assert found is not None
    assert found.parents[3] == switched_on / ".cache"


def test_switched_off_there_is_none(switched_on, monkeypatch):
    monkeypatch.setenv(compile_cache.SWITCH, "on")
    compile_cache.switch_off()
    assert compile_cache.folder("jax") is None
    assert list(switched_on.iterdir()) == []


def test_another_word_than_on_and_off_is_refused(switched_on, monkeypatch):
    monkeypatch.setenv(compile_cache.SWITCH, "yes")
    with pytest.raises(StudyError, match="'yes'; known: on, off"):
        compile_cache.folder("jax")


def test_a_cache_that_cannot_be_written_is_done_without(
    switched_on, monkeypatch, caplog
):
    file = switched_on / "file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    assert compile_cache.folder("jax") is None
    assert "cannot keep compiled programs" in caplog.text


WORKER = """
import hashlib, json, os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
from bench import backend, backend_jax, models
from bench.models import weights
from bench.recipes.recipe import Recipe
backend_jax.WORTH_KEEPING_S = 0.0
b = backend.load("jax", "cpu")
spec = models.spec_for("ViT-XXS/4", image_size=8, num_classes=3)
start = weights.random(spec, 0)
images = np.random.default_rng(0).standard_normal((4, 8, 8, 3), dtype=np.float32)
labels = np.array([0, 1, 2, 0])
infer = b.infer(spec, start, images, dtype="float32")
learner = b.learner(spec, start, Recipe(), batch_size=4, dtype="float32")
for _ in range(3):
    learner.step(images, labels, 1e-2)
infer.enqueue()
digest = hashlib.sha256(np.asarray(infer._pending[-1]).tobytes())
for name, value in sorted(learner.state_dict().items()):
    digest.update(value.tobytes())
print(json.dumps([[infer.compile_cached, learner.compile_cached], digest.hexdigest()]))
"""


def ask(folder, state="on"):
    """Whether programs were cached, the digest of what they computed, and the noise."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WORKER],
        cwd=ROOT,
        env={
            **os.environ,
            "XDG_CACHE_HOME": str(folder),
            compile_cache.SWITCH: state,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return *json.loads(done.stdout), done.stderr


def test_jax_reuses_programs_with_equal_results_and_survives_damage(tmp_path):
    pytest.importorskip("jax")
    cold, digest, _ = ask(tmp_path)
    warm, again, noise = ask(tmp_path)
    off, without, _ = ask(tmp_path, "off")
    assert (cold, warm, off) == ([False] * 2, [True] * 2, [False] * 2)
    assert digest == again == without, "a cached program computed something else"
    assert noise == ""
    entries = list(tmp_path.rglob("*-cache"))
    assert entries
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:100])
    damaged, mended, noise = ask(tmp_path)
    assert (damaged, mended, noise) == ([False] * 2, digest, "")


WRITER = """
import sys, time
from pathlib import Path
from bench import compile_cache
place = Path(sys.argv[1])
compile_cache.hold(place)
(place / "ab").mkdir(exist_ok=True)
(place / "ab" / f"{sys.argv[2]}.so").write_text("torn")
print("written", flush=True)
time.sleep(float(sys.argv[3]))
"""


def writer(place, name, seconds):
    command = [sys.executable, "-c", WRITER, str(place), name, str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    with process.stdout as out:
        assert out.readline() == b"written\n"
    return process


def test_what_a_killed_process_was_writing_is_compiled_anew(tmp_path):
    assert writer(tmp_path, "done", 0).wait() == 0
    living = writer(tmp_path, "living", 60)
    killed = writer(tmp_path, "killed", 60)
    killed.kill()
    killed.wait()
    assert writer(tmp_path, "later", 0).wait() == 0
    found = {path.stem for path in tmp_path.rglob("*.so")}
    assert found == {"done", "living", "later"}
    assert len(list(tmp_path.glob("written-by-*"))) == 1, "the living one's"
    living.kill()
    living.wait()


def test_a_folder_that_cannot_be_locked_is_used_with_a_warning(
    tmp_path, monkeypatch, caplog
):
    def refuse(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    (tmp_path / "kept.so").write_text("whole")
    (tmp_path / "written-by-another").write_text("")
    monkeypatch.setattr(compile_cache.fcntl, "flock", refuse)
    compile_cache.hold(tmp_path)
    assert "cannot be locked: Operation not supported" in caplog.text
    assert (tmp_path / "kept.so").exists()
