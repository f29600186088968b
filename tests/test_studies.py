import dataclasses
import re
import runpy
from pathlib import Path

import pytest

from bench import devices, models, studies
from bench.errors import StudyError
from bench.recipes import papers

GOOD = """
question: Does it work?
settings: {batch_size: 8, window_s: 1e-1}
grids:
  - mode: infer
    model: [mixer-b16, ViT-B/16]
    framework: [jax, torch]
    image_size: [224, 448]
"""


def load(text, tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return studies.load(str(path))


def test_a_grid_is_a_product_of_its_lists(tmp_path):
    study = load(GOOD, tmp_path)
    assert study.name == "my" and len(study.cells) == 8
    assert {cell.model for cell in study.cells} == {"Mixer-B/16", "ViT-B/16"}
    assert {cell.batch_size for cell in study.cells} == {8}
    assert study.effort.window_s == 0.1


def test_equal_cells_of_two_grids_merge(tmp_path):
    more = GOOD + GOOD[GOOD.index("  - mode") :]
    assert len(load(more, tmp_path).cells) == 8


def test_order_of_precedence(tmp_path):
    """Recipe below settings below grid below overrides."""
    study = load(
        """
settings: {recipe: mixer-jft, weight_decay: 0.5, batch_size: 64, total_steps: 9,
           dataset: digits, image_size: 32, framework: jax}
grids:
  - {mode: pretrain, model: Mixer-B/16}
  - {mode: pretrain, model: Mixer-B/32, learning_rate: 0.25}
  - {mode: pretrain, model: Mixer-S/16, learning_rate: 0.25}
overrides: [{when: {model: Mixer-S/16}, set: {learning_rate: 7}}]
""",
        tmp_path,
    )
    rates = {cell.model: cell.learning_rate for cell in study.cells}
    assert rates == {"Mixer-B/16": 0.003, "Mixer-B/32": 0.25, "Mixer-S/16": 7.0}
    assert {cell.weight_decay for cell in study.cells} == {0.5}
    assert {cell.loss for cell in study.cells} == {"sigmoid"}


def test_a_recipe_fills_every_field_that_it_has(tmp_path):
    study = load(
        """
grids:
  - {mode: pretrain, recipe: mixer-imagenet, model: Mixer-B/16, framework: jax,
     dataset: digits, image_size: 32, total_steps: 9}
  - {mode: pretrain, recipe: bit-21k, model: BiT-R50x1, framework: jax, dataset: digits,
     image_size: 32, total_steps: 9, batch_size: 64}
""",
        tmp_path,
    )
    mixer, bit = study.cells
    for cell, batch in ((mixer, None), (bit, 64)):
        family = models.family_of(cell.model)
        wanted = papers.recipe_fields(cell.recipe, cell.model, family, batch_size=batch)
        wanted |= {} if batch is None else {"batch_size": batch}
        assert {name: getattr(cell, name) for name in wanted} == wanted
    assert (mixer.stochastic_depth, mixer.mixup, mixer.head_bias) == (0.1, 0.5, -6.9)
    assert bit.learning_rate == pytest.approx(0.03 * 64 / 256)


def test_a_setting_reaches_only_the_modes_that_use_it(tmp_path):
    study = load(
        """
settings: {batch_size: 8, total_steps: 3, dataset: digits}
grids:
  - {mode: infer, model: Mixer-B/16, framework: jax}
  - {mode: pretrain, model: Mixer-B/16, framework: jax, image_size: 32}
""",
        tmp_path,
    )
    infer, pretrain = study.cells
    assert infer.total_steps is None and pretrain.total_steps == 3


def test_exclude_needs_all_its_keys(tmp_path):
    text = GOOD + "exclude: [{model: ViT-B/16, framework: torch}]\n"
    cells = load(text, tmp_path).cells
    assert len(cells) == 6
    assert not [c for c in cells if (c.model, c.framework) == ("ViT-B/16", "torch")]


def test_a_condition_may_name_the_family(tmp_path):
    text = GOOD + "overrides: [{when: {family: vit}, set: {pool: gap}}]\n"
    pools = {(c.model, c.pool) for c in load(text, tmp_path).cells}
    assert pools == {("Mixer-B/16", None), ("ViT-B/16", "gap")}


def test_the_default_spelled_out_is_the_default(tmp_path):
    explicit = load(
        GOOD.replace("ViT-B/16]", "ViT-B/16]\n    dtype: float32"), tmp_path
    )
    ids = [cell.cell_id for cell in explicit.cells]
    assert ids == [cell.cell_id for cell in load(GOOD, tmp_path).cells]


TRAINED = """
grids:
  - {mode: pretrain, model: Mixer-B/16, framework: jax, dataset: digits, image_size: 32,
     total_steps: 3, batch_size: 8}
"""


def test_a_study_that_times_anything_has_an_anchor_unless_it_says_null(tmp_path):
    anchor = load(GOOD, tmp_path).anchor
    assert (anchor.model, anchor.framework) == ("Mixer-S/32", "torch")
    assert (anchor.mode, anchor.batch_size, anchor.track) == ("infer", 8, "protocol")
    jax = "grids: [{mode: infer, model: Mixer-B/16, framework: jax, device: cpu}]"
    made = load(jax, tmp_path).anchor
    assert (made.framework, made.device) == ("jax", "cpu")  # never a second framework
    assert load(f"anchor: null\n{GOOD}", tmp_path).anchor is None
    assert load(TRAINED, tmp_path).anchor is None


@pytest.mark.parametrize(("kind", "batch"), [("cuda", 256), ("abacus", 8)])
def test_the_anchor_loads_an_accelerator_that_is_known(
    kind, batch, tmp_path, monkeypatch
):
    other = dataclasses.replace(devices.describe("cpu"), kind=kind)
    monkeypatch.setattr(devices, "describe", lambda asked: other)
    assert load(GOOD, tmp_path).anchor.batch_size == batch


SHIPPED = sorted(Path(__file__).parent.parent.glob("studies/*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_loads_and_opens_with_its_command(
    path, tmp_path, monkeypatch
):
    small = runpy.run_path(str(path.parent / "small_imagenet.py"))
    small["main"](tmp_path / "imagenet", train=32, val=2)
    monkeypatch.chdir(tmp_path)
    assert studies.load(path.stem).cells
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(f"mixer-bench run studies/{path.name}" in line for line in header)


def test_a_path_that_exists_wins_over_a_shipped_name(tmp_path, monkeypatch):
    (tmp_path / "quickstart").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    assert studies.load("quickstart").question == "Does it work?"


TRAIN = (
    "grids: [{mode: pretrain, model: Mixer-B/16, framework: jax, dataset: digits, "
    "image_size: 32, batch_size: 8, total_steps: 3}]"
)
INFER = "grids: [{mode: infer, model: Mixer-B/16, framework: jax}]"

BAD = {
    "empty file": ("", "must be a mapping"),
    "no grid": ("question: x", r"grids: is empty"),
    "grids is not a list": ("grids: {mode: infer}", "grids: must be a list"),
    "unknown top key": (INFER + "\ngrid: 1", "unknown key 'grid'.*did you mean"),
    "unknown grid key": (
        INFER.replace("mode: infer", "mode: infer, imagesize: 3"),
        "unknown key 'imagesize'.*did you mean 'image_size'",
    ),
    "unknown setting": (INFER + "\nsettings: {stepz: 1}", "unknown key 'stepz'"),
    "mode in settings": (
        INFER + "\nsettings: {mode: infer}",
        "settings.mode: each grid names",
    ),
    "unused setting": (INFER + "\nsettings: {seed: 1}", "settings.seed: no grid"),
    "list in settings": (INFER + "\nsettings: {dtype: [a]}", "a list is an axis"),
    "duplicate key": (
        "grids:\n  - mode: infer\n    mode: train",
        r":3: key 'mode' is given twice",
    ),
    "tag": ("question: !!python/object:os.system x", "tag .* is not allowed"),
    "own tag": ("question: !mine x", "tag '!mine' is not allowed"),
    "not yaml": ("grids: [", ":1: "),
    "key is no word": ("1: 2", "key 1 is not a word"),
    "missing key": ("grids: [{mode: infer}]", r"grids\[0\]: key 'model' is missing"),
    "unknown model": (INFER.replace("Mixer-B/16", "Mixxer-B/16"), "unknown model"),
    "unknown size": (INFER.replace("Mixer-B/16", "Mixer-XL/16"), "XL"),
    "unknown framework": (INFER.replace("jax", "jaxx"), "did you mean 'jax'"),
    "unknown mode": (INFER.replace("infer", "eval"), "unknown mode 'eval'"),
    "unknown data set": (TRAIN.replace("digits", "mnist"), "unknown dataset 'mnist'"),
    "unknown recipe": (
        TRAIN.replace("mode:", "recipe: best, mode:"),
        "unknown recipe 'best'",
    ),
    "recipe of another model": (
        TRAIN.replace("mode:", "recipe: vit-jft, mode:"),
        "has no values for Mixer-B/16",
    ),
    "unknown device": (
        INFER.replace("mode:", "device: gpu9, mode:"),
        r"\.yaml: unknown device 'gpu9'; known: auto",
    ),
    "unknown choice": (INFER.replace("mode:", "dtype: fp8, mode:"), "unknown dtype"),
    "quoted number": (
        TRAIN.replace("mode:", 'learning_rate: "1e-3", mode:'),
        "learning_rate: '1e-3': must be a number",
    ),
    "fraction for a count": (
        INFER.replace("mode:", "image_size: 22.5, mode:"),
        "image_size: 22.5: must be a whole number",
    ),
    "yes is text": (INFER.replace("mode:", "image_size: yes, mode:"), "'yes': must be"),
    "true for a count": (INFER.replace("mode:", "image_size: true, mode:"), "True"),
    "zero": (INFER.replace("mode:", "batch_size: 0, mode:"), "above 0"),
    "negative seed": (TRAIN.replace("mode:", "seed: -1, mode:"), "from 0"),
    "infinite": (TRAIN.replace("mode:", "learning_rate: .inf, mode:"), "finite"),
    "empty axis": (INFER.replace("jax", "[]"), "is an empty list"),
    "axis of another mode": (
        INFER.replace("mode:", "seed: [0, 1], mode:"),
        r"grids\[0\].seed: mode infer does not use it",
    ),
    "patch does not divide": (
        INFER.replace("mode:", "image_size: 225, mode:"),
        "225",
    ),
    "option of another family": (
        INFER.replace("mode:", "pool: gap, mode:"),
        "Mixer has no pool",
    ),
    "two durations": (
        TRAIN.replace("mode:", "total_epochs: 1, mode:"),
        "total_steps: and total_epochs are both given",
    ),
    "no duration": (TRAIN.replace(", total_steps: 3", ""), "total_steps: is missing"),
    "two data sizes": (
        TRAIN.replace("mode:", "data_examples: 1, data_fraction: 0.5, mode:"),
        "both given",
    ),
    "too large a fraction": (
        TRAIN.replace("mode:", "data_fraction: 1.5, mode:"),
        "at most 1",
    ),
    "no data set": (TRAIN.replace("dataset: digits, ", ""), "dataset: is missing"),
    "auto batch in training": (
        TRAIN.replace("batch_size: 8", "batch_size: auto"),
        "needs a number",
    ),
    "exclude hits nothing": (INFER + "\nexclude: [{framework: torch}]", "no cell"),
    "exclude hits all": (INFER + "\nexclude: [{framework: jax}]", "leaves no cell"),
    "empty condition": (INFER + "\nexclude: [{}]", "is empty"),
    "override hits nothing": (
        INFER + "\noverrides: [{when: {model: ViT-B/16}, set: {dtype: bfloat16}}]",
        "matches no cell",
    ),
    "override of another mode": (
        INFER + "\noverrides: [{when: {framework: jax}, set: {seed: 1}}]",
        "mode infer does not use it",
    ),
    "no repetitions": (INFER + "\nrepetitions: 0", "repetitions: 0"),
    "anchor with an axis": (
        INFER + "\nanchor: {mode: infer, model: [Mixer-B/16], framework: jax}",
        "anchor: is one cell",
    ),
    "anchor with a sweep": (
        INFER + "\nanchor: {mode: infer, model: Mixer-B/16, framework: jax}",
        "with a batch_size",
    ),
    "override of the model": (
        INFER + "\noverrides: [{when: {framework: jax}, set: {model: ViT-B/16}}]",
        "set.model: cannot be set; use a grid",
    ),
    "more data than there is": (
        TRAIN.replace("mode:", "data_examples: 999999, mode:"),
        "999,?999",
    ),
    "warm-up longer than the run": (
        TRAIN.replace("mode:", "warmup_steps: 50, mode:"),
        "warmup_steps 50 does not fit a run of 3 steps",
    ),
    "a dtype that cannot be trained": (
        TRAIN.replace("mode:", "dtype: float16, mode:"),
        "float16",
    ),
    "alias": ("grids: &a [*a]", "aliases are not allowed"),
    "endless number": (f"repetitions: {'9' * 5000}", "more than 20 digits"),
    "endless nesting": ("[" * 5000, "nested too deeply"),
    "endless value": (
        INFER.replace("mode:", f"image_size: {'x' * 500}, mode:"),
        r"x\.\.\.: must be",
    ),
    "parts that do not divide the batch": (
        TRAIN.replace("mode:", "accumulate: 3, mode:"),
        "accumulate: 3: does not divide batch_size 8; nearest that does: 2",
    ),
    "step schedule without boundaries": (
        TRAIN.replace("mode:", "schedule: step, mode:"),
        "boundaries: None: with schedule step",
    ),
    "boundaries that fall": (
        TRAIN.replace("mode:", "schedule: step, boundaries: 2/3+1/3, mode:"),
        "must be rising shares of the run",
    ),
    "everything dropped": (
        TRAIN.replace("mode:", "dropout: 1.0, mode:"),
        "dropout: 1.0: must be a share below 1",
    ),
    "negative depth": (TRAIN.replace("mode:", "stochastic_depth: -0.1, mode:"), "0.1"),
    "coupled decay of adam": (
        TRAIN.replace("mode:", "decay: coupled, mode:"),
        "decay: coupled: is for sgd",
    ),
    "crossed sweep": (
        INFER + "\nsettings: {sweep_min: 64, sweep_max: 8}",
        "larger than sweep_max",
    ),
}


@pytest.mark.parametrize("text, message", BAD.values(), ids=BAD)
def test_a_bad_study_is_refused_in_one_line(text, message, tmp_path):
    with pytest.raises(StudyError) as caught:
        load(text, tmp_path)
    line = str(caught.value)
    assert re.search(message, line), line
    assert "my.yaml" in line and "\n" not in line


def test_the_range_of_a_sweep_belongs_to_the_cell_that_sweeps(tmp_path):
    swept = "\nsettings: {sweep_min: 32, sweep_max: 64}"
    auto, narrow = load(INFER, tmp_path), load(INFER + swept, tmp_path)
    assert auto.cells[0].cell_id != narrow.cells[0].cell_id
    fixed = INFER.replace("mode:", "batch_size: 8, mode:")
    ids = {load(text, tmp_path).cells[0].cell_id for text in (fixed, fixed + swept)}
    assert len(ids) == 1


@pytest.mark.parametrize("name", ["...yaml", "-x.yaml", "a b.yaml"])
def test_a_file_name_that_makes_no_folder_is_refused(name, tmp_path):
    (tmp_path / name).write_text(INFER)
    with pytest.raises(StudyError, match="the file's name"):
        studies.load(str(tmp_path / name))


def test_files_that_are_no_study(tmp_path):
    with pytest.raises(StudyError, match="is a folder"):
        studies.load(str(tmp_path))
    with pytest.raises(
        StudyError, match=r"no such file; shipped studies: .*quickstart"
    ):
        studies.load(str(tmp_path / "none.yaml"))
    (tmp_path / "junk.yaml").write_bytes(bytes(range(256)))
    with pytest.raises(StudyError, match="not a text file"):
        studies.load(str(tmp_path / "junk.yaml"))
