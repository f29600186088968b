"""`init` in a study: which parents it means, and what is refused."""

from __future__ import annotations

import hashlib

import pytest

from bench import models, studies
from bench.errors import StudyError
from bench.models import weights

STUDY = """
settings: {{batch_size: 32, recipe: demo}}
grids:
  - mode: finetune
    model: {model}
    framework: torch
    dataset: digits
    image_size: {size}
    total_steps: 20
    {more}
    init: {init}
{rest}
"""
INIT = "{dataset: fractals, data_examples: 500, image_size: 8, total_steps: 30}"


def load(tmp_path, model="Mixer-XXS/4", size="16", init=INIT, more="", rest=""):
    path = tmp_path / "my.yaml"
    path.write_text(
        STUDY.format(model=model, size=size, init=init, more=more, rest=rest)
    )
    return studies.load(str(path)).cells


def test_a_parent_is_a_cell_of_the_study_and_its_id_is_in_the_childs(tmp_path):
    parent, child = load(tmp_path, more="seed: 3")
    assert (parent.mode, child.mode) == ("pretrain", "finetune")
    assert child.parent_cell_id == parent.cell_id and child.init == parent.label
    # from the mapping, from the child, from the settings, from the recipe of its mode
    assert (parent.dataset, parent.image_size, parent.total_steps) == (
        *("fractals", 8),
        30,
    )
    assert (parent.model, parent.framework, parent.seed) == ("Mixer-XXS/4", "torch", 3)
    assert parent.batch_size == 32
    assert (parent.optimizer, parent.learning_rate) == ("adam", 0.01)
    assert (child.optimizer, child.schedule, child.clip_norm) == ("sgd", "cosine", 1.0)
    assert child.learning_rates == "0.01+0.03+0.1"


def test_a_changed_parent_is_another_child(tmp_path):
    one = load(tmp_path)[1]
    other = load(tmp_path, init=INIT.replace("30}", "31}"))[1]
    assert one.cell_id != other.cell_id


def test_every_seed_has_its_own_parent(tmp_path):
    cells = load(tmp_path, more="seed: [0, 1]")
    parents = {cell.cell_id: cell.seed for cell in cells if cell.mode == "pretrain"}
    children = [cell for cell in cells if cell.mode == "finetune"]
    assert len(parents) == len(children) == 2
    assert all(parents[c.parent_cell_id] == c.seed for c in children)


def test_a_list_is_an_axis_inside_the_mapping_and_around_it(tmp_path):
    inside = INIT.replace("data_examples: 500", "data_examples: [250, 500, 1000]")
    assert len(load(tmp_path, init=inside)) == 6
    around = f"[{INIT}, {INIT.replace('30}', '40}')}]"
    assert len(load(tmp_path, init=around)) == 4


def test_equal_parents_merge_also_with_those_of_a_grid(tmp_path):
    grid = """
  - {mode: pretrain, model: Mixer-XXS/4, framework: torch, dataset: fractals,
     data_examples: 500, image_size: 8, total_steps: 30}
"""
    cells = load(tmp_path, size="[8, 16]", rest=grid)
    assert [cell.mode for cell in cells] == ["pretrain", "finetune", "finetune"]


def test_mixers_hidden_tokens_grow_with_the_square(tmp_path):
    cells = load(tmp_path, size="[8, 16, 24]")
    assert [c.tokens_mlp_dim for c in cells] == [None, None, 128, 288]
    vits = load(tmp_path, model="ViT-XXS/4", size="[12, 16]")
    assert {c.tokens_mlp_dim for c in vits} == {None}


def test_an_override_reaches_parents_and_may_name_only_them(tmp_path):
    rest = "overrides: [{when: {mode: pretrain}, set: {learning_rate: 0.5}}]"
    parent, child = load(tmp_path, rest=rest)
    assert (parent.learning_rate, child.learning_rates) == (0.5, "0.01+0.03+0.1")
    assert child.parent_cell_id == parent.cell_id
    both = "overrides: [{when: {family: mixer}, set: {learning_rate: 0.5}}]"
    parent, child = load(tmp_path, rest=both)
    assert (child.learning_rate, child.learning_rates) == (0.5, None)


