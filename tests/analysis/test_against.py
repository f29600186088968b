"""Ratios: to whom, with which interval, and the best of the tuned variants."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.against import best_variants, other_sides, ratio_interval
from bench.analysis.join import model_rows
from bench.record import table
from bench.report.against import ours_over
from bench.report.tables import comparison_table
from bench.results import to_frame

LOGITS = [float(value) for value in np.random.default_rng(0).standard_normal(20)]
BASE = {
    "status": "ok",
    "role": "cell",
    "source": "measured",
    "protocol": 1,
    "machine_id": "m",
    "machine": "M",
    "environment": {"torch": "2.13"},
    "core_kind": "vcpu",
    "cores": 1.0,
    "mode": "infer",
    "model": "Mixer-XXS/4",
    "family": "mixer",
    "dtype": "float32",
    "image_size": 16,
    "num_classes": 5,
    "track": "protocol",
    "batch_rule": "fixed",
    "batch_size": 8,
    "input": "resident",
    "param_count": 10,
    "macs": 20,
    "probe_outputs": LOGITS,
}
VARIANT = {"jax": "jit", "torch": "eager"}


def rows(framework, *rates, **changed):
    name = f"{framework} {changed}"
    return [
        {
            **BASE,
            "framework": framework,
            "environment_id": framework,
            "variant": VARIANT[framework],
            "cell_id": name,
            "attempt_id": f"{name} {number}",
            "repetition": number,
            "img_per_sec_core": float(rate),
            "samples": [8 / rate],
            **changed,
        }
        for number, rate in enumerate(rates)
    ]


def frame(*parts) -> pd.DataFrame:
    return to_frame(table([row for part in parts for row in part]), samples=True)


def ratios(*parts):
    models = best_variants(model_rows(frame(*parts)))
    names = zip(models["framework"], models["peer"].fillna("ours"), strict=True)
    return dict(zip(names, other_sides(models), strict=True))


FIVE = [100, 101, 99, 102, 98]


def test_each_framework_is_compared_with_the_other():
    found = ratios(rows("jax", *FIVE), rows("torch", *(rate / 2 for rate in FIVE)))
    ours = found["jax", "ours"]
    assert ours.value == pytest.approx(2.0)
    assert ours.low < 2.0 < ours.high
    assert (ours.low, ours.high) == pytest.approx((1.94, 2.06), abs=0.03)
    assert ours.other == "torch eager"
    assert found["torch", "ours"].value == pytest.approx(0.5)


def test_without_a_certificate_there_is_a_reason_and_no_number():
    wrong = [value + 0.1 for value in LOGITS]
    found = ratios(rows("jax", *FIVE), rows("torch", *FIVE, probe_outputs=wrong))
    ours = found["jax", "ours"]
    assert (ours.value, ours.low, ours.high) == (None, None, None)
    assert ours.certificate.startswith("logits differ")


def test_one_repetition_that_computed_something_else_loses_the_ratio():
    theirs = rows("torch", *FIVE)
    theirs[3]["probe_outputs"] = [value + 0.1 for value in LOGITS]
    ours = ratios(rows("jax", *FIVE), theirs)["jax", "ours"]
    assert ours.value is None
    assert ours.certificate.endswith("or not the same in every repetition")


def test_fewer_than_five_processes_give_no_interval():
    found = ratios(rows("jax", 100, 101), rows("torch", 50, 51))["jax", "ours"]
    assert found.value is not None
    assert (found.low, found.high) == (None, None)
    assert ratio_interval(FIVE, FIVE[:4]) is None


def test_alone_or_on_another_track_or_machine_nobody_is_compared():
    assert ratios(rows("jax", 100))["jax", "ours"] is None
    for changed in ({"track": "tuned"}, {"machine_id": "n"}, {"dtype": "bfloat16"}):
        found = ratios(rows("jax", 100), rows("torch", 50, **changed))
        assert set(found.values()) == {None}


def test_of_the_tuned_track_the_fastest_variant_of_each_side_counts():
    tuned = {"track": "tuned"}
    found = frame(
        rows("torch", 50, variant="eager", **tuned),
        rows("torch", 80, variant="compile", **tuned),
        rows("torch", 60, variant="eager+malloc", **tuned),
        rows("jax", 100, **tuned),
        rows("torch", 40, peer="timm", **tuned),
        rows("torch", 20, peer="timm", variant="compile", **tuned),
        rows("torch", 30),
    )
    best = best_variants(model_rows(found))
    shown = {
        (row["track"], row["framework"], row["peer"]): row["variant"]
        for _, row in best.iterrows()
    }
    assert shown == {
        ("tuned", "torch", None): "compile",
        ("tuned", "jax", None): "jit",
        ("tuned", "torch", "timm"): "eager",
        ("protocol", "torch", None): "eager",
    }
    text = comparison_table(found)
    assert "compile (of 3)" in text
    assert "eager (of 2)" in text
    assert "0.80x jax jit" in text
    (line,) = ours_over(found, "timm")
    assert line == (
        "ours over timm: Mixer-XXS/4 infer float32: 2.00x, too few repetitions for an "
        "interval (ours torch compile (of 3), theirs torch eager (of 2))"
    )


def test_ours_over_a_peer_has_the_interval_the_right_way_round():
    found = frame(
        rows("torch", *FIVE), rows("torch", *(r / 2 for r in FIVE), peer="timm")
    )
    (line,) = ours_over(found, "timm")
    assert "2.00x [1.94 – 2.06]" in line
    found = frame(
        rows("torch", *FIVE), rows("torch", *FIVE, peer="timm", probe_outputs=[1.0])
    )
    assert "no ratio, logits differ" in ours_over(found, "timm")[0]


def test_the_other_side_is_never_chosen_among_several():
    """Two versions of torch: which of them was divided by would decide the ratio."""
    two = [rows("torch", 50), rows("torch", 40, environment_id="older")]
    found = ratios(rows("jax", 100), *two)["jax", "ours"]
    assert found.value is None
    assert found.certificate == (
        "2 rows to divide by, which differ in environment_id; keep one with --where"
    )
    assert "none to torch: 2 rows" in comparison_table(frame(rows("jax", 100), *two))


def test_a_swept_batch_is_not_divided_by_a_fixed_one():
    swept = rows("torch", 50, batch_rule="auto")
    assert set(ratios(rows("jax", 100), swept).values()) == {None}


def test_a_side_that_never_finished_is_said():
    alone = ours_over(frame(rows("torch", 100, peer="timm")), "timm")
    assert alone == [
        "ours over timm: Mixer-XXS/4 infer float32: no ratio, nothing of ours was "
        "timed alike and finished"
    ]
    (line,) = ours_over(frame(rows("torch", 100)), "timm")
    assert line == "ours over timm: no ratio, no row of timm's code finished"


def test_the_table_says_why_there_is_no_ratio():
    wrong = [value + 0.1 for value in LOGITS]
    text = comparison_table(
        frame(rows("jax", 100), rows("torch", 50, probe_outputs=wrong))
    )
    assert "Over the other side: none to jax jit: logits differ" in text
    assert "0.50x" not in text
    assert "2.00x" not in text


def test_of_two_lineages_the_other_side_is_the_one_trained_alike():
    """A rate serves every model of its size; the certificate wants one training."""
    both = frame(rows("jax", *FIVE), rows("torch", *FIVE))
    models = best_variants(model_rows(both, "infer"))
    lineages = pd.concat(
        [models.assign(optimizer=name) for name in ("adam", "sgd")], ignore_index=True
    )
    found = other_sides(lineages)
    assert [ratio.value for ratio in found] == pytest.approx([1.0] * 4)


TUNED = {"track": "tuned"}


@pytest.mark.parametrize(
    "other, best",
    [
        (rows("torch", 130, variant="compile", **TUNED), "eager"),
        (rows("torch", *(r + 30 for r in FIVE), variant="compile", **TUNED), "compile"),
    ],
    ids=["a lucky single process", "five faster processes"],
)
def test_a_variant_with_an_interval_stands_before_a_luckier_one(other, best):
    models = best_variants(model_rows(frame(rows("torch", *FIVE, **TUNED), other)))
    assert models["variant"].to_list() == [best]
    assert models["variants_tried"].to_list() == [2]


def test_every_training_of_a_tuned_model_keeps_its_line():
    """They share the rate of the best variant, and lose nothing by the slower one."""
    slower = rows("torch", 50, variant="compile", **TUNED)
    models = model_rows(frame(rows("torch", 80, **TUNED), slower))
    trained = pd.concat(
        [models.assign(top1=value) for value in (0.5, 0.6, 0.7)], ignore_index=True
    )
    best = best_variants(trained)
    assert best["top1"].to_list() == [0.5, 0.6, 0.7]
    assert set(best["variant"]) == {"eager"}
    assert set(best["variants_tried"]) == {2}


def test_the_variant_timed_beside_the_other_side_is_the_one_divided_by():
    """timm's `compile` was faster on another day, with nothing of ours beside it."""
    then, now = ({**TUNED, "sitting_id": name} for name in ("then", "now"))
    half = [rate / 2 for rate in FIVE]
    found = frame(
        rows("torch", *FIVE, **now),
        rows("torch", *half, peer="timm", **now),
        rows("torch", *(r + 5 for r in half), peer="timm", variant="compile", **then),
    )
    (line,) = ours_over(found, "timm")
    assert "2.00x [1.94 – 2.06]" in line
    assert "theirs torch eager (of 2)" in line


def test_two_sittings_give_a_ratio_without_an_interval():
    found = frame(
        rows("jax", *FIVE, sitting_id="then"), rows("torch", *FIVE, sitting_id="now")
    )
    models = best_variants(model_rows(found))
    for ratio in other_sides(models):
        assert (ratio.value, ratio.low, ratio.apart) == (1.0, None, True)
    text = comparison_table(found)
    assert "1.00x† torch eager" in text
    assert "† The two sides were timed in different sittings" in text


def test_a_resumed_study_shares_the_sitting_that_both_sides_have():
    begun, resumed = ({"sitting_id": name} for name in ("begun", "resumed"))
    theirs = [*rows("torch", *FIVE[:3], **begun), *rows("torch", *FIVE, **resumed)[3:]]
    for row in theirs:
        row["cell_id"] = "torch"
    (mine, _) = other_sides(
        best_variants(model_rows(frame(rows("jax", *FIVE, **begun), theirs)))
    )
    assert not mine.apart
    assert mine.low is not None
