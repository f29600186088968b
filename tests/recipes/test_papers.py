import pytest

from bench import models
from bench.errors import StudyError
from bench.recipes import papers
from bench.recipes.recipe import of_cell
from bench.specs import Cell, fields_of

# recipe, model, family, peak rate, decay, clip: MLP-Mixer Table 4 and ViT Table 3
PUBLISHED = [
    ("mixer-jft", "Mixer-S/32", "mixer", 3e-3, 0.03, 1.0),
    ("mixer-jft", "Mixer-B/16", "mixer", 3e-3, 0.03, 1.0),
    ("mixer-jft", "Mixer-L/16", "mixer", 1e-3, 0.03, 1.0),
    ("mixer-jft", "Mixer-H/14", "mixer", 1e-3, 0.03, 1.0),
    ("mixer-imagenet", "Mixer-B/16", "mixer", 1e-3, 0.1, 1.0),
    ("mixer-imagenet", "Mixer-L/16", "mixer", 1e-3, 0.1, 1.0),
    ("vit-jft", "ViT-B/32", "vit", 8e-4, 0.1, None),
    ("vit-jft", "ViT-L/32", "vit", 6e-4, 0.1, None),
    ("vit-jft", "ViT-L/16", "vit", 4e-4, 0.1, None),
    ("vit-jft", "ViT-H/14", "vit", 3e-4, 0.1, None),
    ("bit-adam-jft", "BiT-R50x1", "resnet", 1e-3, 0.1, None),
    ("bit-adam-jft", "BiT-R101x1", "resnet", 8e-4, 0.1, None),
    ("bit-adam-jft", "BiT-R152x2", "resnet", 6e-4, 0.1, None),
]


@pytest.mark.parametrize(
    ("name", "model", "family", "rate", "decay", "clip"), PUBLISHED
)
def test_a_published_recipe(name, model, family, rate, decay, clip):
    fields = papers.recipe_fields(name, model, family)
    assert (fields["learning_rate"], fields["weight_decay"]) == (rate, decay)
    assert fields["clip_norm"] == clip
    assert (fields["batch_size"], fields["optimizer"]) == (4096, "adam")


def test_every_published_recipe_is_in_the_table_above():
    assert {row[0] for row in PUBLISHED} | {"demo"} == set(papers.RECIPES)


DEMO_MODELS = ["Mixer-XXS/4", "Mixer-XS/4", "ViT-XXS/4", "ViT-XS/4", "BiT-R14x1/4"]


@pytest.mark.parametrize("model", DEMO_MODELS)
def test_demo_sizes_have_a_recipe(model):
    fields = papers.recipe_fields("demo", model, models.family_of(model))
    assert 1e-4 < fields["learning_rate"] < 0.1


def test_a_family_without_demo_sizes_has_none():
    with pytest.raises(StudyError, match=r"family resnet_v1; .*mixer, vit, resnet;"):
        papers.recipe_fields("demo", "ResNetV1-R50x1", "resnet_v1")


@pytest.mark.parametrize("name", papers.RECIPES)
def test_a_recipe_says_only_what_a_cell_can(name):
    row = next((row for row in PUBLISHED if row[0] == name), PUBLISHED[0])
    fields = papers.recipe_fields(name, row[1], row[2])
    assert set(fields) <= set(fields_of("pretrain"))
    cell = Cell(mode="pretrain", framework="jax", model=row[1], **fields)
    assert of_cell(cell).learning_rate == fields["learning_rate"]


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("mixer-imagenet", "Mixer-S/16", "lists Mixer-B, Mixer-L; use one of them"),
        ("bit-adam-jft", "BiT-R200x3", "has no values for BiT-R200x3"),
        ("vit-jft", "Mixer-B/16", "has no values for Mixer-B/16"),
        ("vit-jtf", "ViT-B/16", "unknown recipe 'vit-jtf'; .*did you mean 'vit-jft'"),
    ],
)
def test_what_the_tables_do_not_hold_is_refused(name, model, message):
    with pytest.raises(StudyError, match=message):
        papers.recipe_fields(name, model, "mixer")
