"""Ablations as cells: asked for, refused, run, recorded, and told from the papers'."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import api, backend, cores, models, record, results, studies
from bench.analysis import ablations, claims
from bench.analysis.claims.points import points_of
from bench.analysis.join import model_rows
from bench.errors import StudyError
from bench.specs import MODES, Cell, WorkItem, fields_of
from bench.training.loop import pretrain

MIXER = Cell(mode="infer", model="Mixer-B/16", framework="torch", batch_size=8)


def load(tmp_path, grid: str):
    path = tmp_path / "my.yaml"
    path.write_text(f"question: q\ngrids:\n  - {{{grid}}}\n")
    return studies.load(str(path))


def test_every_mode_declares_them_and_the_default_changes_no_id():
    for mode in MODES:
        assert set(ablations.PAPERS) <= set(fields_of(mode))
    said = dataclasses.replace(MIXER, **ablations.PAPERS)
    assert said.cell_id == MIXER.cell_id
    ids = {
        dataclasses.replace(MIXER, **change).cell_id
        for change in ({}, {"tied_token_mixing": False}, {"token_mixing": "linear"})
    }
    assert len(ids) == 3
    assert (
        "token_mixing=linear" in dataclasses.replace(MIXER, token_mixing="linear").label
    )


def test_a_study_asks_for_them(tmp_path):
    study = load(
        tmp_path,
        "mode: [infer, train], model: Mixer-B/16, framework: jax, batch_size: 8, "
        "tied_token_mixing: [true, false], token_mixing: [mlp, linear]",
    )
    assert len(study.cells) == 8
    networks = {
        models.spec_of_cell(c, num_classes=1000).param_count for c in study.cells
    }
    assert len(networks) == 4


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ("model: ViT-B/16, token_mixing: none", "ViT has no token_mixing; its options"),
        ("model: BiT-R50x1, tied_token_mixing: false", "BiT has no tied_token_mixing"),
        ("model: Mixer-B/16, position_embedding: none", "Mixer has no position_embed"),
        (
            "model: Mixer-B/16, token_mixing: fft",
            "unknown token_mixing 'fft'; known: m",
        ),
        ("model: Mixer-B/16, tied_token_mixing: 0", "must be true or false"),
        ("model: ViT-B/16, position_embedding: null", "None: must be text"),
        (
            "model: Mixer-B/16, token_mixing: none, tied_token_mixing: false",
            "nothing to untie",
        ),
        (
            "model: Mixer-B/16, token_mixing: linear, tokens_mlp_dim: 8",
            "has no hidden layer",
        ),
        (
            "model: Mixer-B/16, token_mixing: linear, peer: timm",
            "token_mixing: linear: peer timm has no such network",
        ),
        (
            "model: ViT-B/16, position_embedding: none, peer: timm",
            "peer timm has no such network",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(grid, said, tmp_path):
    with pytest.raises(StudyError) as caught:
        load(tmp_path, f"mode: infer, framework: torch, batch_size: 8, {grid}")
    text = str(caught.value)
    assert said in text and "my.yaml: " in text and "\n" not in text


@pytest.mark.parametrize("setting", ["evaluations: 0", "checkpoint_steps: -3"])
def test_settings_of_effort_are_checked(setting, tmp_path):
    path = tmp_path / "my.yaml"
    grid = "{mode: infer, model: Mixer-B/16, framework: torch, batch_size: 8}"
    path.write_text(f"settings: {{{setting}}}\ngrids:\n  - {grid}\n")
    with pytest.raises(StudyError, match="must be a finite number above 0"):
        studies.load(str(path))


@pytest.mark.parametrize(
    ("model", "option"),
    [
        ("Mixer-XXS/4", {"tied_token_mixing": False}),
        ("Mixer-XXS/4", {"token_mixing": "linear"}),
        ("Mixer-XXS/4", {"token_mixing": "none"}),
        ("ViT-XXS/4", {"position_embedding": "none"}),
    ],
)
def test_an_ablated_network_learns(model, option, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(cores, "threads", lambda: 1)
    cell = Cell(
        mode="pretrain",
        model=model,
        framework="torch",
        device="cpu",
        image_size=8,
        batch_size=32,
        dataset="digits",
        total_steps=40,
        learning_rate=3e-3,
        **option,
    )
    row = pretrain(WorkItem(cell=cell), backend.load("torch", "cpu"))
    spec = models.spec_of_cell(cell, num_classes=10)
    whole = models.spec_for(model, image_size=8, num_classes=10)
    assert row["param_count"] == spec.param_count != whole.param_count
    assert row["top1"] > 2 * row["chance"]
    record.table([{**dataclasses.asdict(cell), **row}])


def test_weights_of_an_ablation_come_back_from_a_file(tmp_path):
    pytest.importorskip("torch")
    given = {"image_size": 16, "num_classes": 3, "tied_token_mixing": False}
    one = api.load_model("Mixer-XXS/4", "torch", seed=1, **given)
    one.save(tmp_path / "untied.npz")
    other = api.load_model(
        "Mixer-XXS/4", "torch", weights=tmp_path / "untied.npz", **given
    )
    for name, array in one.state_dict().items():
        np.testing.assert_array_equal(array, other.state_dict()[name])


# rows -------------------------------------------------------------------------------

BASE = {
    "status": "ok",
    "role": "cell",
    "source": "measured",
    "protocol": 1,
    "machine_id": "m",
    "machine": "A",
    "environment_id": "e",
    "core_kind": "vcpu",
    "model": "Mixer-B/16",
    "family": "mixer",
    "framework": "torch",
    "dtype": "float32",
    "image_size": 224,
    "mode": "infer",
    "track": "protocol",
    "batch_size": 8,
    "cores": 2.0,
    "img_per_sec_core": 10.0,
    **ablations.PAPERS,
}
OTHER = {**BASE, "cell_id": "b", "tied_token_mixing": False, "img_per_sec_core": 2.0}


def rows() -> pd.DataFrame:
    return results.to_frame(
        record.table([{**BASE, "cell_id": "a"}, OTHER]), samples=True
    )


def test_an_ablation_is_a_model_row_of_its_own():
    made = model_rows(rows()).set_index("tied_token_mixing")["img_per_sec_core"]
    assert made.to_dict() == {True: 10.0, False: 2.0}


def test_an_ablation_is_no_evidence_for_a_claim():
    untied, tied = sorted(points_of(rows()), key=lambda point: point.tied)
    assert tied.tied and not untied.tied
    asking = {claim.name for claim in claims.CLAIMS if claims._counts(claim, untied)}
    assert asking <= {"tied-token-mixing"}
    assert len(ablations.without(rows())) == 1
    assert len(ablations.without(results.read_published())) > 30  # null is the papers'


def test_an_older_file_had_the_default(tmp_path):
    older = [name for name in record.COLUMNS if name not in ablations.PAPERS]
    both = record.table(
        [{**BASE, "cell_id": "a"}, {"mode": None, "source": "published"}]
    ).select(older)
    path = tmp_path / "old.parquet"
    pq.write_table(both.replace_schema_metadata({"mixer_bench_schema": "6"}), path)
    read = results.read(path).table
    assert read["tied_token_mixing"].to_pylist() == [True, None]
    assert read["token_mixing"].to_pylist() == ["mlp", None]
    new = record.table([{**BASE, "cell_id": "a"}])
    assert len(model_rows(results.to_frame(pa.concat_tables([read, new])))) == 1
