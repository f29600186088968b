"""The table of model rows, its citation and its failures."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from bench.analysis.against import ratio_interval
from bench.analysis.join import model_rows
from bench.errors import UserError
from bench.record import table
from bench.report.citation import citation
from bench.report.tables import (
    comparison_grid,
    comparison_grids,
    comparison_table,
    failures_table,
)
from bench.results import read_published, to_frame

BASE = {
    "status": "ok",
    "role": "cell",
    "source": "measured",
    "protocol": 1,
    "machine_id": "m1",
    "environment_id": "e1",
    "environment": {"jax": "0.10.2", "python": "3.11.9"},
    "machine": "Xeon 8481C",
    "device_name": "Xeon 8481C",
    "core_kind": "vcpu",
    "cores": 2.0,
    "parallelism": "intra_op",
    "git_sha": "0123456789abcdef",
    "framework": "jax",
    "dtype": "float32",
    "image_size": 32,
    "batch_size": 8,
    "family": "mixer",
}


def infer(model: str, rate: float, **values) -> dict:
    row = {
        "mode": "infer",
        "model": model,
        "cell_id": f"i {model}",
        "img_per_sec_core": rate,
        "track": "protocol",
        "batch_rule": "auto",
        "input": "resident",
        "layout": "NHWC",
        "variant": "jit",
        "param_count": 1_234_567,
    }
    return {**BASE, **row, **values}


def pretrain(model: str, top1: float, **values) -> dict:
    row = {
        "mode": "pretrain",
        "model": model,
        "cell_id": f"p {model}",
        "top1": top1,
        "chance": 0.1,
        "pretrain_dataset": "fractals",
        "eval_dataset": "fractals",
        "core_days_measured": 0.0123,
    }
    return {**BASE, **row, **values}


def frame(*rows: dict, samples: bool = True) -> pd.DataFrame:
    return to_frame(table(rows), samples=samples)


def lines(rows: pd.DataFrame, **asked) -> list[dict[str, str]]:
    """Each line's cells by their titles, also those that a heading or a note tells."""
    grid = comparison_grid(rows, **asked)
    titles = [column.title for column in grid.columns]
    return [
        {"comparable rows": group.heading, **dict(zip(titles, cells, strict=True))}
        for group in grid.groups
        for cells in group.rows
    ]


def probe(accuracy: float, baseline: str | None, seed: int = 0) -> dict:
    return {
        "dataset": "digits",
        "shots": 5,
        "seed": seed,
        "accuracy": accuracy,
        "baseline": baseline,
    }


def test_the_whole_table():
    rows = frame(
        infer("Mixer-S/4", 1384.2),
        pretrain(
            "Mixer-S/4",
            0.5,
            fewshot=[
                probe(0.4, None),
                probe(0.6, None, seed=1),
                probe(0.7, "raw_pixels"),
                probe(0.3, "random_init"),
            ],
        ),
        infer("ViT-S/4", 692.1, status="oom", error_message="needs 9 GB, has 8"),
        pretrain("ViT-S/4", 0.25),
    )
    assert comparison_table(rows, "table") == WHOLE


WHOLE = """\
model      framework  params  img/sec/core              interval      top-1 %  core-days  5-shot %
                         (M)                                         (chance)
---------  ---------  ------  ------------  --------------------  -----------  ---------  ------------------------
[1] measured, Xeon 8481C, vcpu, inference, 32 px, batch 8, float32, protocol track, trained on fractals, tested on fractals
Mixer-S/4  jax          1.23         1,384  n=1, within-run only  50.0 (10.0)     0.0123  digits 50.0 (70.0, 30.0)
[2] measured, Xeon 8481C, vcpu, throughput not measured, 32 px, float32, trained on fractals, tested on fractals
ViT-S/4    jax             —             —                     —  25.0 (10.0)     0.0123  —

[1] img/sec/core: images per second over 2 x vcpu sharing each batch; forward passes, batch picked by a pilot sweep and measured afresh, inputs resident on the device, protocol track (each framework's default build for every family), float32, layout NHWC, built as jit; compilation and warm-up apart; median over n=1 fresh processes of each one's median block; no interval with fewer than 5 processes. Xeon 8481C. jax 0.10.2, python 3.11.9; commit 0123456789ab.

[2] img/sec/core: not measured.

5-shot %: linear probes on each target; in brackets those on raw pixels and on the network at random initialisation.

Not above: infer ViT-S/4 jax 32 px oom: needs 9 GB, has 8"""  # noqa: E501


