"""Fine-tuning recipes: the papers' values, scaled to a study's budget."""

from __future__ import annotations

import pytest

from bench.errors import StudyError
from bench.recipes import finetuning, papers, schedule
from bench.recipes.recipe import of_cell
from bench.specs import Cell, fields_of


@pytest.mark.parametrize(
    ("name", "steps", "rates", "dev"),
    [
        ("mixer-finetune-imagenet", 20_000, "0.003+0.01+0.03+0.06", 0.01),
        ("mixer-finetune-cifar-100", 10_000, "0.003+0.01+0.03+0.06", 0.02),
        ("mixer-finetune-cifar-10", 10_000, "0.003+0.01+0.03+0.06", 0.02),
        ("mixer-finetune-pets", 500, "0.003+0.01+0.03+0.06", 0.1),
        ("mixer-finetune-flowers", 500, "0.003+0.01+0.03+0.06", 0.1),
        ("mixer-finetune-vtab", 2_500, "0.003+0.01+0.03", 0.2),
        ("vit-finetune-imagenet", 20_000, "0.003+0.01+0.03+0.06", 0.01),
        ("vit-finetune-cifar-10", 10_000, "0.001+0.003+0.01+0.03", 0.02),
        ("vit-finetune-pets", 500, "0.001+0.003+0.01+0.03", 0.1),
        ("vit-finetune-vtab", 2_500, "0.01", 0.2),
    ],
)
def test_values_of_the_papers(name, steps, rates, dev):
    family = name.partition("-")[0]
    found = papers.recipe_fields(name, "any", family, "finetune")
    assert (found["total_steps"], found["learning_rates"]) == (steps, rates)
    assert found["dev_fraction"] == dev and found["batch_size"] == 512
    assert (found["optimizer"], found["schedule"]) == ("sgd", "cosine")
    assert (found["clip_norm"], found["loss"]) == (1.0, "softmax")
    assert found.get("augment") == (None if name.endswith("vtab") else "crop")
    cifar = "cifar" in name  # Table 3 evaluates all five sets by resmall-crop
    assert found.get("evaluation") == ("resmall-crop" if cifar else None)


@pytest.mark.parametrize(
    ("size", "steps", "warmup", "falls", "mixup"),
    [
        ("small", 500, 100, [150, 300, 450], 0.0),
        ("medium", 10_000, 500, [3_000, 6_000, 9_000], 0.1),
        ("large", 20_000, 500, [6_000, 12_000, 18_000], 0.1),
    ],
)
def test_the_bit_hyperrule(size, steps, warmup, falls, mixup):
    fields = papers.recipe_fields(f"bit-finetune-{size}", "any", "resnet", "finetune")
    given = {"mode": "finetune", "model": "BiT-R50x1", "framework": "jax", **fields}
    asked = of_cell(Cell(**given))
    assert (fields["total_steps"], fields["batch_size"]) == (steps, 512)
    assert (asked.optimizer, asked.learning_rate) == ("sgd", 0.003)
    assert (asked.weight_decay, asked.clip_norm, asked.mixup) == (0.0, None, mixup)
    rates = [schedule.learning_rate(asked, step, steps) for step in range(steps)]
    assert rates[warmup // 2] == pytest.approx(0.0015)
    drops = [i for i in range(warmup, steps) if rates[i] < rates[i - 1] / 2]
    assert drops == falls
    assert rates[-1] == pytest.approx(3e-6)


@pytest.mark.parametrize(
    ("dataset", "evaluation"),
    [("cifar10", "resmall-crop"), ("cifar100", "resmall-crop"), ("digits", None)],
)
def test_cifars_evaluation_is_for_cifar_alone(dataset, evaluation):
    filled = finetuning.recipe_fields("vit-finetune-cifar-10", "vit")
    made = finetuning.under(filled, {"dataset": dataset})
    assert made.get("evaluation") == evaluation
    given = finetuning.under(filled, {"dataset": dataset, "evaluation": "resize"})
    assert given["evaluation"] == "resize"


def test_every_recipe_gives_fields_of_the_mode():
    for name in finetuning.RECIPES:
        family = "mixer" if name.startswith(("mixer", "demo")) else "resnet"
        fields = papers.recipe_fields(name, "any", family, "finetune")
        assert set(fields) <= set(fields_of("finetune"))


@pytest.mark.parametrize(
    ("given", "steps", "warmup"),
    [
        ({}, 20_000, 500),
        ({"total_steps": 200}, 200, 5),
        ({"total_steps": 40_000}, 40_000, 1_000),
        ({"total_steps": 200, "warmup_steps": 3}, 200, 3),
        ({"total_epochs": 2.0}, None, None),
    ],
    ids=str,
)
def test_another_budget_scales_the_warm_up(given, steps, warmup):
    filled = finetuning.recipe_fields("mixer-finetune-imagenet", "mixer")
    made = finetuning.under(filled, given)
    assert (made.get("total_steps"), made.get("warmup_steps")) == (steps, warmup)


def test_one_rate_ends_the_search():
    filled = finetuning.recipe_fields("mixer-finetune-pets", "mixer")
    made = finetuning.under(filled, {"learning_rate": 0.5})
    assert made["learning_rate"] == 0.5 and "learning_rates" not in made


def test_several_rates_begin_a_search():
    filled = finetuning.recipe_fields("bit-finetune-small", "resnet")
    made = finetuning.under(filled, {"learning_rates": "0.001+0.003"})
    assert made["learning_rates"] == "0.001+0.003" and "learning_rate" not in made


def test_what_is_refused():
    with pytest.raises(StudyError, match="is for resnet, not mixer; use that of"):
        papers.recipe_fields("bit-finetune-small", "any", "mixer", "finetune")
    with pytest.raises(StudyError, match="is for mixer, not vit; use that of the ViT"):
        papers.recipe_fields("mixer-finetune-pets", "ViT-B/16", "vit", "finetune")
    with pytest.raises(
        StudyError, match="unknown recipe for mode finetune 'mixer-jft'"
    ):
        papers.recipe_fields("mixer-jft", "Mixer-B/16", "mixer", "finetune")
    with pytest.raises(StudyError, match="is for mode finetune; mode pretrain has"):
        papers.recipe_fields("vit-finetune-pets", "ViT-B/16", "vit")