def test_excluding_a_child_leaves_out_its_parent(tmp_path):
    cells = load(
        tmp_path, more="seed: [0, 1]", rest="exclude: [{mode: finetune, seed: 1}]"
    )
    assert [(cell.mode, cell.seed) for cell in cells] == [
        *[("pretrain", 0), ("finetune", 0)]
    ]


def test_a_file_enters_by_its_bytes(tmp_path):
    path = tmp_path / "w.npz"
    spec = models.spec_for("Mixer-XXS/4", image_size=8, num_classes=21)
    weights.save_file(path, weights.random(spec, 0))
    (cell,) = load(tmp_path, init=str(path))
    assert cell.init_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert cell.init == str(path) and cell.parent_cell_id is None
    assert cell.tokens_mlp_dim == 128
    moved = tmp_path / "moved.npz"
    moved.write_bytes(path.read_bytes())
    assert load(tmp_path, init=str(moved))[0].cell_id == cell.cell_id
    weights.save_file(path, weights.random(spec, 1))
    assert load(tmp_path, init=str(path))[0].cell_id != cell.cell_id


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"init": "null"}, "init: is missing; give a weights file, or the fields of"),
        ({"init": "nowhere.npz"}, "init: nowhere.npz: no such file; give a .npz or"),
        ({"init": "3"}, r"grids\[0\].init: 3: must be text or null"),
        (
            {"init": "{dataset: fractals, model: ViT-XXS/4, total_steps: 3}"},
            r"grids\[0\].init.model: is the child's; leave it out",
        ),
        (
            {"init": "{mode: finetune, total_steps: 3}"},
            r"grids\[0\].init.mode: is the child's; leave it out",
        ),
        (
            {"init": "{dataset: fractals, init: w.npz, total_steps: 3}"},
            r"grids\[0\].init.init: mode pretrain does not use it",
        ),
        ({"init": "{datset: fractals}"}, r"grids\[0\].init: unknown key 'datset'"),
        ({"init": "{dataset: fractals}", "size": "8"}, "total_steps: is missing"),
        ({"size": "12"}, "image_size: 12: a Mixer trained at 8 px is fine-tuned at w"),
        ({"more": "tokens_mlp_dim: 32"}, "tokens_mlp_dim: 32: at 16 px, after 32 at 8"),
        ({"more": "parent_cell_id: abc"}, "unknown key 'parent_cell_id'"),
        ({"more": "learning_rates: 0.1+x"}, "learning_rates: 0.1\\+x: must be numbers"),
        ({"more": "learning_rates: 0.1+-1"}, "must be numbers above 0 joined by"),
        ({"more": "learning_rates: 0.1"}, r"0.1: must be text or null; join rates"),
        (
            {"more": "learning_rate: 0.1\n    learning_rates: 0.1+0.2"},
            "learning_rate: and learning_rates are given; keep one",
        ),
        ({"more": "dev_fraction: 1.0"}, "dev_fraction: 1.0: must be below 1"),
        ({"more": "dev_fraction: 0"}, "dev_fraction: 0.* above 0"),
        ({"more": "recipe: mixer-jft"}, "unknown recipe for mode finetune 'mixer-jft'"),
        (
            {"rest": "exclude: [{mode: pretrain}]"},
            "exclude: pretrain Mixer-XXS/4 torch: a finetune cell starts from it",
        ),
        (
            {"rest": "overrides: [{when: {mode: finetune}, set: {init: w.npz}}]"},
            r"overrides\[0\].set.init: cannot be set; use a grid",
        ),
    ],
    ids=str,
)
def test_what_cannot_start_is_refused_in_one_line(tmp_path, given, message):
    with pytest.raises(StudyError, match=message) as caught:
        load(tmp_path, **given)
    assert "my.yaml: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_finetune_recipe_is_for_finetune_cells(tmp_path):
    init = INIT.replace("}", ", recipe: mixer-finetune-pets}")
    with pytest.raises(StudyError, match="is for mode finetune; mode pretrain has mix"):
        load(tmp_path, init=init)
