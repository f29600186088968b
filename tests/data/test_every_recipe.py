"""Every paper's recipe, by its name in a study, trains a demo size on a real folder."""

from __future__ import annotations

import math

import numpy as np
import pytest
from disk_sets import write_folder

from bench import backend, cores, models, record, studies
from bench.models import weights
from bench.recipes import papers
from bench.recipes.recipe import of_cell
from bench.specs import Effort, WorkItem
from bench.training import loop
from bench.training.finetune import finetune

DEMO = {"mixer": "Mixer-XXS/4", "vit": "ViT-XXS/4", "resnet": "BiT-R14x1/4"}
STEPS, CLASSES = 3, 3
PRETRAINING = [
    (name, model)
    for name in papers.RECIPES
    if name != "demo"
    for family, model in DEMO.items()
    if papers.listed(name)[0].startswith(model.partition("-")[0])
]
FINETUNING = [
    ("mixer-finetune-imagenet", "mixer"),
    ("vit-finetune-pets", "vit"),
    ("vit-finetune-flowers", "resnet"),
    ("bit-finetune-small", "resnet"),
    ("bit-finetune-medium", "resnet"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("imagenet"))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr(cores, "threads", lambda: 1)


def trained(framework, root, **grid):
    """The row of the only cell of a study, and the cell."""
    pytest.importorskip(framework)
    given = {
        "framework": framework,
        "device": "cpu",
        "dataset": "image-folder",
        "data_dir": str(root),
        "batch_size": 8,
        "total_steps": STEPS,
        **grid,
    }
    (cell,) = studies.from_values("own", {"grids": [given]}).cells
    train = finetune if cell.mode == "finetune" else loop.pretrain
    item = WorkItem(cell=cell, effort=Effort(evaluations=STEPS))
    row = train(item, backend.load(framework, "cpu"))
    record.table([row])
    return row, cell


def losses(row) -> list[float]:
    return [point["train_loss"] for point in row["curve"]]


def assert_began_by_guessing_and_moved(row, cell) -> None:
    """The head's kernel starts at 0, so that the first loss is known exactly: whatever
    is mixed, cut or dropped, it tells the form of the loss and the bias of the head."""
    found = losses(row)
    guessing = loop.guessing_loss(of_cell(cell), CLASSES)
    assert found[0] == pytest.approx(guessing, rel=1e-5)
    assert np.isfinite(found).all() and found[-1] != pytest.approx(found[0], rel=1e-6)
    assert (row["steps"], row["images_seen"]) == (STEPS, STEPS * 8)


@pytest.mark.parametrize(("name", "model"), PRETRAINING)
def test_a_pretraining_recipe(name, model, root):
    row, cell = trained(
        "torch", root, mode="pretrain", model=model, recipe=name, image_size=16
    )
    assert_began_by_guessing_and_moved(row, cell)
    assert cell.head_bias == {"bit-imagenet": 0.0}.get(
        name, -6.9 if name.endswith("imagenet") else -10.0
    )
    if cell.loss == "sigmoid":
        assert losses(row)[0] > -cell.head_bias
    spec = models.spec_for(model, image_size=16, num_classes=CLASSES, pool=cell.pool)
    hidden = spec.width * (spec.width + 1) if cell.representation else 0
    assert row["param_count"] == spec.param_count + hidden
    assert row["core_days_extrapolated"] is None  # a demo size is no paper's network


def test_a_pretraining_recipe_in_jax(root):
    grid = {"mode": "pretrain", "model": DEMO["mixer"], "recipe": "mixer-imagenet"}
    row, cell = trained("jax", root, image_size=16, **grid)
    assert_began_by_guessing_and_moved(row, cell)
    twin, _ = trained("torch", root, image_size=16, **grid)
    assert losses(twin) == pytest.approx(losses(row), rel=1e-4)


@pytest.mark.parametrize(("name", "family"), FINETUNING)
def test_a_finetuning_recipe(name, family, root, tmp_path):
    model = DEMO[family]
    hidden = True if family == "vit" else None
    spec = models.spec_for(model, image_size=16, num_classes=9, representation=hidden)
    path = tmp_path / "left.npz"
    weights.save_file(path, weights.random(spec, 0))
    row, cell = trained(
        "torch",
        root,
        mode="finetune",
        model=model,
        recipe=name,
        image_size=32,
        init=str(path),
        learning_rate=0.01,
    )
    assert_began_by_guessing_and_moved(row, cell)
    assert losses(row)[0] == pytest.approx(math.log(CLASSES), rel=1e-5)
    assert (cell.optimizer, cell.augment) == ("sgd", "crop")
    assert ("dropped pre_logits/kernel" in row["init_report"]) == (family == "vit")
    assert ("copies, 16 to 64 tokens" in row["init_report"]) == (family == "mixer")
