"""Costs from rates, against figures that can be checked by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.analysis import budget
from bench.analysis.budget import Rate, Run
from bench.errors import StudyError
from bench.record import table
from bench.results import read_published, to_frame

RATE = {
    "status": "ok",
    "role": "cell",
    "source": "measured",
    "protocol": 1,
    "machine_id": "m1",
    "machine": "Xeon",
    "environment_id": "e1",
    "core_kind": "gpu",
    "cores": 2.0,
    "mode": "train",
    "model": "Mixer-B/16",
    "framework": "torch",
    "dtype": "float32",
    "image_size": 224,
    "track": "protocol",
    "input": "resident",
    "batch_rule": "fixed",
    "batch_size": 8,
    "cell_id": "c",
}


def frame(count=5, rate=400.0, **values) -> pd.DataFrame:
    rows = []
    for r in range(count):
        one = rate * (1 + 0.01 * (r - count // 2))
        row = {"repetition": r, "img_per_sec_core": one, "samples": [4 / one] * 3}
        rows.append({**RATE, **row, **values})
    return to_frame(table(rows), samples=True)


def test_a_known_run_costs_what_was_reported():
    # 2 h 11 min on 128 cores at about 378 images/s/core.
    assert budget.core_days(300 * 1.281167e6, 378) == pytest.approx(11.6, rel=0.02)


IMPLIED = [
    # images x epochs over published core-days: the paper's own table
    ("Mixer-B/16", 7.0, 307, 80),
    ("ViT-L/16", 14.0, 75.5, 650),
    ("Mixer-H/14", 14.0, 48.6, 1010),
]


@pytest.mark.parametrize("model, epochs, rate, days", IMPLIED)
def test_the_rate_behind_a_published_cost(model, epochs, rate, days):
    runs = budget.published_runs(read_published())
    (run,) = [
        one
        for one in runs
        if (one.model, one.dataset, one.epochs) == (model, "JFT-300M", epochs)
    ]
    assert run.published == days and not run.extrapolated
    value, low, high = budget.implied_rate(run)
    assert value == pytest.approx(rate, rel=0.005) and low < value < high


def test_each_published_run_stands_once_and_without_epochs_not_at_all():
    runs = budget.published_runs(read_published())
    keys = [(run.model, run.dataset, run.epochs) for run in runs]
    assert len(keys) == len(set(keys)) and all(run.epochs for run in runs)
    assert ("Mixer-L/16", "JFT-300M", 14.0) in keys
    assert any(run.extrapolated for run in runs)


def test_cost_and_interval_turn_the_rate_over():
    (rate,) = budget.train_rates(frame())
    assert (rate.value, rate.n) == (400, 5) and rate.low < 400 < rate.high
    run = Run("Mixer-B/16", "ImageNet", 400 * 86_400 * 10, 300, 5.0, 0.5)
    found = budget.cost(run, rate)
    assert found.core_days == pytest.approx(10)
    assert found.low < 10 < found.high and found.wall_days(5)[0] == pytest.approx(1)
    assert found.tpu_cores == pytest.approx(0.5)
    assert found.tpu_low < 0.45 and found.tpu_high > 0.55


def test_few_processes_have_no_interval():
    (rate,) = budget.train_rates(frame(count=3))
    found = budget.cost(Run("Mixer-B/16", "own", 1e6), rate)
    assert (found.low, found.high, found.tpu_cores) == (None, None, None)


@pytest.mark.parametrize(
    "changes",
    [{"mode": "infer"}, {"status": "oom"}, {"role": "anchor"}, {"peer": "timm"}],
)
def test_only_our_own_timed_training_counts(changes):
    assert budget.train_rates(frame(**changes)) == []


def test_published_rates_are_of_inference_and_never_price_a_run():
    assert budget.train_rates(read_published()) == []


def test_a_rate_prices_only_runs_at_its_side_and_the_others_say_why():
    rates = budget.train_rates(frame(image_size=32))
    here, there = (Run("Mixer-B/16", "own", 1e6, image_size=side) for side in (32, 224))
    other = Run("ViT-B/16", "own", 1e6)
    (found,) = budget.costs([here, there, other], rates)
    assert found.run == here and found.rate.image_size == 32
    assert [
        (one.run, one.why) for one in budget.unpriced([here, there, other], rates)
    ] == [
        (there, "timed at 32 px; the run trains at 224"),
        (other, "training not timed here"),
    ]


def test_of_two_batches_the_faster_is_used_and_named():
    slow, fast = frame(rate=300.0), frame(rate=500.0, batch_size=32, cell_id="d")
    (rate,) = budget.train_rates(pd.concat([slow, fast], ignore_index=True))
    assert (rate.value, rate.batch_size) == (500, 32)


def test_a_rate_of_each_side_is_kept():
    small = frame(rate=900.0, image_size=128, cell_id="d")
    rates = budget.train_rates(pd.concat([frame(), small], ignore_index=True))
    assert {one.image_size: one.value for one in rates} == {224: 400, 128: 900}


RECIPES = [
    # recipe, model -> data set, epochs, listed in its table
    ("mixer-imagenet", "Mixer-B/16", "ImageNet", 300, True),
    ("mixer-jft", "Mixer-L/16", "JFT-300M", 14, True),
    ("augreg-21k", "ViT-S/32", "ImageNet-21k", 300, True),
    ("bit-jft", "BiT-R152x4", "JFT-300M", 40, True),
    ("mixer-imagenet", "BiT-R50x1", "ImageNet", 300, False),
]


@pytest.mark.parametrize("recipe, model, dataset, epochs, listed", RECIPES)
def test_a_recipe_has_its_papers_length(recipe, model, dataset, epochs, listed):
    found = budget.recipe_run(recipe, model, 128)
    assert (found.dataset, found.epochs, found.image_size) == (dataset, epochs, 128)
    assert found.images == budget.IMAGES[dataset] * epochs
    assert (found.note == "") is listed


def test_a_recipe_of_several_lengths_has_none_for_a_model_not_in_its_table():
    assert budget.recipe_run("mixer-jft", "ViT-B/16") is None


@pytest.mark.parametrize("name", ["demo", "mixer", "paper"])
def test_an_unknown_recipe_is_refused(name):
    with pytest.raises(StudyError, match=r"--recipe: unknown paper recipe .*vit-jft"):
        budget.recipe_run(name, "Mixer-B/16")


def test_a_recipe_stands_beside_what_was_published_of_the_same_run():
    published = budget.published_runs(read_published())
    run = budget.recipe_run("mixer-jft", "Mixer-B/16")
    assert budget.with_published(run, published).published == 80
    elsewhere = budget.recipe_run("mixer-jft", "Mixer-B/16", 128)
    assert budget.with_published(elsewhere, published).published is None


def test_a_budget_buys_its_share_of_the_epochs():
    rate = Rate(
        "m", "torch", "float32", "protocol", "gpu", 1, "A", 100.0, None, None, 1
    )
    found = budget.cost(Run("A", "ImageNet", 300 * 1e6, 300), rate)
    full = found.wall_days(4)[0] * 86_400
    assert found.affordable(full, 4) == (pytest.approx(300), None, None)
    assert found.affordable(full / 2, 4)[0] == pytest.approx(150)


def test_wall_time_and_what_a_time_buys_are_each_others_inverse_with_their_ends():
    (rate,) = budget.train_rates(frame())
    found = budget.cost(Run("Mixer-B/16", "ImageNet", 3e8, 234), rate)
    value, low, high = found.wall_days(3)
    assert low < value < high
    for days in (value, low, high):
        bought = found.affordable(86_400 * days, 3)
        assert bought[1] < bought[0] < bought[2]
        # What the time buys at each rate, and what it takes there, give the run back.
        ends = [b * d for b, d in zip(bought, (value, high, low), strict=True)]
        assert ends == pytest.approx([234 * days] * 3)


def test_two_machines_of_one_name_keep_their_own_rates():
    both = pd.concat([frame(), frame(rate=500.0, machine_id="m2", cell_id="d")])
    found = {rate.machine_id: rate.value for rate in budget.train_rates(both)}
    assert found == {"m1": 400, "m2": 500}


def test_a_tuned_rate_names_the_variant_that_was_fastest():
    tuned = [
        frame(rate=rate, track="tuned", variant=variant, cell_id=variant)
        for variant, rate in (("compile", 450.0), ("eager", 380.0))
    ]
    (rate,) = budget.train_rates(pd.concat(tuned))
    assert (rate.value, rate.variant) == (450, "compile")
    assert budget.train_rates(frame())[0].variant is None


def test_runs_as_typed():
    found = budget.asked_run("Mixer-B/16:imagenet:300")
    assert (found.dataset, found.epochs) == ("ImageNet", 300)
    assert found.images == pytest.approx(3.84e8, rel=0.01)
    assert budget.asked_run("Mixer-B/16:5e7").images == 5e7


@pytest.mark.parametrize("text", ["Mixer-B/16", "M:CIFAR:3", "M:ImageNet:0", "M:-3"])
def test_a_bad_run_is_refused(text):
    with pytest.raises(StudyError, match=r"--run: .*give MODEL:DATASET:EPOCHS"):
        budget.asked_run(text)


@pytest.mark.parametrize("text", ["3", "3y", "0d", "-1d", "soon"])
def test_a_bad_duration_is_refused(text):
    with pytest.raises(StudyError, match=r"--budget: .*90m, 12h or 3d"):
        budget.seconds_of(text)
