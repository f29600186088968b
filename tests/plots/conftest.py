"""Rows to draw: the papers', and a small measured study of demo sizes."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
from measured_rows import base, timed

from bench.record import table
from bench.results import read_published, to_frame

RATES = {"Mixer-XS/4": 900.0, "ViT-XS/4": 500.0, "BiT-R14x1/4": 300.0}
ACCURACY = {"Mixer-XS/4": 0.62, "ViT-XS/4": 0.58, "BiT-R14x1/4": 0.66}


def _rows() -> Iterator[dict]:
    for framework, slower in (("jax", 1.0), ("torch", 0.8)):
        for model, rate in RATES.items():
            mine = base(model, framework)
            for size in (16, 32):
                yield {
                    **mine,
                    "cell_id": f"infer {model} {framework} {size}",
                    "mode": "infer",
                    "track": "protocol",
                    "image_size": size,
                    "img_per_sec_core": rate * slower * (16 / size) ** 2,
                    "macs": 50_000_000,
                    "param_count": 1_000_000,
                    "num_classes": 1000,
                    "flop_per_sec": rate * slower * 1e8,
                    "ceiling_flop_per_sec": 2e11,
                    "ceiling_share": rate * slower * 1e8 / 2e11,
                    "bandwidth_bytes_per_sec": 1e10,
                    "batch_rule": "auto",
                    "batch_knee": 16,
                    "sweep": list(_pilots(rate * slower)),
                }
            for images, share in ((250, 0.5), (4000, 1.0)):
                yield {
                    **mine,
                    "cell_id": f"train {model} {framework} {images}",
                    "mode": "pretrain",
                    "pretrain_dataset": "fractals",
                    "eval_dataset": "fractals",
                    "data_examples": images,
                    "unique_images": images,
                    "top1": ACCURACY[model] * share,
                    "chance": 0.1,
                    "core_days_measured": 1 / rate / slower,
                }


def _pilots(rate: float) -> Iterator[dict]:
    """Rates that level off at batch 32; 64 did not fit."""
    for batch, share in ((1, 0.3), (8, 0.8), (16, 0.995), (32, 1.0)):
        step_s = batch / (2 * rate * share)
        yield {"batch_size": batch, "status": "ok", "step_s": step_s}
    yield {"batch_size": 64, "status": "oom", "step_s": None}


TOKEN_LINES = {
    # model, D_S -> a, b, c of the step in ms; b, c of the MACs
    ("Mixer-Ti/16", None): (1.0, 0.05, 0.0, 4_128_768, 0),
    ("Mixer-Ti/16", 1.5): (1.0, 0.04, 4e-5, 3_686_400, 6_912),
    ("ViT-Ti/16", None): (2.0, 0.06, 6e-5, 5_455_872, 4_608),
}


def _token_rows() -> Iterator[dict]:
    for (model, ratio), (a, b, c, macs_b, macs_c) in TOKEN_LINES.items():
        for tokens in (64, 256, 576, 1024, 2304):
            for repetition, noise in enumerate((1.01, 0.99)):
                step_ms = noise * (a + b * tokens + c * tokens**2)
                yield {
                    **base(model, "torch"),
                    "machine_id": "m3",
                    "cell_id": f"tokens {model} {ratio} {tokens}",
                    "repetition": repetition,
                    "mode": "infer",
                    "track": "protocol",
                    "image_size": 128 * int((tokens / 64) ** 0.5),
                    "tokens": tokens,
                    "tokens_mlp_dim": None if ratio is None else int(ratio * tokens),
                    "macs": 192_000 + macs_b * tokens + macs_c * tokens**2,
                    "batch_size": 1,
                    "batch_rule": "fixed",
                    "num_classes": 1000,
                    "step_s": step_ms / 1e3,
                    "peak_memory_bytes": 10**8,
                    "attention_kernel": "sdpa math" if model[0] == "V" else None,
                }


@pytest.fixture(scope="session")
def tokens_rows() -> pd.DataFrame:
    """Three lines of time against tokens whose parts are known."""
    return to_frame(table(_token_rows()), samples=True)


SHUFFLED = {  # last accuracy by shuffle: none, patch_pixel, global
    "Mixer-XXS/4": (0.9, 0.9, 0.6),
    "ViT-XXS/4": (0.8, 0.8, 0.5),
    "BiT-R14x1/4": (0.96, 0.72, 0.48),
}


def shuffled_rows() -> Iterator[dict]:
    """Three seeds, two per cent apart, of each family and shuffle; another machine."""
    for model, accuracies in SHUFFLED.items():
        kinds = zip(("none", "patch_pixel", "global"), accuracies, strict=True)
        for kind, last in kinds:
            for seed in (1, 2, 3):
                top1 = last * (1 + 0.02 * (seed - 2))
                said = "" if kind == "none" else f", {kind} shuffled"
                yield {
                    **base(model, "torch"),
                    "machine_id": "m4",
                    "cell_id": f"shuffled {model} {kind} {seed}",
                    "mode": "pretrain",
                    "dataset": "digits",
                    "pretrain_dataset": "digits",
                    "eval_dataset": "digits",
                    "eval_split": "test",
                    "eval_preprocess": f"8 px scan{said}",
                    "shuffle": kind,
                    "seed": seed,
                    "subset_seed": 0,
                    "total_steps": 40,
                    "top1": top1,
                    "chance": 0.1,
                    "curve": [
                        {"step": step, "top1": top1 * step / 40}
                        for step in (10, 20, 30, 40)
                    ],
                }


@pytest.fixture(scope="session")
def shuffled() -> pd.DataFrame:
    return to_frame(table(shuffled_rows()), samples=True)


def _with_shots(row: dict) -> dict:
    """Linear 5-shot is half of top-1; on fractals only some points have it."""
    for point in row["curve"]:
        half = {"dataset": "digits", "accuracy": point["top1"] / 2}
        also = {"dataset": "fractals", "accuracy": 0.01}
        point["fewshot"] = [also, half] if point["step"] > 10 else [half]
    facts = {"chance": 0.05, "n_test": 100, "preprocess": "none"}
    accuracies = {0: row["top1"] / 4, 1: row["top1"] / 2, 2: row["top1"]}
    entries = [
        {"dataset": name, "shots": shots, "seed": seed, "accuracy": one, **facts}
        for name in ("fractals", "digits")
        for shots in (1, 5)
        for seed, one in accuracies.items()
    ]
    worse = [{**one, "baseline": "raw_pixels", "accuracy": 0.0} for one in entries]
    return {**row, "fewshot": worse + [{**one, "baseline": None} for one in entries]}


@pytest.fixture
def shuffled_probed() -> pd.DataFrame:
    return to_frame(table(map(_with_shots, shuffled_rows())), samples=True)


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    return read_published()


@pytest.fixture(scope="session")
def measured() -> pd.DataFrame:
    return to_frame(table(_rows()), samples=True)


@pytest.fixture(scope="session")
def both(
    published: pd.DataFrame,
    measured: pd.DataFrame,
    tokens_rows: pd.DataFrame,
    shuffled: pd.DataFrame,
) -> pd.DataFrame:
    return pd.concat([published, measured, tokens_rows, shuffled], ignore_index=True)


@pytest.fixture(scope="session")
def reference_here() -> pd.DataFrame:
    """Paper models timed on one machine, at 224 px, in five processes each."""
    rates = {"Mixer-B/16": 10.0, "ViT-B/16": 12.0, "Mixer-S/16": 30.0}
    rows = [row for model, rate in rates.items() for row in timed(model, rate)]
    return to_frame(table(rows), samples=True)