def _five(model: str, rate: float) -> list[dict]:
    samples = [[4 / (rate + r)] * 3 for r in range(5)]
    return [
        infer(model, rate + r, repetition=r, samples=one)
        for r, one in enumerate(samples)
    ]


def test_the_sentence_says_the_level_that_its_processes_reach():
    five = comparison_table(frame(*_five("Mixer-S/4", 100.0)))
    assert "; 93.75 % interval of order statistics" in five
    both = [*_five("Mixer-S/4", 100.0), infer("Mixer-S/4", 105.0, repetition=5)]
    assert "; 95 % interval of order statistics" in comparison_table(frame(*both))


def test_training_timed_beside_an_anchor_makes_one_table():
    anchor = infer("Mixer-S/32", 30.0, role="anchor")
    step = infer("Mixer-S/4", 100.0, mode="train")
    (grid,) = comparison_grids(frame(anchor, step), baseline="Mixer-S/4")
    assert [row[0] for group in grid.groups for row in group.rows] == ["Mixer-S/4"]


def test_the_interval_needs_five_processes():
    (row,) = lines(frame(*_five("Mixer-S/4", 100.0)))
    assert re.fullmatch(r"10\d\.\d – 10\d\.\d \(n=5\)", row["interval"])
    assert row["img/sec/core"] == "102.0"  # as many digits as the interval has
    (row,) = lines(frame(*_five("Mixer-S/4", 100.0)[:2]))
    assert row["interval"] == "n=2, within-run only"
    (row,) = lines(frame(*_five("Mixer-S/4", 100.0), samples=False))
    assert row["interval"] == "n=5, samples not read"


def test_the_range_over_seeds_stands_beside_the_median():
    rows = [pretrain("Mixer-S/4", a, seed=s) for s, a in enumerate((0.5, 0.9, 0.6))]
    (row,) = lines(frame(*rows))
    assert row["top-1 % (chance)"] == "60.0 [50.0 – 90.0, n=3] (10.0)"


def test_ratios_stay_inside_machine_framework_and_size():
    rows = frame(
        infer("Mixer-S/4", 200.0),
        infer("ViT-S/4", 100.0),
        infer("Mixer-S/4", 50.0, image_size=64, cell_id="c1"),
        infer("ViT-S/4", 20.0, image_size=64, cell_id="c2"),
        infer("Mixer-S/4", 70.0, framework="torch", cell_id="c3"),
        infer("Mixer-S/4", 90.0, machine_id="m2", machine="Other", cell_id="c4"),
    )
    found = {
        (row["img/sec/core"], row["vs ViT-S/4"])
        for row in lines(rows, baseline="ViT-S/4")
    }
    assert found == {
        ("200", "2.00x"),
        ("100", "1.00x"),
        ("50.0", "2.50x"),
        ("20.0", "1.00x"),
        ("70.0", "—"),
        ("90.0", "—"),
    }


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"batch_rule": "fixed"}, "batch rule, fixed batch size"),
        ({"environment_id": "e2"}, "environment"),
        ({"device_kind": "cuda"}, "device kind"),
        ({"dtype": "bfloat16"}, "dtype"),
        ({"framework": "torch"}, "framework"),
        ({"num_classes": 10}, "num classes"),
    ],
)
def test_a_ratio_crosses_nothing_that_makes_rates_unlike(other, why):
    rows = frame(
        infer("ViT-S/4", 100.0), infer("Mixer-S/4", 200.0, cell_id="c", **other)
    )
    text = comparison_table(rows, "table", baseline="ViT-S/4")
    (row,) = (r for r in lines(rows, baseline="ViT-S/4") if r["model"] == "Mixer-S/4")
    assert row["vs ViT-S/4"] == "—"
    said = f"No ratio where ViT-S/4 was not timed with the same {why} (1 row)."
    assert said in text


