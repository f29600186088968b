"""Rows of made-up measurements that a claim is judged by."""

from __future__ import annotations

from bench.analysis.claims import CLAIMS, Evidence, answer
from bench.record import table
from bench.results import to_frame

FAMILY = {"M": "mixer", "V": "vit", "B": "resnet"}
BASE = {
    "status": "ok",
    "role": "cell",
    "source": "measured",
    "protocol": 1,
    "machine_id": "m1",
    "machine": "Xeon",
    "environment_id": "e1",
    "core_kind": "vcpu",
    "cores": 2.0,
    "framework": "jax",
    "dtype": "float32",
    "image_size": 224,
    "batch_size": 8,
}
NUDGES = (-0.002, -0.001, 0.0, 0.001, 0.002)


def timed(model: str, rate: float, nudges=NUDGES, **values) -> list[dict]:
    """Five repetitions of a cell around `rate`."""
    size = values.get("image_size", 224)
    return [
        {
            **BASE,
            "mode": "infer",
            "model": model,
            "family": FAMILY[model[0]],
            "cell_id": f"{model} {size} {values.get('machine')}",
            "attempt_id": f"{model} {size} {values} {r}",
            "repetition": r,
            "track": "protocol",
            "input": "resident",
            "img_per_sec_core": rate * (1 + nudge),
            **values,
        }
        for r, nudge in enumerate(nudges)
    ]


def trained(model: str, top1: float, nudges=NUDGES, **values) -> list[dict]:
    """Five seeds of a setting around `top1`."""
    return [
        {
            **BASE,
            "mode": "pretrain",
            "model": model,
            "family": FAMILY[model[0]],
            "cell_id": f"{model} {values} {seed}",
            "attempt_id": f"train {model} {values} {seed}",
            "seed": seed,
            "pretrain_dataset": "photos",
            "eval_dataset": "photos",
            "eval_split": "test",
            "unique_images": values.get("data_examples"),
            "shuffle": "none",
            "top1": top1 + nudge,
            "core_days_measured": 1.0,
            **values,
        }
        for seed, nudge in enumerate(nudges)
    ]


def both(model: str, rate: float, top1: float, **values) -> list[dict]:
    return [*timed(model, rate), *trained(model, top1, **values)]


def evidence(claim: str, *parts: list[dict]) -> Evidence:
    rows = to_frame(table([row for part in parts for row in part]), samples=True)
    (found,) = answer(rows, [one for one in CLAIMS if one.name == claim])
    return found.measured


def grown(model: str, *scores: float, **values) -> list[dict]:
    """The same model on ever more data."""
    return [
        row
        for step, score in enumerate(scores)
        for row in trained(model, score, data_examples=1000 * 10**step, **values)
    ]


def shuffled(model: str, none: float, patch: float, everything: float) -> list[dict]:
    kinds = {"none": none, "patch_pixel": patch, "global": everything}
    return [
        row
        for kind, score in kinds.items()
        for row in trained(
            model,
            score,
            shuffle=kind,
            data_examples=1000,
            eval_preprocess="16 px" + f", {kind} shuffled" * (kind != "none"),
        )
    ]  # as a run records them
