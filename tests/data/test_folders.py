"""From a study's words to a folder, and to the cell's identity."""

import dataclasses

import pytest
from disk_sets import write_folder

from bench import studies
from bench.data import folders
from bench.errors import DataError, StudyError
from bench.specs import Cell

CELL = Cell(
    mode="pretrain",
    model="Mixer-XXS/4",
    framework="jax",
    image_size=16,
    batch_size=8,
    dataset="image-folder",
    data_dir="set",
    total_steps=2,
)


def document(**grid):
    return {
        "grids": [
            {
                "mode": "pretrain",
                "model": "Mixer-XXS/4",
                "framework": "jax",
                "image_size": 16,
                "batch_size": 8,
                "total_steps": 20,
                **grid,
            }
        ]
    }


def study_in(folder, text):
    (folder / "own.yaml").write_text(text)
    return str(folder / "own.yaml")


STUDY = """
grids:
  - {mode: pretrain, model: Mixer-XXS/4, framework: jax, image_size: 16, batch_size: 8,
     total_steps: 20, dataset: image-folder, data_dir: DIR}
"""


def test_a_folder_is_looked_for_beside_the_study_then_here(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    study = study_in(tmp_path / "there", STUDY.replace("DIR", "set"))
    with pytest.raises(StudyError, match="data_dir: set: no such folder") as caught:
        studies.load(study)
    assert str(tmp_path / "there/set") in str(caught.value)
    assert str(tmp_path / "here/set") in str(caught.value)
    assert "\n" not in str(caught.value)
    write_folder(tmp_path / "here/set")
    (cell,) = studies.load(study).cells
    assert cell.data_dir == str(tmp_path / "here/set")
    write_folder(tmp_path / "there/set", train=13)
    (cell,) = studies.load(study).cells
    assert cell.data_dir == str(tmp_path / "there/set")


def test_the_data_and_not_its_place_are_the_cells_identity(tmp_path):
    write_folder(tmp_path / "one")
    write_folder(tmp_path / "two")
    write_folder(tmp_path / "three", train=13)
    placed = [
        folders.placed(
            dataclasses.replace(CELL, data_dir=str(tmp_path / name)), tmp_path
        )
        for name in ("one", "two", "three")
    ]
    assert placed[0].data_fingerprint.startswith("content-")
    assert placed[0].cell_id == placed[1].cell_id != placed[2].cell_id


def test_two_folders_are_two_cells_of_one_study(tmp_path):
    write_folder(tmp_path / "one")
    write_folder(tmp_path / "two", train=13)
    axis = [str(tmp_path / name) for name in ("one", "two")]
    made = studies.from_values("own", document(dataset="image-folder", data_dir=axis))
    assert len(made.cells) == 2


def test_a_study_can_ask_for_the_very_data(tmp_path):
    write_folder(tmp_path / "set")
    cell = dataclasses.replace(CELL, data_dir=str(tmp_path / "set"))
    held = folders.placed(cell, tmp_path).data_fingerprint
    asked = dataclasses.replace(cell, data_fingerprint=held)
    assert folders.placed(asked, tmp_path).data_fingerprint == held
    other = dataclasses.replace(cell, data_fingerprint="content-0000000000000000")
    with pytest.raises(StudyError, match=rf"content-0000.*: .*set holds {held}"):
        folders.placed(other, tmp_path)


def test_built_in_sets_are_keyed_as_before(tmp_path):
    cell = dataclasses.replace(CELL, dataset="digits", data_dir=None)
    assert folders.placed(cell, tmp_path) == cell
    assert folders.source_of(cell) is None
    assert "data_fingerprint" not in cell.declared()


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            {"dataset": "image-folder"},
            "data_dir: dataset image-folder needs the folder",
        ),
        ({"dataset": "digits", "data_dir": "."}, "data_dir: digits is built in"),
        ({"dataset": "digits", "evaluation": "resize"}, "evaluation: digits is built"),
        (
            {"dataset": "fractals", "on_bad_image": "skip"},
            "on_bad_image: fractals has no files",
        ),
        (
            {"dataset": "digits", "data_fingerprint": "content-1"},
            "data_fingerprint: digits is built in",
        ),
        (
            {"dataset": "digits", "randaugment_magnitude": 10.0},
            "randaugment_magnitude 10 without randaugment_layers does nothing",
        ),
        ({"dataset": "digits", "mixup": -0.5}, "mixup: -0.5: must be a finite"),
        (
            {"dataset": "digits", "augment": "cut"},
            "unknown augment 'cut'; known: none",
        ),
        ({"dataset": "digits", "on_bad_image": "stop"}, "unknown on_bad_image 'stop'"),
        (
            {"dataset": "digits", "probe": "cifar"},
            "unknown dataset 'cifar'; known: digits, fractals, fractals-unseen, cifar",
        ),
        (
            {"dataset": "digits", "probe": "cifar10"},
            "probe_dir: probe cifar10 needs the folder",
        ),
        (
            {"dataset": "digits", "probe": "cifar10", "probe_dir": "none"},
            "probe_dir: none: no such folder: ",
        ),
        (
            {"dataset": "digits", "probe": "digits", "probe_dir": "."},
            "probe_dir: no probe is read from a folder; remove",
        ),
        (
            {"dataset": "digits", "probe": "digits", "probe_evaluation": "resize"},
            "probe_evaluation: no probe is read from a folder; remove",
        ),
        (
            {"dataset": "digits", "probe": "cifar10+cifar100", "probe_dir": "."},
            "probe: cifar10 and cifar100 are both read from folders",
        ),
        (
            {"dataset": "digits", "probe_examples": 9},
            "probe_examples: there is no probe",
        ),
        (
            {"dataset": "digits", "probe": "digits", "probe_examples": 598},
            "probe: digits: probe_examples 598 is not possible; its test split has 597",
        ),
        (
            {"dataset": "digits", "probe": "digits", "probe_examples": 0},
            "probe_examples: 0: must be a finite number above 0",
        ),
    ],
)
def test_keys_that_do_not_fit_their_data_set_are_refused(grid, message):
    with pytest.raises(StudyError, match=message) as caught:
        studies.from_values("own", document(**grid))
    assert "\n" not in str(caught.value)


def test_a_folder_of_another_form_is_refused_before_anything_runs(tmp_path):
    grid = {"dataset": "cifar10", "data_dir": str(write_folder(tmp_path / "set"))}
    with pytest.raises((StudyError, DataError), match=r"holds no data_batch_1\.bin"):
        studies.from_values("own", document(**grid))
    grid = {"dataset": "image-folder", "data_dir": str(tmp_path / "set")}
    with pytest.raises(StudyError, match="training split has 32 images"):
        studies.from_values("own", document(**grid, data_examples=33))