def _beside(sitting: str, n: int = 5) -> pd.DataFrame:
    """ViT-S/4 and twice as fast a Mixer-S/4, timed in `sitting` and n times."""
    vits = [{**row, "sitting_id": "here"} for row in _five("ViT-S/4", 100.0)]
    mixers = [{**row, "sitting_id": sitting} for row in _five("Mixer-S/4", 202.0)]
    return frame(*vits, *mixers[:n])


LOW, HIGH = ratio_interval(
    [202.0, 203.0, 204.0, 205.0, 206.0], [100.0, 101.0, 102.0, 103.0, 104.0]
)


@pytest.mark.parametrize(
    ("sitting", "n", "text", "low", "high"),
    [
        ("here", 5, f"2.00x [{LOW:.2f} – {HIGH:.2f}]", LOW, HIGH),
        ("here", 4, "2.00x", None, None),
        ("there", 5, "2.00x†", None, None),
    ],
)
def test_a_ratio_has_an_interval_where_both_sides_took_turns(
    sitting, n, text, low, high
):
    rows = _beside(sitting, n)
    found = {r["model"]: r["vs ViT-S/4"] for r in lines(rows, baseline="ViT-S/4")}
    assert found == {"Mixer-S/4": text, "ViT-S/4": "1.00x"}
    note = "† The two sides were timed in different sittings, between which a machine"
    within = "Brackets behind a ratio: its 95 % interval, a bootstrap over the fresh"
    for fmt in ("table", "github", "html", "json"):
        told = comparison_table(rows, fmt, baseline="ViT-S/4")
        assert told.count(note) == (sitting == "there")
        assert told.count(within) == (low is not None)
    made = json.loads(comparison_table(rows, "json", baseline="ViT-S/4"))
    ends = {
        row["model"]: (row["over ViT-S/4_low"], row["over ViT-S/4_high"])
        for row in made["rows"]
    }
    assert ends == {"Mixer-S/4": (low, high), "ViT-S/4": (None, None)}


def test_a_baseline_with_an_interval_stands_before_a_luckier_row_of_it():
    lucky = infer("ViT-S/4", 500.0, cell_id="lucky", layout="NCHW")
    rows = [*_five("ViT-S/4", 100.0), lucky, *_five("Mixer-S/4", 202.0)]
    found = {r["img/sec/core"]: r["vs ViT-S/4"]
             for r in lines(frame(*rows), baseline="ViT-S/4")}  # fmt: skip
    assert found["500"] == "4.90x" and found["102.0"] == "1.00x"
    assert found["204.0"].startswith("2.00x [")


def test_fixed_batches_are_divided_only_where_equal():
    fixed = {"batch_rule": "fixed"}
    rows = frame(
        infer("ViT-S/4", 100.0, **fixed),
        infer("Mixer-S/4", 200.0, **fixed),
        infer("BiT-R50x1", 50.0, batch_size=16, **fixed),
    )
    found = {r["model"]: r["vs ViT-S/4"] for r in lines(rows, baseline="ViT-S/4")}
    assert found == {"ViT-S/4": "1.00x", "Mixer-S/4": "2.00x", "BiT-R50x1": "—"}


