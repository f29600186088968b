import dataclasses

import pytest

from bench import record
from bench.executors.process import decode, encode
from bench.recipes import recipe
from bench.specs import MODES, Cell, Effort, WorkItem, fields_of

INFER = Cell(mode="infer", model="Mixer-B/16", framework="jax")
PRETRAIN = Cell(
    mode="pretrain",
    model="ViT-XS/4",
    framework="torch",
    image_size=16,
    batch_size=64,
    dataset="digits",
    total_steps=100,
)

# Frozen: a change here re-keys every row that anybody has measured.
GOLDEN = [
    (INFER, "992c79a684661765"),
    (dataclasses.replace(INFER, framework="torch"), "2ab75c9910e32941"),
    (PRETRAIN, "59bc5274e9036b67"),
]


@pytest.mark.parametrize("cell, cell_id", GOLDEN)
def test_golden_cell_id(cell, cell_id):
    assert cell.cell_id == cell_id


def test_a_field_at_its_default_is_left_out():
    assert INFER.declared() == {
        "mode": "infer",
        "model": "Mixer-B/16",
        "framework": "jax",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 448},
        {"dtype": "bfloat16"},
        {"batch_size": 32},
        {"num_classes": 21_843},
        {"framework": "torch"},
        {"model": "Mixer-B/32"},
        {"mode": "train"},
    ],
    ids=str,
)
def test_a_declared_field_changes_the_id(change):
    assert dataclasses.replace(INFER, **change).cell_id != INFER.cell_id


@pytest.mark.parametrize(
    "change", [{"seed": 7}, {"learning_rate": 0.5}, {"dataset": "digits"}], ids=str
)
def test_a_field_of_another_mode_does_not(change):
    assert dataclasses.replace(INFER, **change).cell_id == INFER.cell_id


def test_the_recipes_name_is_a_label_only():
    named = dataclasses.replace(PRETRAIN, recipe="demo")
    assert named.cell_id == PRETRAIN.cell_id


@pytest.mark.parametrize("mode", MODES)
def test_every_declared_field_is_a_column(mode):
    assert set(fields_of(mode)) <= set(record.COLUMNS)


def test_recipe_takes_its_fields_from_the_cell():
    cell = dataclasses.replace(PRETRAIN, learning_rate=0.02, clip_norm=None)
    made = recipe.of_cell(cell)
    assert (made.learning_rate, made.clip_norm) == (0.02, None)


def test_a_work_item_survives_the_trip_to_the_worker():
    item = WorkItem(cell=PRETRAIN, repetition=3, role="anchor", effort=Effort())
    assert decode(encode(item)) == item
