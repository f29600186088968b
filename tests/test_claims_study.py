"""What `claims` says would test a claim does: the shipped study, run, judges it."""

from __future__ import annotations

import dataclasses
import runpy
import shlex
from pathlib import Path

import pytest

from bench import models, studies
from bench.analysis.claims import CLAIMS, answer
from bench.record import table
from bench.results import to_frame
from bench.specs import fields_of

STUDIES = Path(__file__).parent.parent / "studies"
SHUFFLE = {"none": 0.0, "patch_pixel": 0.1, "global": 0.3}
LEVEL = {"mixer": 0.7, "vit": 0.72, "resnet": 0.6}
RATE = {"mixer": 2.0, "vit": 1.0, "resnet": 1.2}


def rows(study) -> list[dict]:
    """What a run would record of each cell, with made-up numbers."""
    where = {"machine_id": "m", "machine": "M", "environment_id": "e", "cores": 1.0}
    base = {
        "status": "ok",
        "role": "cell",
        "source": "measured",
        "protocol": 1,
        "core_kind": "gpu",
        "input": "resident",
        **where,
    }
    made = []
    for cell in study.cells:
        family = models.family_of(cell.model)
        size = models.spec_for(cell.model).param_count
        declared = {
            name: getattr(cell, name)
            for name in fields_of(cell.mode)
            if getattr(cell, name) != "auto"
        }
        row = {**base, **declared, "mode": cell.mode, "family": family}
        row |= {"cell_id": cell.cell_id, "param_count": size}
        if cell.mode == "infer":
            row |= {"batch_rule": "auto", "batch_size": 64}
            made += [
                {**row, "attempt_id": f"{cell.cell_id}{r}", "repetition": r,
                 "img_per_sec_core": RATE[family] * 1e10 / size * (1 + r / 1000)}
                for r in range(study.repetitions)
            ]  # fmt: skip
            continue
        shuffled = "" if cell.shuffle == "none" else f", {cell.shuffle} shuffled"
        top1 = LEVEL[family] + size / 1e10 + cell.seed / 10000
        top1 += 0.05 * (cell.data_fraction or 0) * (2 if family == "mixer" else 1)
        top1 -= SHUFFLE[cell.shuffle] * (family == "resnet" or cell.shuffle == "global")
        made.append(
            {**row, "attempt_id": cell.cell_id, "repetition": 0, "top1": top1,
             "core_days_measured": size / 1e6 * (1 + cell.seed / 1000),
             "unique_images": round(1e6 * cell.data_fraction), "eval_split": "val",
             "pretrain_dataset": "imagenet", "eval_dataset": "imagenet",
             "eval_preprocess": f"resize 256, crop 224{shuffled}"}
        )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    runpy.run_path(str(STUDIES / "small_imagenet.py"))["main"](
        folder / "imagenet", train=32, val=2
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        study = studies.load("claims")
    study = dataclasses.replace(study, anchor=None)
    return {one.claim.name: one for one in answer(to_frame(table(rows(study)), True))}


BY_STUDY = [claim for claim in CLAIMS if "studies/claims.yaml" in claim.to_test]


@pytest.mark.parametrize("claim", BY_STUDY, ids=lambda claim: claim.name)
def test_the_shipped_study_judges_the_claim_that_names_it(claim, found):
    assert found[claim.name].measured.verdict in ("supported", "contradicted")


def test_every_claim_says_by_which_command_it_would_be_tested():
    from bench.cli.app import VERBS

    assert len(BY_STUDY) == 6
    for claim in CLAIMS:
        for command in claim.to_test.split("; "):
            name, verb, first, *_ = shlex.split(command, comments=True)
            assert name == "mixer-bench" and verb in VERBS, command
            assert verb != "run" or (STUDIES / Path(first).name).exists()
