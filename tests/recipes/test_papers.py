import pytest

from bench import models
from bench.errors import StudyError
from bench.recipes import papers, schedule
from bench.recipes.recipe import check, of_cell
from bench.specs import Cell, fields_of

# Every row of MLP-Mixer Table 4, ViT Table 3, AugReg and BiT section 3.3: peak rate,
# decay, clip, (RandAugment layers, magnitude, mixup), dropout, stochastic depth, bias
# of the head, and the warm-up of the paper's own run over its length.
PLAIN, AUG = (0, 0.0, 0.0), (2, 15, 0.5)
MIXER_JFT = (0.03, 1.0, PLAIN, 0.0, 0.0, -10)
VIT_JFT = (0.1, None, PLAIN, 0.0, 0.0, -10)
VIT_21K = (0.03, None, PLAIN, 0.1, 0.0, -10)
VIT_1K = (0.3, 1.0, PLAIN, 0.1, 0.0, -6.9)
BIT = (1e-4, None, PLAIN, 0.0, 0.0)


def augreg(augmentation, bias):
    return (0.1, 1.0, augmentation, 0.0, 0.0, bias)


LIGHT1, LIGHT2, MEDIUM1 = (2, 0, 0.0), (2, 10, 0.2), (2, 15, 0.2)

PUBLISHED = [
    ("mixer-imagenet", "Mixer-B/16", 1e-3, 0.1, 1.0, AUG, 0.0, 0.1, -6.9, 93_835),
    ("mixer-imagenet", "Mixer-L/16", 1e-3, 0.1, 1.0, AUG, 0.0, 0.1, -6.9, 93_835),
    ("mixer-21k", "Mixer-B/16", 1e-3, 0.1, 1.0, LIGHT2, 0.0, 0.1, -10, 1_039_828),
    ("mixer-21k", "Mixer-L/16", 1e-3, 0.1, 1.0, (2, 20, 0.5), 0.0, 0.1, -10, 1_039_828),
    ("mixer-jft", "Mixer-S/32", 3e-3, *MIXER_JFT, 369_873),
    ("mixer-jft", "Mixer-B/16", 3e-3, *MIXER_JFT, 517_822),
    ("mixer-jft", "Mixer-L/16", 1e-3, *MIXER_JFT, 517_822),
    ("mixer-jft", "Mixer-H/14", 1e-3, *MIXER_JFT, 1_035_645),
    ("vit-jft", "ViT-B/32", 8e-4, *VIT_JFT, 517_822),
    ("vit-jft", "ViT-B/16", 8e-4, *VIT_JFT, 517_822),
    ("vit-jft", "ViT-L/32", 6e-4, *VIT_JFT, 517_822),
    ("vit-jft", "ViT-L/16", 4e-4, *VIT_JFT, 517_822),
    ("vit-jft", "ViT-H/14", 3e-4, *VIT_JFT, 1_035_645),
    ("vit-21k", "ViT-B/32", 1e-3, *VIT_21K, 311_948),
    ("vit-21k", "ViT-B/16", 1e-3, *VIT_21K, 311_948),
    ("vit-21k", "ViT-L/32", 1e-3, *VIT_21K, 103_983),
    ("vit-21k", "ViT-L/16", 1e-3, *VIT_21K, 103_983),
    ("vit-imagenet", "ViT-B/32", 3e-3, *VIT_1K, 93_835),
    ("vit-imagenet", "ViT-B/16", 3e-3, *VIT_1K, 93_835),
    ("vit-imagenet", "ViT-L/32", 3e-3, *VIT_1K, 93_835),
    ("vit-imagenet", "ViT-L/16", 3e-3, *VIT_1K, 93_835),
    ("bit-adam-jft", "BiT-R50x1", 1e-3, *VIT_JFT, 517_822),
    ("bit-adam-jft", "BiT-R50x2", 1e-3, *VIT_JFT, 517_822),
    ("bit-adam-jft", "BiT-R101x1", 8e-4, *VIT_JFT, 517_822),
    ("bit-adam-jft", "BiT-R152x1", 6e-4, *VIT_JFT, 517_822),
    ("bit-adam-jft", "BiT-R152x2", 6e-4, *VIT_JFT, 517_822),
    ("augreg-imagenet", "ViT-Ti/16", 1e-3, *augreg(LIGHT1, -6.9), 93_835),
    ("augreg-imagenet", "ViT-S/32", 1e-3, *augreg(MEDIUM1, -6.9), 93_835),
    ("augreg-imagenet", "ViT-S/16", 1e-3, *augreg(AUG, -6.9), 93_835),
    ("augreg-imagenet", "ViT-B/32", 1e-3, *augreg(AUG, -6.9), 93_835),
    ("augreg-imagenet", "ViT-B/16", 1e-3, *augreg(AUG, -6.9), 93_835),
    ("augreg-imagenet", "ViT-L/16", 1e-3, *augreg(AUG, -6.9), 93_835),
    ("augreg-21k", "ViT-Ti/16", 1e-3, *augreg(PLAIN, -10), 1_039_828),
    ("augreg-21k", "ViT-S/32", 1e-3, *augreg(PLAIN, -10), 1_039_828),
    ("augreg-21k", "ViT-S/16", 1e-3, *augreg(LIGHT1, -10), 1_039_828),
    ("augreg-21k", "ViT-B/32", 1e-3, *augreg(LIGHT2, -10), 1_039_828),
    ("augreg-21k", "ViT-B/16", 1e-3, *augreg(LIGHT2, -10), 1_039_828),
    ("augreg-21k", "ViT-L/16", 1e-3, *augreg(AUG, -10), 1_039_828),
    ("bit-imagenet", "BiT-R50x1", 0.48, *BIT, 0.0, 28_151),
    ("bit-21k", "BiT-R101x3", 0.48, *BIT, -10, 311_948),
    ("bit-jft", "BiT-R152x4", 0.48, *BIT, -10, 2_958_984),
]
SGD = {"bit-imagenet", "bit-21k", "bit-jft"}
SCHEDULES = {
    **dict.fromkeys(SGD, "step"),
    "vit-imagenet": "cosine",
    "augreg-imagenet": "cosine",
    "augreg-21k": "cosine",
}
OTHER_BITS = [
    (name, f"BiT-{size}")
    for name in sorted(SGD)
    for size in "R50x1 R50x3 R101x1 R101x3 R152x2 R152x4".split()
]