def test_a_recipe_per_model_is_a_note_and_what_differs_by_name_a_column():
    rates = {"Mixer-S/4": 0.01, "ViT-S/4": 0.005}
    rows = [pretrain(model, 0.5, learning_rate=rate) for model, rate in rates.items()]
    text = comparison_table(frame(*rows), "table")
    assert "learning rate: 0.005 (ViT-S/4 jax), 0.01 (Mixer-S/4 jax)." in text
    assert "learning" not in text.splitlines()[0]
    assert lines(frame(*rows))[0]["learning rate"] in ("0.005", "0.01")
    again = pretrain("ViT-S/4", 0.6, learning_rate=0.01)
    assert "learning" in comparison_table(frame(*rows, again), "table").splitlines()[0]


def test_different_keys_are_different_groups():
    rows = frame(
        infer("Mixer-S/4", 1.0),
        infer("Mixer-S/4", 2.0, dtype="bfloat16", cell_id="b"),
        infer("Mixer-S/4", 3.0, track="tuned", cell_id="c"),
        infer("Mixer-S/4", 4.0, machine_id="m2", machine="Other", cell_id="d"),
        infer("Mixer-S/4", 5.0, core_kind="cpu_core", machine_id="m3", cell_id="e"),
    )
    groups = [row["comparable rows"] for row in lines(rows)]
    assert len(set(groups)) == 5
    assert any(group.endswith("bfloat16, protocol track") for group in groups)


def test_the_mode_is_named_and_never_mixed():
    rows = frame(
        infer("Mixer-S/4", 9.0), infer("Mixer-S/4", 3.0, mode="train", cell_id="t")
    )
    (row,) = lines(rows, mode="train")
    assert row["img/sec/core"] == "3.00"
    assert "training" in row["comparable rows"]
    assert "training steps (forward, backward, update)" in comparison_table(
        rows, mode="train"
    )


def test_settings_get_a_column_only_where_they_differ():
    rows = [
        pretrain("Mixer-S/4", 0.1 * n, unique_images=n * 1000, data_examples=n * 1000)
        for n in (1, 2)
    ]
    assert [row["train images"] for row in lines(frame(*rows))] == ["1,000", "2,000"]
    assert "train images" not in lines(frame(rows[0]))[0]


@pytest.mark.parametrize(
    ("field", "title", "values", "printed"),
    [
        ("learning_rate", "learning rate", (0.001, 0.01), ["0.001", "0.01"]),
        ("batch_size", "train batch", (32, 64), ["32", "64"]),
        ("total_epochs", "epochs", (1.5, 2.0), ["1.5", "2"]),
        ("subset", "subset", ("balanced", "random"), ["balanced", "random"]),
        ("loss", "loss", ("sigmoid", "softmax"), ["sigmoid", "softmax"]),
        ("optimizer", "optimizer", ("adam", "sgd"), ["adam", "sgd"]),
        ("clip_norm", "clip norm", (1.0, None), ["1", "—"]),
        ("warmup_steps", "warmup steps", (0, 10), ["0", "10"]),
        ("device", "train device", ("cpu", "cuda"), ["cpu", "cuda"]),
        ("data_fraction", "data fraction", (0.5, None), ["0.5", "—"]),
    ],
)
def test_every_setting_of_training_that_differs_is_shown(field, title, values, printed):
    rows = [pretrain("Mixer-S/4", 0.5, **{field: value}) for value in values]
    assert sorted(row[title] for row in lines(frame(*rows))) == sorted(printed)
    assert title not in lines(frame(rows[0], infer("Mixer-S/4", 1.0)))[0]


@pytest.mark.parametrize(
    ("field", "title", "values"),
    [
        ("num_classes", "classes", (10, 1000)),
        ("device", "device", ("auto", "cpu")),
        ("pool", "pool", ("gap", None)),
        ("batch_rule", "batch rule", ("auto", "fixed")),
    ],
)
def test_every_setting_of_timing_that_differs_is_shown(field, title, values):
    rows = [
        infer("ViT-S/4", 9.0, cell_id=str(value), **{field: value}) for value in values
    ]
    assert len({row[title] for row in lines(frame(*rows))}) == 2
    assert title not in lines(frame(rows[0]))[0]


