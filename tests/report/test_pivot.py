"""A pivot: which rows share a line, which variant stands there, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.analysis.join import model_rows
from bench.cli import app
from bench.errors import UserError
from bench.record import table
from bench.report.pivot import pivot_grid
from bench.report.tables import BEST
from bench.results import read_results, to_frame

RESULTS = Path(__file__).parents[2] / "results"
BASE = {
    "status": "ok", "role": "cell", "source": "measured", "protocol": 1,
    "machine_id": "m1", "machine": "Xeon", "environment_id": "e1",
    "core_kind": "vcpu", "cores": 2.0, "dtype": "float32", "image_size": 224,
    "model": "Mixer-B/16", "family": "mixer",
}  # fmt: skip
TIMED = {
    **BASE, "mode": "infer", "framework": "torch", "track": "tuned",
    "input": "resident", "batch_rule": "fixed", "batch_size": 8, "variant": "eager",
}  # fmt: skip
TRAINED = {
    **BASE, "mode": "pretrain", "framework": "torch", "pretrain_dataset": "digits",
    "eval_dataset": "digits", "cell_id": "p",
}  # fmt: skip


def timed(rate: float, **values) -> dict:
    name = "-".join(map(str, values.values()))
    row = {**TIMED, "cell_id": name, "attempt_id": f"i-{name}"}
    return {**row, "img_per_sec_core": rate, **values}


def trained(images: int, top1: float) -> dict:
    row = {**TRAINED, "attempt_id": f"p-{images}", "data_examples": images}
    return {**row, "unique_images": images, "top1": top1}


def frame(*rows: dict) -> pd.DataFrame:
    return to_frame(table(rows), samples=True)


def lines(rows: pd.DataFrame, column: str, value: str = "img_per_sec_core"):
    """Each line's cells by title, with the attempts behind it."""
    grid = pivot_grid(rows, column, value, "infer")
    titles = [one.title for one in grid.columns]
    (group,) = grid.groups
    return [
        {**dict(zip(titles, cells, strict=True)), "attempts": fact["attempt_ids"]}
        for cells, fact in zip(group.rows, group.facts, strict=True)
    ]


VARIANTS = [timed(5.0, variant="eager"), timed(7.0, variant="compile")]
OTHER = timed(6.0, variant="jit", framework="jax")


def test_the_fastest_variant_stands_for_the_others_and_a_note_says_so():
    rows = frame(*VARIANTS, OTHER)
    assert lines(rows, "framework") == [
        {
            "model": "Mixer-B/16",
            "framework torch": "7.00",
            "framework jax": "6.00",
            "attempts": ["i-jit-jax", "i-compile"],
        }
    ]
    assert BEST in pivot_grid(rows, "framework", "img_per_sec_core", "infer").notes


def test_asked_for_variants_every_one_has_its_column():
    rows = frame(*VARIANTS)
    (line,) = lines(rows, "variant")
    assert (line["variant eager"], line["variant compile"]) == ("5.00", "7.00")
    assert BEST not in pivot_grid(rows, "variant", "img_per_sec_core", "infer").notes


def test_a_table_says_whether_it_is_of_inference_or_training_and_what_a_rate_means():
    rows = frame(*VARIANTS, OTHER, timed(1.0, variant="eager", mode="train"))
    for mode, word, what in [
        ("infer", "inference", "forward passes"),
        ("train", "training", "training steps (forward, backward, update)"),
    ]:
        found = pivot_grid(rows, "framework", "img_per_sec_core", mode)
        assert word in found.groups[0].heading
        (said,) = [note for note in found.notes if note.startswith("img/sec/core: ")]
        assert what in said and "median over n=" in said


def test_an_accuracy_needs_no_sentence_about_rates():
    found = pivot_grid(frame(trained(300, 0.5)), "framework", "top1", "infer")
    assert not any(note.startswith("img/sec/core") for note in found.notes)
    assert (
        "top-1 %: median over training runs [their range, n] (chance)." in found.notes
    )


def test_a_rate_that_many_trainings_share_stands_once():
    rows = frame(*VARIANTS, trained(300, 0.5), trained(1000, 0.6))
    (line,) = lines(rows, "framework")
    assert (line["framework torch"], line["attempts"]) == ("7.00", ["i-compile"])


def test_an_accuracy_stands_once_however_many_variants_were_timed():
    rows = frame(*VARIANTS, trained(300, 0.5), trained(1000, 0.6))
    assert [
        (line["train images"], line["framework torch"], line["attempts"])
        for line in lines(rows, "framework", "top1")
    ] == [("1,000", "60.0", ["p-1000"]), ("300", "50.0", ["p-300"])]