def cell_of(name, model, **fields):
    found = papers.recipe_fields(name, model, models.family_of(model))
    return Cell(mode="pretrain", framework="jax", model=model, **{**found, **fields})


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row[0]} {row[1]}")
def test_a_published_recipe(row):
    name, model, rate, decay, clip, augmentation, dropout, depth, bias, steps = row
    cell = cell_of(name, model)
    assert cell.learning_rate == pytest.approx(rate)
    assert (cell.weight_decay, cell.clip_norm) == (decay, clip)
    found = cell.randaugment_layers, cell.randaugment_magnitude, cell.mixup
    assert found == augmentation
    assert (cell.dropout, cell.stochastic_depth, cell.head_bias) == (
        dropout,
        depth,
        bias,
    )
    sgd = name in SGD
    assert cell.optimizer == ("sgd" if sgd else "adam")
    assert cell.decay == ("coupled" if sgd else "decoupled")
    assert cell.schedule == SCHEDULES.get(name, "linear")
    assert (cell.batch_size, cell.augment) == (4096, "inception")
    assert cell.loss == ("softmax" if name == "bit-imagenet" else "sigmoid")
    hidden = name in {"vit-jft", "vit-21k", "vit-imagenet", "augreg-imagenet"}
    assert cell.representation == hidden
    assert cell.pool == ("gap" if name == "augreg-21k" else None)
    warmup = 5_000 if sgd else 10_000
    assert cell.warmup_share == pytest.approx(warmup / steps, rel=1e-4)
    # the paper's own warm-up at its length and beyond, its share of a shorter run
    asked = of_cell(cell)
    assert schedule.warmup_steps(asked, steps) == warmup
    assert schedule.warmup_steps(asked, 3 * steps) == warmup
    assert schedule.warmup_steps(asked, 300) == round(300 * warmup / steps)
    check(asked, cell.batch_size)
    schedule.boundaries(asked)