def test_a_failure_that_was_made_good_is_not_listed():
    failed = {"status": "oom", "error_message": "needs 9 GB", "repetition": 1}
    rows = [
        infer("Mixer-S/4", 1.0, **failed),
        infer("Mixer-S/4", 1.0, repetition=0),
        infer("Mixer-S/4", 1.0, repetition=1, role="anchor"),
        infer("Mixer-S/4", 1.0, repetition=1, machine_id="m2"),
    ]
    assert "needs 9 GB" in comparison_table(frame(*rows))
    rows.append(infer("Mixer-S/4", 1.0, repetition=1))
    assert "needs 9 GB" not in comparison_table(frame(*rows))
    assert "needs 9 GB" in failures_table(frame(*rows))


def test_published_rows_keep_their_own_groups_and_names():
    rows = pd.concat([read_published(), frame(infer("Mixer-S/4", 9.0))])
    found = lines(rows)
    mixer = [row for row in found if row["img/sec/core"] == "1,384"]
    assert {row["interval"] for row in mixer} == {"as published"}
    assert all("published, TPUv3" in row["comparable rows"] for row in mixer)
    assert {row["core-days"] for row in mixer} == {"10.0‡", "150‡", "80.0"}
    assert {row["model"] for row in found} >= {"HaloNet", "MPL", "Mixer-S/4"}


def test_demo_sizes_say_so():
    assert "Demo scale: shows that the pipeline works" in comparison_table(
        frame(infer("Mixer-XS/4", 1.0))
    )
    assert "Demo scale" not in comparison_table(frame(infer("Mixer-S/4", 1.0)))


def test_the_order_is_the_callers():
    rows = frame(
        *(infer("Mixer-S/4", 1.0, image_size=64), infer("ViT-S/4", 2.0, cell_id="v")),
        infer("BiT-R50x1", 3.0, image_size=48, cell_id="b"),
    )
    assert [row["img/sec/core"] for row in lines(rows)] == ["3.00", "2.00", "1.00"]
    assert [row["px"] for row in lines(rows, sort="image_size")] == ["32", "48", "64"]
    assert lines(rows, sort="model")[0]["model"] == "BiT-R50x1"
    with pytest.raises(UserError, match=r"--sort: unknown column 'speed'"):
        lines(rows, sort="speed")


def test_the_best_of_each_group_is_bold_and_of_no_other():
    there = {"machine_id": "m2", "machine": "Other"}
    text = comparison_table(
        frame(
            *(infer("Mixer-S/4", 200.0), infer("ViT-S/4", 100.0)),
            infer("Mixer-S/4", 7.0, cell_id="c1", **there),
            infer("ViT-S/4", 9.0, cell_id="c2", **there),
            infer("BiT-R50x1", 5.0, cell_id="c3", dtype="bfloat16"),
        ),
        "github",
    )
    assert re.findall(r"\*\*([\d.]+)\*\*", text) == ["200", "9.00"]


def test_data_holds_numbers_with_their_intervals_units_and_probes():
    fewshot = [probe(0.4, None), probe(0.6, None, seed=1), probe(0.7, "raw_pixels")]
    rows = frame(
        *_five("Mixer-S/4", 1384.25),
        infer("ViT-S/4", 692.125),
        pretrain("Mixer-S/4", 0.5, fewshot=fewshot),
    )
    made = json.loads(comparison_table(rows, "json", baseline="ViT-S/4"))
    line = next(row for row in made["rows"] if row["model"] == "Mixer-S/4")
    rate = line["img_per_sec_core"]
    assert rate == pytest.approx(1386.25)
    assert line["img_per_sec_core_low"] < rate < line["img_per_sec_core_high"]
    assert line["n"] == 5 and line["over ViT-S/4"] == pytest.approx(rate / 692.125)
    assert (line["top1"], line["chance"], line["core_days"]) == (0.5, 0.1, 0.0123)
    assert line["fewshot5_digits"] == 0.5 and line["fewshot5_digits_raw_pixels"] == 0.7
    assert line["pretrain_dataset"] == "fractals" and line["group"].startswith("[1]")
    units = [made["units"][name] for name in ("img_per_sec_core_low", "core_days")]
    assert units == ["image/s/core", "core-day"]