TOLD = [
    # what differs, the lines it makes where it crosses the columns, the note otherwise
    ("track", ["protocol", "tuned"], "track: protocol (jax), tuned (torch)."),
    ("dtype", ["bfloat16", "float32"], "dtype: bfloat16 (jax), float32 (torch)."),
    ("peer", ["timm", "—"], "peer: timm (jax), — (torch)."),
    ("image_size", ["224", "32"], "image size: 32 (jax), 224 (torch)."),
]


@pytest.mark.parametrize(("name", "values", "note"), TOLD, ids=[t[0] for t in TOLD])
def test_what_a_number_is_of_is_never_left_unsaid(name, values, note):
    """As a column of its own, or in a note where each framework has one value."""
    other = {"track": "protocol", "dtype": "bfloat16", "peer": "timm", "image_size": 32}
    unlike = {name: other[name]}
    torch = timed(5.0, variant="eager")
    apart = [torch, timed(6.0, variant="jit", framework="jax", **unlike)]
    found = pivot_grid(frame(*apart), "framework", "img_per_sec_core", "infer")
    assert len(found.groups[0].rows) == 1 and note in found.notes
    across = [*apart, timed(9.0, variant="a", model="ViT-B/16", **unlike)]
    made = lines(frame(*across), "framework")
    assert sorted({line[name.replace("_", " ")] for line in made}) == values


def test_epochs_tell_published_lines_apart():
    rows = [
        {**BASE, "source": "published", "mode": "pretrain", "run_id": f"r{epochs}",
         "attempt_id": f"r{epochs}", "pretrain_epochs": epochs, "img_per_sec_core": 419}
        for epochs in (7.0, 14.0)
    ]  # fmt: skip
    found = lines(frame(*rows), "machine")
    assert [line["pretrain epochs"] for line in found] == ["14", "7"]


COLLIDING = [
    ({"sweep_max": 16}, {"sweep_max": 32}, "sweep_max: 16, 32", "sweep_max=16"),
    ({}, {"sweep_max": 32}, "sweep_max: none, 32", "sweep_max=32"),
]


@pytest.mark.parametrize(("first", "second", "differ", "choice"), COLLIDING)
def test_rows_of_one_cell_are_told_apart_for_the_reader(first, second, differ, choice):
    rows = [
        {**timed(5.0), "track": "protocol", "cell_id": name, "attempt_id": name, **made}
        for name, made in (("a", first), ("b", second))
    ]
    with pytest.raises(UserError) as caught:
        pivot_grid(frame(*rows), "framework", "img_per_sec_core", "infer")
    assert str(caught.value) == (
        "--pivot framework: two rows for model=Mixer-B/16 under framework=torch; "
        f"they differ in {differ}; choose with --where {choice}"
    )


def test_rows_that_no_setting_tells_apart_are_refused_too():
    twins = [timed(5.0, track="protocol", cell_id=name) for name in "ab"]
    for name, row in zip("ab", twins, strict=True):
        row["attempt_id"] = name
    with pytest.raises(UserError, match="alike in every setting; give the files"):
        pivot_grid(frame(*twins), "framework", "img_per_sec_core", "infer")


def printed(capsys, *arguments: str) -> list[dict[str, Any]]:
    """The lines that `mixer-bench table` writes as JSON."""
    assert app._run(["table", *arguments, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)["rows"]


def test_the_committed_results_pivot_by_framework(capsys):
    found = printed(capsys, str(RESULTS), "--pivot", "framework")
    asked = {
        "mode": "infer", "model": "Mixer-B/16", "peer": "timm", "batch_size": 8,
        "track": "tuned", "dtype": "float32",
    }  # fmt: skip
    (line,) = (one for one in found if asked.items() <= one.items())
    models = model_rows(read_results(str(RESULTS), samples=True))
    for name, value in asked.items():
        models = models[models[name] == value]
    best = models["img_per_sec_core"].max()
    assert len(models) > 1 and line["framework torch"] == pytest.approx(best)
    assert {one["mode"] for one in found} == {"infer", "train"}
    assert all(one["attempt_ids"] for one in found)


def test_published_rows_pivot_by_what_was_learned_from(capsys):
    asked = ("published", "--where", "family=mixer", "--pivot", "pretrain_dataset")
    found = printed(capsys, *asked)
    assert [
        one["pretrain_epochs"]
        for one in found
        if one.get("pretrain dataset JFT-300M") == 419
    ] == [14, 7]