def test_no_row_is_left_out():
    listed = {
        (name, model) for name, paper in papers._PAPERS.items() for model in paper.rows
    }
    tested = {(name, model) for name, model, *_ in PUBLISHED}
    tested |= {(name, model.partition("/")[0]) for name, model in tested}
    assert listed <= tested | set(OTHER_BITS)


@pytest.mark.parametrize(("name", "model"), OTHER_BITS)
def test_bit_gives_every_size_the_same_recipe(name, model):
    first = papers.recipe_fields(name, "BiT-R50x1", "resnet")
    assert papers.recipe_fields(name, model, "resnet") == first


@pytest.mark.parametrize(
    ("name", "epochs", "falls"),
    [
        ("bit-imagenet", 90, [30, 60, 80]),
        ("bit-21k", 90, [30, 60, 80]),
        ("bit-jft", 40, [10, 23, 30, 37]),
    ],
)
def test_bit_falls_at_the_papers_epochs(name, epochs, falls):
    asked = of_cell(cell_of(name, "BiT-R50x1"))
    assert [float(share * epochs) for share in schedule.boundaries(asked)] == falls


@pytest.mark.parametrize(("batch", "rate"), [(None, 0.48), (256, 0.03), (64, 0.0075)])
def test_bits_rate_follows_the_batch(batch, rate):
    fields = papers.recipe_fields("bit-21k", "BiT-R50x1", "resnet", batch_size=batch)
    assert fields["learning_rate"] == pytest.approx(rate)


def test_every_published_recipe_is_in_the_table_above():
    assert {row[0] for row in PUBLISHED} | {"demo"} == set(papers.RECIPES)


DEMO_MODELS = [
    "Mixer-XXXS/4",
    "Mixer-XXS/4",
    "Mixer-XS/4",
    "ViT-XXS/4",
    "ViT-XS/4",
    "BiT-R14x1/4",
]


@pytest.mark.parametrize("model", DEMO_MODELS)
def test_demo_sizes_have_a_recipe(model):
    fields = papers.recipe_fields("demo", model, models.family_of(model))
    assert 1e-4 < fields["learning_rate"] < 0.1


@pytest.mark.parametrize(
    ("name", "model", "like"),
    [
        ("mixer-imagenet", "Mixer-XXS/4", "Mixer-B/16"),
        ("mixer-jft", "Mixer-XS/4", "Mixer-S/32"),
        ("vit-21k", "ViT-XXS/4", "ViT-B/32"),
        ("augreg-imagenet", "ViT-XS/4", "ViT-Ti/16"),
        ("bit-imagenet", "BiT-R14x1/4", "BiT-R50x1"),
        ("bit-adam-jft", "BiT-R14x1/4", "BiT-R50x1"),
    ],
)
def test_a_demo_size_takes_the_first_row_of_its_family(name, model, like):
    family = models.family_of(model)
    assert papers.recipe_fields(name, model, family) == papers.recipe_fields(
        name, like, family
    )


def test_a_family_without_demo_sizes_has_none():
    with pytest.raises(StudyError, match=r"family resnet_v1; .*mixer, vit, resnet;"):
        papers.recipe_fields("demo", "ResNetV1-R50x1", "resnet_v1")


@pytest.mark.parametrize("name", papers.RECIPES)
def test_a_recipe_says_only_what_a_cell_can(name):
    model = next((row[1] for row in PUBLISHED if row[0] == name), "Mixer-XXS/4")
    fields = papers.recipe_fields(name, model, models.family_of(model))
    assert set(fields) <= set(fields_of("pretrain"))
    asked = of_cell(cell_of(name, model))
    assert asked.learning_rate == fields["learning_rate"]


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("mixer-imagenet", "Mixer-S/16", "lists Mixer-B, Mixer-L; use one of them"),
        ("bit-adam-jft", "BiT-R200x3", "has no values for BiT-R200x3"),
        ("vit-jft", "Mixer-B/16", "has no values for Mixer-B/16"),
        ("vit-jft", "Mixer-XXS/4", "has no values for Mixer-XXS/4"),
        ("vit-jtf", "ViT-B/16", "unknown recipe 'vit-jtf'; .*did you mean 'vit-jft'"),
    ],
)
def test_what_the_tables_do_not_hold_is_refused(name, model, message):
    with pytest.raises(StudyError, match=message):
        papers.recipe_fields(name, model, "mixer")
