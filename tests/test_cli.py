"""The command line as a user meets it: exit codes, one line on stderr, nothing lost."""

import json
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import __version__, executors
from bench.cli import app


def call(capsys, *arguments):
    """Exit code, standard output, standard error of one command."""
    capsys.readouterr()
    code = app._run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


class OkExecutor:
    def run(self, item):
        rates = {"img_per_sec": 20.0, "img_per_sec_core": 10.0}
        return {"status": "ok", "stop_reason": "time", **rates}


class FailingExecutor:
    def run(self, item):
        return {"status": "oom", "error_class": "X", "error_message": "too <b>big</b>"}


STUDY = """
question: A study of one cell
settings: {batch_size: 4}
anchor: null
grids: [{mode: infer, model: Mixer-XXS/4, framework: jax, image_size: 16}]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(STUDY)
    return tmp_path


def test_version(capsys):
    assert call(capsys, "--version") == (0, f"mixer-bench {__version__}\n", "")


def test_models_as_objects(capsys):
    code, out, _ = call(capsys, "models", "--format", "json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["Mixer-B/16"] == {
        "name": "Mixer-B/16",
        "family": "mixer",
        "params_1k": 59_880_472,
        "params_21k": 75_908_739,
        "macs": rows["Mixer-B/16"]["macs"],
        "adam_mb": 958.1,
        "tokens": 196,
        "image_size": 224,
    }
    assert rows["BiT-R152x4"]["params_21k"] == 1_107_299_923


@pytest.mark.parametrize("fmt, first", [("csv", "name,family"), ("table", "name ")])
def test_models_in_the_other_formats(capsys, fmt, first):
    code, out, _ = call(capsys, "models", "--format", fmt)
    assert code == 0 and out.startswith(first) and "ViT-H/14" in out


def test_dry_run_prints_the_cells_and_writes_nothing(capsys, here):
    code, out, err = call(capsys, "run", "my.yaml", "--dry-run")
    assert code == 0 and "infer Mixer-XXS/4 jax 16px" in out
    assert "1 cell, 1 measurement, " in err
    assert [path.name for path in here.iterdir()] == ["my.yaml"]


def test_run_twice_measures_once(capsys, here, monkeypatch):
    monkeypatch.setattr(executors, "make", lambda name: OkExecutor())
    code, out, err = call(capsys, "run", "my.yaml")
    assert code == 0 and "[1/1]" in err and "rows " in out
    code, out, err = call(capsys, "run", "my.yaml")
    assert code == 0
    assert "reusing 1 finished" in err and "nothing is left to measure" in err
    code, out, err = call(capsys, "run", "my.yaml", "--dry-run")
    assert code == 0
    assert "1 cell, 0 measurements, nothing is left to measure; nothing was" in err


class CautiousExecutor(OkExecutor):
    def run(self, item):
        said = {"cause": "a job", "remedy": "end it"}
        kinds = [("host_load", "1 of 2 cores"), ("drift", "9 % slower")]
        told = [{"kind": kind, "seen": seen, **said} for kind, seen in kinds]
        return {**super().run(item), "cautions": told[: 2 - item.repetition]}


def test_cautions_are_told_after_the_table(capsys, here, monkeypatch):
    monkeypatch.setattr(executors, "make", lambda name: CautiousExecutor())
    (here / "my.yaml").write_text(f"{STUDY}repetitions: 2\n")
    _, out, _ = call(capsys, "run", "my.yaml")
    said = [line for line in out.splitlines() if line.startswith("caution")]
    where = "as in Mixer-XXS/4 jax infer"
    assert said == [
        f"caution  host_load in 2 of 2 rows, {where}: 1 of 2 cores; likely a job; "
        "end it",
        f"caution  drift in 1 of 2 rows, {where}: 9 % slower; likely a job; end it",
    ]


def test_a_study_whose_cells_another_has_measured_still_shows_them(
    capsys, here, monkeypatch
):
    monkeypatch.setattr(executors, "make", lambda name: OkExecutor())
    (here / "other.yaml").write_text(STUDY)
    call(capsys, "run", "my.yaml")
    code, out, _ = call(capsys, "run", "other.yaml")
    assert code == 0 and "Mixer-XXS/4" in out and "my.parquet (1 of" in out


def test_failed_cells_end_with_one(capsys, here, monkeypatch):
    monkeypatch.setattr(executors, "make", lambda name: FailingExecutor())
    code, _, err = call(capsys, "run", "my.yaml")
    assert code == 1 and "oom" in err and "too <b>big</b>" in err


def test_an_interrupt_is_130(capsys, here, monkeypatch):
    class Interrupted:
        def run(self, item):
            raise KeyboardInterrupt

    monkeypatch.setattr(executors, "make", lambda name: Interrupted())
    code, _, err = call(capsys, "run", "my.yaml")
    assert code == 130 and "interrupted" in err


def test_our_own_fault_is_70(capsys, here, monkeypatch):
    class Broken:
        def run(self, item):
            raise RuntimeError("[bold]oops")

    monkeypatch.setattr(executors, "make", lambda name: Broken())
    code, _, err = call(capsys, "run", "my.yaml")
    assert code == 70 and "internal error: RuntimeError: [bold]oops" in err
    code, _, err = call(capsys, "--debug", "run", "my.yaml")
    assert code == 70 and "Traceback" in err


def foreign(path):
    pq.write_table(pa.table({"x": [1]}), path)


BAD = [
    (["tabel"], "No such command"),
    (["run"], "Missing argument"),
    (["run", "my.yaml", "--nope"], "No such option"),
    (["run", "nowhere.yaml"], "no such file; shipped studies: "),
    (["run", "."], "is a folder"),
    (["run", "junk.bin"], "not a text file"),
    (["run", "my.yaml", "--executor", "slurm"], "unknown executor 'slurm'"),
    (["run", "my.yaml", "--out", "junk.bin"], "junk.bin: is a file"),
    (["run", "my.yaml", "--out", "junk.bin/x"], "cannot write"),
    (["run", "my.yaml", "--plots", "junk.bin"], "is a file"),
    (["run", "my.yaml", "--reuse", "some"], "unknown word 'some'"),
    (["time", "Mixer-B/16", "--mode", "train", "--dtype", "float16"], "float16"),
    (["time", "Mixxer-B/16"], "MODELS: unknown model 'Mixxer-B/16'"),
    (
        ["time", "Mixer-B/16", "--framework", "tf"],
        "--framework: unknown framework 'tf'",
    ),
    (["time", "Mixer-B/16", "--mode", "eval"], "unknown speed mode 'eval'"),
    (["time", "Mixer-B/16", "--mode", "pretrain"], "unknown speed mode 'pretrain'"),
    (["time", "Mixer-B/16", "--batch-size", "eight"], "'eight'"),
    (["time", "Mixer-B/16", "--dtype", "fp8"], "--dtype: unknown dtype 'fp8'"),
    (["time", "Mixer-B/16", "--image-size", "225"], "225"),
    (["time", "Mixer-B/16", "--repetitions", "0"], "--repetitions: 0: must be"),
    (["time", "Mixer-B/16", "--window", "0"], "--window: 0.0: must be"),
    (["time", "Mixer-B/16", "--window", "inf"], "--window: inf: must be"),
    (["time", "Mixer-B/16", "--batch-size", "0"], "--batch-size: 0: must be"),
    (["time", "Mixer-B/16", "--batch-size", ""], "--batch-size: is an empty"),
    (["time", "Mixer-B/16", "--mode", ","], "mode"),
    (["time", "Mixer-B/16", "--dtype", ""], "--dtype: is an empty list"),
    (["time", "Mixer-B/16", "--image-size", "0"], "--image-size: 0: must"),
    (["time", "Mixer-B/16", "--image-size", "big"], "--image-size: 'big': give"),
    (["time", "Mixer-B/16", "--image-size", ","], "--image-size: is an empty list"),
    (["time", "Mixer-B/16", "--image-size", "-224"], "--image-size: -224: "),
    (["time", "Mixer-B/16", "--track", "fast"], "--track: unknown track 'fast'"),
    (["time", "Mixer-B/16", "--against", "keras"], "unknown peer 'keras'"),
    (["time", "Mixer-B/16", "--out", "junk.bin"], "junk.bin: is a file"),
    (["time", "Mixer-B/16", "--peak", "bf16=1e12"], "give dtype=FLOP/s:source"),
    (["time"], "Missing argument"),
    (["doctor", "--device", "abacus"], "abacus"),
    (["doctor", "Mixer-B/16"], "unexpected extra argument"),
    (["time", "Mixer-B/16", "--device", "abacus"], "abacus"),
    (["models", "--format", "xml"], "unknown format 'xml'"),
    (["models", "--image-size", "225"], "225"),
    (["table", "nowhere.parquet"], "no such file"),
    (["table", "junk.bin"], "not a parquet file"),
    (["table", "foreign.parquet"], "not of mixer-bench"),
    (["table", "published", "--format", "docx"], "--format: unknown format 'docx'"),
    (
        ["table", "published", "--baseline", "Mixer-Z/3"],
        "--baseline: unknown model 'Mixer-Z/3'",
    ),
    (["plot", "nowhere"], "no such file"),
    (["plot", "junk.bin"], "not a parquet file"),
    (["plot", "published", "--figure", "histogram"], "unknown figure 'histogram'"),
    (["plot", "published", "--format", "bmp"], "unknown figure format 'bmp'"),
    (["plot", "published", "--width", "wide"], "wide"),
    (["plot", "published", "--out", "junk.bin"], "is a file"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=lambda v: " ".join(v[:4]))
def test_bad_input_is_one_line_exit_2_and_nothing_written(
    arguments, message, capsys, here
):
    (here / "junk.bin").write_bytes(bytes(range(256)))
    foreign(here / "foreign.parquet")
    before = sorted(here.rglob("*"))
    code, out, err = call(capsys, *arguments)
    assert code == 2, err
    assert re.search(message, err), err
    assert len(err.strip().splitlines()) == 1 and err.startswith("mixer-bench: ")
    assert out == "" and sorted(here.rglob("*")) == before


def test_reading_commands_need_no_framework(tmp_path):
    """With jax and torch hidden, the published tables and figures still come out."""
    code = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('jax', 'flax', 'optax', 'torch'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
from bench.cli import app
for arguments in (
    ['models'], ['table', 'published'], ['plot', 'published', '--format', 'svg'],
):
    assert app._run(arguments) == 0, arguments
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Mixer-H/14" in done.stdout and list(tmp_path.rglob("*.svg"))


@pytest.mark.parametrize("module, stays_out", [("bench", True), ("bench.api", True)])
def test_importing_bench_imports_no_framework(module, stays_out):
    assert loaded_by(f"import {module}") is not stays_out


def test_the_check_above_can_fail():
    assert loaded_by("import torch")


def loaded_by(statement):
    heavy = "{'jax', 'torch', 'pandas'}"
    code = f"{statement}; import sys; print({heavy} & {{*sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip() != "set()"