def test_every_line_names_the_attempts_behind_it():
    rows = frame(
        *(infer("Mixer-S/4", 5.0, repetition=r, attempt_id=f"i{r}") for r in (0, 1)),
        pretrain("Mixer-S/4", 0.5, attempt_id="p0"),
    )
    (row,) = json.loads(comparison_table(rows, "json"))["rows"]
    assert row["attempt_ids"] == ["p0", "i0", "i1"]


def test_mistakes_are_one_line():
    rows = frame(infer("Mixer-S/4", 1.0))
    with pytest.raises(UserError, match=r"unknown baseline 'ViT'; known: Mixer-S/4"):
        comparison_table(rows, baseline="ViT")
    with pytest.raises(
        UserError, match=r"unknown speed mode 'pretrain'; known: infer,"
    ):
        comparison_table(rows, mode="pretrain")


def test_the_citation_names_what_differs():
    rows = frame(
        infer("Mixer-S/4", 1.0, git_dirty=True),
        infer(
            "ViT-S/4",
            2.0,
            framework="torch",
            variant="eager",
            batch_rule="fixed",
            environment_id="e2",
            environment={"torch": "2.13.0", "python": "3.11.9"},
        ),
    )
    text = citation(model_rows(rows))
    assert "batch picked by a pilot sweep and measured afresh or batch fixed" in text
    assert "built as jit / eager" in text
    assert "jax 0.10.2, python 3.11.9, torch 2.13.0; " in text
    assert text.endswith("commit 0123456789ab with uncommitted changes.")


def test_the_citation_says_where_products_were_widened():
    kept = infer("Mixer-S/4", 1.0, dtype="bfloat16", product_dtype="bfloat16")
    assert "products" not in citation(model_rows(frame(kept)))
    wide = infer("Mixer-S/4", 1.0, dtype="bfloat16", product_dtype="float32")
    text = citation(model_rows(frame(wide)))
    assert "bfloat16 (products computed in float32 by jax)" in text
    tf32 = infer("Mixer-S/4", 1.0, dtype="tf32", product_dtype="float32")
    assert "products" not in citation(model_rows(frame(tf32)))


def test_the_citation_without_nested_columns_names_the_environment():
    text = citation(model_rows(frame(infer("Mixer-S/4", 1.0), samples=False)))
    assert "environment e1; commit" in text


@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        (
            "TPUv3",
            "the paper's inference throughput as published, TPUv3, core = tpu_core",
        ),
        ("RTX 4090", "RTX 4090, core = gpu (timm, PyTorch 2.4, automatic mixed"),
    ],
)
def test_the_citation_of_published_rows(machine, sentence):
    rows = model_rows(read_published())
    assert sentence in citation(rows[rows["machine"] == machine])


def test_the_failures_table():
    rows = frame(
        infer("Mixer-S/4", 1.0),
        infer(
            "ViT-S/4",
            1.0,
            status="oom",
            error_class="OutOfMemory",
            error_message="9 GB |\nhas 8",
        ),
    )
    assert failures_table(rows, "github") == (
        "| mode   | model   | framework   |   px |   batch | status   "
        "| error                      |\n"
        "|--------|---------|-------------|------|---------|----------"
        "|----------------------------|\n"
        "| infer  | ViT-S/4 | jax         |   32 |       8 | oom      "
        "| OutOfMemory: 9 GB \\| has 8 |"
    )
    assert failures_table(rows.iloc[:1]).endswith("\n\nNo attempt failed.")
