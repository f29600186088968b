"""The averaged weights: equal to numpy's, evaluated, kept, and resumed exactly."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bench
from bench import backend, cores, models, studies
from bench.errors import StudyError, UnfitCheckpoint
from bench.models import weights
from bench.recipes.recipe import Recipe, of_cell
from bench.specs import Cell

SPEC = dataclasses.replace(
    models.spec_for("Mixer-XXS/4", image_size=8, num_classes=5), num_blocks=1
)
FACTOR = 0.75
RECIPE = Recipe(optimizer="sgd", polyak=FACTOR)
EACH = pytest.mark.parametrize("framework", backend.FRAMEWORKS)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr(cores, "threads", lambda: 1)


def learner(framework, recipe=RECIPE, dtype="float32"):
    pytest.importorskip(framework)
    made = backend.load(framework, "cpu")
    start = weights.random(SPEC, 0)
    return made.learner(SPEC, start, recipe, batch_size=4, dtype=dtype)


def batch(step):
    rng = np.random.default_rng(step)
    images = rng.standard_normal((4, 8, 8, 3), dtype=np.float32)
    return images, rng.integers(0, 5, 4)


def raw(made):
    """The weights that are trained, as a checkpoint has them."""
    start = "weights/"
    held = {k: v for k, v in made.snapshot().items() if k.startswith(start)}
    return {name.removeprefix(start): array for name, array in held.items()}


def largest_difference(framework: str, dtype: str) -> float:
    """From the definition, over steps and weights, relative to the largest weight."""
    made = learner(framework, dtype=dtype)
    wanted = {k: v.astype(np.float64) for k, v in raw(made).items()}
    assert all((wanted[k] == v).all() for k, v in made.state_dict().items())
    found = 0.0
    for step in range(6):
        made.step(*batch(step), 0.05)
        now = raw(made)
        wanted = {k: FACTOR * a + (1 - FACTOR) * now[k] for k, a in wanted.items()}
        given = made.state_dict()
        assert given["head/kernel"].dtype == dtype
        off = max(np.abs(given[k] - wanted[k]).max() for k in wanted)
        found = max(found, off / max(np.abs(a).max() for a in wanted.values()))
    moved = max(np.abs(now[k] - wanted[k]).max() for k in wanted)
    assert moved > 1e-3, "the average must lie apart from the weights"
    return float(found)


@EACH
def test_the_average_is_numpys_in_float64(framework):
    # jax's 64 bits hold for a whole process, so both run in one of their own
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_polyak as t;"
        "print(t.largest_difference(sys.argv[2], 'float64'))"
    )
    root = str(Path(bench.__file__).parents[1])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    said = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), framework],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(said.stdout) < 1e-15


@EACH
def test_the_average_is_numpys_in_float32(framework):
    assert largest_difference(framework, "float32") < 1e-6


@EACH
def test_what_is_evaluated_is_the_averaged_network(framework):
    made = learner(framework)
    for step in range(3):
        made.step(*batch(step), 0.05)
    images, _ = batch(9)
    model = backend.load(framework, "cpu").model
    averaged, trained = (
        model(SPEC, held, dtype="float32") for held in (made.state_dict(), raw(made))
    )
    for what, of in (("logits", "predict"), ("features", "features")):
        found = getattr(made, what)(images)
        np.testing.assert_allclose(
            found, getattr(averaged, of)(images), rtol=1e-5, atol=1e-5
        )
        assert np.abs(found - getattr(trained, of)(images)).max() > 1e-3


@EACH
def test_averaging_does_not_touch_the_training(framework):
    with_it, without = learner(framework), learner(framework, Recipe(optimizer="sgd"))
    for made in (with_it, without):
        for step in range(3):
            made.step(*batch(step), 0.05)
    assert with_it.losses() == without.losses()
    for name, array in raw(with_it).items():
        assert array.tobytes() == raw(without)[name].tobytes()


@EACH
def test_a_learner_restored_averages_on_in_the_same_bits(framework):
    first, second = learner(framework), learner(framework)
    for step in range(3):
        first.step(*batch(step), 0.05)
    kept = first.snapshot()
    before = weights.sha256(second.state_dict())
    bare = {k: v for k, v in kept.items() if not k.startswith("average/")}
    with pytest.raises(UnfitCheckpoint, match="has no averaged weights"):
        second.restore(bare)
    assert weights.sha256(second.state_dict()) == before
    second.restore(kept)
    assert weights.sha256(second.state_dict()) == weights.sha256(first.state_dict())
    for made in (first, second):
        made.step(*batch(3), 0.05)
    states = [made.snapshot() for made in (first, second)]
    assert states[0].keys() == states[1].keys() > bare.keys()
    for name, array in states[0].items():
        assert array.tobytes() == states[1][name].tobytes(), name


def grid(**own):
    return {
        "mode": "finetune",
        "model": "Mixer-XXS/4",
        "framework": "jax",
        "dataset": "digits",
        "image_size": 16,
        "batch_size": 8,
        "total_steps": 4,
        "init": {
            "dataset": "digits",
            "total_steps": 4,
            "batch_size": 8,
            "image_size": 16,
        },
        **own,
    }


def test_the_key_reaches_the_recipe_and_the_identity_only_where_it_is_given():
    cells = {}
    for factor, given in ((0.0, {}), (0.9999, {"polyak": 0.9999})):
        made = studies.from_values("own", {"grids": [grid(**given)]}).cells
        (cells[factor],) = (cell for cell in made if cell.mode == "finetune")
    for factor, cell in cells.items():
        assert of_cell(cell).polyak == factor
        assert cell.declared().get("polyak", 0.0) == factor
    assert cells[0.0].cell_id != cells[0.9999].cell_id
    assert json.dumps(cells[0.9999].declared()).count("polyak") == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"polyak": 1.0}, r"polyak: 1.0: must be a share below 1"),
        ({"polyak": -0.5}, "must be a finite number from 0"),
        ({"polyak": "0.9"}, "must be a number"),
    ],
)
def test_a_factor_that_averages_nothing_is_refused(given, message):
    with pytest.raises(StudyError, match=message):
        studies.from_values("own", {"grids": [grid(**given)]})


def test_pretraining_has_no_such_key():
    document = {"grids": [{**grid(polyak=0.5), "mode": "pretrain"}]}
    del document["grids"][0]["init"]
    with pytest.raises(StudyError, match="polyak: mode pretrain does not use it"):
        studies.from_values("own", document)
    assert Cell(mode="pretrain", model="x", framework="jax").polyak == 0.0
