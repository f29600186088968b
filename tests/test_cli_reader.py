"""What a reader of results does to the command line: odd names, pipes, terminals."""

from __future__ import annotations

import csv
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import _print, app
from bench.record import table
from bench.report.markup import Column, Grid, Group, render
from bench.results import write

ROOT = Path(__file__).parents[1]
ROW = {
    "status": "ok", "role": "cell", "source": "measured", "protocol": 1,
    "machine_id": "m1", "machine": "Xeon", "environment_id": "e1",
    "core_kind": "vcpu", "cores": 2.0, "mode": "infer", "framework": "torch",
    "dtype": "float32", "image_size": 224, "track": "protocol", "input": "resident",
    "batch_rule": "fixed", "batch_size": 8, "study": "mine", "model": "Mixer-B/16",
    "family": "mixer", "cell_id": "a", "img_per_sec_core": 5.0,
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{**ROW, "attempt_id": f"a{r}", "repetition": r} for r in range(5)]
    write(table(rows), tmp_path / "rows.parquet")
    (tmp_path / "lab.csv").write_text("name,rate\nMixer-B/16,3\n")
    (tmp_path / "empty").mkdir()
    return tmp_path


def call(capsys, *arguments):
    capsys.readouterr()
    code = app._run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


BAD = [
    (["check", ""], "an empty name"),
    (["status", ""], "an empty name"),
    (["fold", ""], "an empty name"),
    (["merge", "", "-o", "m.parquet"], "an empty name"),
    (["table", "lab.csv"], "a CSV comes in by import"),
    (["plot", "rows.parquet", "--width", "nan"], "--width: nan in: give 3 to 40 in"),
    (["plot", "rows.parquet", "--width", "inf"], "--width: inf in: give 3 to 40 in"),
    (["plot", "rows.parquet", "--width", "1e9"], "--width: 1e+09 in: give 3 to"),
    (["table", "rows.parquet", "--bib", "--format", "json"], "--bib: prints BibTeX"),
    (["table", "rows.parquet", "--bib", "--sort", "top1"], "--bib: prints BibTeX"),
    (["table", "rows.parquet", "--where", "model=Mixer-B/61"], "did you mean 'Mixer-B"),
    (["fit", "rows.parquet", "--form", "nope"], "saturating, joint"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=lambda v: " ".join(v[:4]))
def test_bad_input_is_one_line_exit_2(arguments, message, capsys, here):
    before = sorted(here.rglob("*"))
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "") and message in err, err
    assert len(err.strip().splitlines()) == 1
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("name", ["mixer-b16", "mixer_b/16", "Mixer-B/16"])
def test_a_condition_forgives_the_spelling_of_a_model(name, capsys, here):
    code, out, _ = call(capsys, "table", "rows.parquet", "--where", f"model={name}")
    assert code == 0 and "Mixer-B/16" in out


def test_one_file_is_not_one_files(capsys, here):
    _, _, err = call(capsys, "check", "lab.csv")
    assert err.endswith("1 file, 0 rows: 1 fault\n")


def test_a_format_named_twice_is_written_once(capsys, here):
    flags = ["--figure", "pareto", "--out", "p", "--format", "svg,svg"]
    _, out, _ = call(capsys, "plot", "published", *flags)
    assert out.splitlines().count("p/pareto.svg") == 1


def test_a_figure_of_chosen_rows_keeps_the_published_ones(capsys, here):
    other = {**ROW, "model": "ViT-B/16", "family": "vit", "cell_id": "b"}
    rows = [{**other, "attempt_id": f"b{r}", "repetition": r} for r in range(5)]
    write(table(rows), here / "others.parquet")
    flags = ["--figure", "relative", "--format", "png", "--out"]
    both = ["plot", "rows.parquet", "others.parquet"]
    chosen = ["--where", "model=ViT-B/16"]
    assert call(capsys, *both, *flags, "whole")[0] == 0
    assert call(capsys, *both, *chosen, *flags, "vit")[0] == 0
    whole, vit = (
        set((here / name / "relative.csv").read_text().splitlines())
        for name in ("whole", "vit")
    )
    assert vit < whole  # without Mixer-B/16 the machine has no ratio
    assert all(",published," in line for line in vit if "TPUv3" in line)
    assert "--where=model=ViT-B/16 --figure relative" in (
        here / "vit" / "README.md"
    ).read_text(encoding="utf-8")
    code, _, err = call(capsys, *both, "--where", "model=ViT-L/16")
    assert code == 2 and "no row has model=ViT-L/16; present: Mixer-B/16" in err


def test_an_interruption_while_it_starts_is_no_traceback(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "bench", "models"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_no_argument_shows_the_help(capsys):
    code, out, err = call(capsys)
    assert (code, err) == (0, "") and "claims" in out and len(out.splitlines()) > 15


@pytest.mark.parametrize("verb", app.VERBS)
def test_every_example_of_the_help_can_be_parsed(verb):
    """A required option that an example lacks makes it a line that fails."""
    command = app.application((verb,))
    import typer

    group = typer.main.get_command(command)
    for line in app.EXAMPLES[verb]:
        words = shlex.split(line)
        assert words[:2] == ["mixer-bench", verb]
        inner = group if not hasattr(group, "commands") else group.commands[verb]
        inner.make_context(verb, words[2:])  # raises what a user would meet


def run(arguments, stderr=subprocess.PIPE, **environment):
    code = "from bench.cli.app import main; main()"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **environment},
    )


