import math

import pytest

from bench.errors import StudyError
from bench.recipes.recipe import Recipe, check, of_cell
from bench.recipes.schedule import boundaries, learning_rate, warmup_steps
from bench.specs import Cell


def recipe(schedule: str = "linear", **fields) -> Recipe:
    return Recipe(learning_rate=2.0, schedule=schedule, **fields)


@pytest.mark.parametrize(
    ("schedule", "warmup", "step", "rate"),
    [
        ("linear", 0, 0, 2.0),
        ("linear", 0, 50, 2 * (1e-5 + (1 - 1e-5) * 0.5)),
        ("linear", 20, 0, 0.0),
        ("linear", 20, 10, 1.0),  # warm-up times a curve that has not begun
        ("linear", 20, 20, 2.0),
        ("linear", 20, 60, 2 * (1e-5 + (1 - 1e-5) * 0.5)),
        ("linear", 20, 100, 2e-5),  # the end is a fraction of the peak
        ("cosine", 0, 25, 1 + math.cos(math.pi / 4)),
        ("cosine", 20, 60, 1.0),
        ("cosine", 20, 100, 0.0),
        ("constant", 0, 99, 2.0),
        ("constant", 10, 5, 1.0),
    ],
)
def test_the_rate_of_a_step(schedule, warmup, step, rate):
    given = recipe(schedule, warmup_steps=warmup)
    assert learning_rate(given, step, 100) == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize(
    ("total", "warmup"),
    [(1, 0), (9, 0), (150, 15), (93_800, 9_380), (100_000, 10_000), (517_800, 10_000)],
)
def test_the_papers_warm_up_scales_to_the_run(total, warmup):
    assert warmup_steps(recipe(), total) == warmup


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_rate_rises_to_its_peak_once_and_then_falls(schedule):
    rates = [learning_rate(recipe(schedule), step, 200) for step in range(200)]
    assert rates.index(max(rates)) == 20
    assert max(rates) == 2.0
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert min(rates[1:]) > 0


def test_a_warm_up_longer_than_the_run_is_refused():
    with pytest.raises(StudyError, match=r"warmup_steps 10 does not fit .* 0 to 9"):
        learning_rate(recipe(warmup_steps=10), 0, 10)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(StudyError, match=r"unknown schedule 'steps'; .*mean 'step'"):
        learning_rate(recipe("steps"), 0, 10)


def test_the_step_schedule_falls_exactly_at_its_boundaries():
    given = recipe("step", boundaries="1/3+2/3+8/9", warmup_steps=5)
    rates = [learning_rate(given, step, 90) for step in range(90)]
    expected = [2.0 * step / 5 for step in range(5)] + [2.0] * 25
    expected += [0.2] * 30 + [0.02] * 20 + [0.002] * 10
    assert rates == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "0.5+", "half", "1/0", "0+1/2", "1/2+1", "2/3+1/3", "1/2+1/2", "-1/2"]
)
def test_boundaries_that_do_not_rise_inside_the_run_are_refused(text):
    with pytest.raises(StudyError, match=r"boundaries: .* must be rising shares"):
        boundaries(recipe("step", boundaries=text))


@pytest.mark.parametrize(
    "fields", [{"schedule": "step"}, {"schedule": "cosine", "boundaries": "1/2"}]
)
def test_boundaries_and_the_step_schedule_belong_together(fields):
    with pytest.raises(StudyError, match="belong together, as in 1/3"):
        boundaries(recipe(**fields))


@pytest.mark.parametrize(
    ("most", "share", "total", "steps"),
    [
        (10_000, 0.1, 300, 30),
        (10_000, 0.1, 1_000_000, 10_000),
        (500, 0.02, 20_000, 400),
        (None, 0.25, 10, 2),  # rounds half to even
        (None, 0.99, 10, 9),  # a step of decay is left
        (10, 0.0, 100, 0),
    ],
)
def test_a_warm_up_share_scales_to_the_run(most, share, total, steps):
    given = recipe(warmup_steps=most, warmup_share=share)
    assert warmup_steps(given, total) == steps
    assert learning_rate(given, total - 1, total) >= 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"accumulate": 5}, "accumulate: 5: does not divide batch_size 64; .*: 4"),
        ({"accumulate": 128}, r"does not divide batch_size 64; .*: 64"),
        ({"decay": "coupled"}, "decay: coupled: is for sgd; .*say decay: decoupled"),
        ({"head_bias": -10.0}, "head_bias: -10: does nothing with softmax"),
        ({"head_bias": math.nan, "loss": "sigmoid"}, "must be a finite number"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields, message):
    with pytest.raises(StudyError, match=message):
        check(Recipe(**fields), 64)


def test_decay_is_of_one_kind():
    given = {"optimizer": "sgd", "weight_decay": 0.1}
    one, other = Recipe(**given), Recipe(**given, decay="coupled")
    assert (one.decoupled_decay, one.coupled_decay) == (0.1, 0)
    assert (other.decoupled_decay, other.coupled_decay) == (0, 0.1)


def test_a_cell_declares_its_recipe():
    fields = {"optimizer": "sgd", "learning_rate": 0.1, "clip_norm": None}
    cell = Cell(mode="pretrain", model="Mixer-B/16", framework="jax", **fields)
    assert of_cell(cell) == Recipe(**fields)