def test_a_pipe_that_closes_is_no_answer_of_no():
    with run(["models", "--format", "json"]) as done:
        done.stdout.close()
        err = done.stderr.read()
    assert (done.returncode, err) == (0, b"")


MANY = """
question: Ninety cells, a table longer than what a stream holds back
settings: {framework: jax, image_size: 16}
anchor: null
grids: [{mode: infer, model: Mixer-XXS/4, batch_size: [%s]}]
"""


def test_notes_stand_below_the_table_where_one_pipe_takes_both(tmp_path):
    (tmp_path / "my.yaml").write_text(MANY % ", ".join(map(str, range(1, 91))))
    study, results = str(tmp_path / "my.yaml"), str(tmp_path / "results")
    arguments = ["run", study, "--dry-run", "--out", results]
    out, _ = run(arguments, stderr=subprocess.STDOUT).communicate()
    *table, last = out.decode().splitlines()
    assert len(out) > io.DEFAULT_BUFFER_SIZE and len(table) == 92
    assert table[-1].endswith("not known: --probe measures it")
    assert last.startswith("90 cells, 90 measurements, ")


def test_a_terminal_without_unicode_gets_plain_signs():
    done = run(["table", "published"], PYTHONIOENCODING="ascii")
    out, err = done.communicate()
    assert done.returncode == 0, err
    assert b"(*) Extrapolated" in out and b"\\u260e" in out


GRID = Grid(
    [Column("name", text=True), Column("rate"), Column("why", text=True)],
    [
        Group("first", [["Mixer-B/16", "1,384", "the interval crosses two percent"]]),
        Group("second", [["ViT-B/16", "861", "—"]]),
    ],
    ["A note of several words that is longer than the table."],
)


def test_a_table_wider_than_the_terminal_is_told_group_by_group():
    assert (
        render(GRID, "table", 30)
        == """\
first
name         rate  why
----------  -----  -----------
Mixer-B/16  1,384  the
                   interval
                   crosses two
                   percent

second
name      rate
--------  ----
ViT-B/16   861

A note of several words that
is longer than the table."""
    )


def test_a_command_in_a_note_is_not_broken():
    note = "To measure it: mixer-bench time Mixer-B/16 --mode train --image-size 224"
    grid = Grid(GRID.columns, [], [note])
    assert render(grid, "table", 30).endswith(note)


def test_a_table_that_fits_stands_as_it_is():
    assert render(GRID, "table", 120) == render(GRID, "table")


def test_the_terminal_says_how_wide_it_is(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert _print.width(77) == 77  # no terminal here
    monkeypatch.setenv("COLUMNS", "60")
    assert _print.width(77) == 60
    monkeypatch.setenv("COLUMNS", "3")
    assert _print.width(77) == _print.NARROWEST


def test_json_holds_no_word_that_json_does_not_know():
    value = {"a": float("nan"), "b": [float("inf"), 1.5], "c": (1,)}
    assert _print.as_json(value) == (
        '{\n  "a": null,\n  "b": [\n    null,\n    1.5\n  ],\n  "c": [\n    1\n  ]\n}'
    )


def test_words_stand_left_and_numbers_right():
    rows = [{"study": "a", "cells": 1}, {"study": "peers", "cells": 1200}]
    assert _print.data(rows, "table").splitlines() == [
        "study      cells",
        "-------  -------",
        "a              1",
        "peers      1,200",
    ]


PIVOT = {"dtype": ["float32", "bfloat16"], "rate": [5.0, 8.0]}


@pytest.fixture
def two_dtypes(here):
    rows = [
        {**ROW, "attempt_id": f"{dtype}{r}", "repetition": r, "dtype": dtype,
         "cell_id": dtype, "img_per_sec_core": rate * (1 + r / 100)}
        for dtype, rate in zip(*PIVOT.values(), strict=True)
        for r in range(5)
    ]  # fmt: skip
    write(table(rows), here / "two.parquet")
    return here


def test_a_pivot_has_a_column_for_each_value(capsys, two_dtypes):
    code, out, _ = call(
        capsys, "table", "two.parquet", "--pivot", "dtype", "--format", "csv"
    )
    assert code == 0
    head, cells = list(csv.reader(out.splitlines()))[:2]
    rates = [f"dtype {name} (image/s/core)" for name in ("bfloat16", "float32")]
    assert head == ["group", "mode", "model", *rates, "attempt_ids"]
    assert cells[0].startswith("measured, ") and "inference, 224 px" in cells[0]
    assert cells[1:3] == ["infer", "Mixer-B/16"]
    assert [float(cell) for cell in cells[3:5]] == [
        pytest.approx(8.16),
        pytest.approx(5.1),
    ]
    assert len(cells[5].split(";")) == 10


NO_PIVOT = [
    (["--pivot", "colour"], "--pivot: unknown column 'colour'"),
    (["--pivot", "dtype", "--value", "loss"], "--value: unknown number 'loss'"),
    (["--pivot", "dtype", "--value", "top1"], "no row has top1"),
    (["--value", "top1"], "goes with --pivot"),
    (["--pivot", "dtype", "--sort", "top1"], "takes neither"),
]


@pytest.mark.parametrize("flags, message", NO_PIVOT, ids=lambda v: " ".join(v[:4]))
def test_a_pivot_that_cannot_be_is_one_line(flags, message, capsys, two_dtypes):
    code, out, err = call(capsys, "table", "two.parquet", *flags)
    assert (code, out) == (2, "") and message in err
