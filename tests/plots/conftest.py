"""Rows to draw: the papers', and a small measured study of demo sizes."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

from bench.record import table
from bench.results import read_published, to_frame

FAMILY = {"M": "mixer", "V": "vit", "B": "resnet"}
RATES = {"Mixer-XS/4": 900.0, "ViT-XS/4": 500.0, "BiT-R14x1/4": 300.0}
ACCURACY = {"Mixer-XS/4": 0.62, "ViT-XS/4": 0.58, "BiT-R14x1/4": 0.66}


def _base(model: str, framework: str) -> dict:
    return {
        "status": "ok",
        "role": "cell",
        "source": "measured",
        "protocol": 1,
        "machine_id": "m1",
        "machine": "Xeon, 2 vcpu",
        "environment_id": framework,
        "core_kind": "vcpu",
        "cores": 2.0,
        "model": model,
        "family": FAMILY[model[0]],
        "framework": framework,
        "dtype": "float32",
        "image_size": 16,
        "batch_size": 32,
    }


def _rows() -> Iterator[dict]:
    for framework, slower in (("jax", 1.0), ("torch", 0.8)):
        for model, rate in RATES.items():
            base = _base(model, framework)
            for size in (16, 32):
                yield {
                    **base,
                    "cell_id": f"infer {model} {framework} {size}",
                    "mode": "infer",
                    "track": "protocol",
                    "image_size": size,
                    "img_per_sec_core": rate * slower * (16 / size) ** 2,
                }
            for images, share in ((250, 0.5), (4000, 1.0)):
                yield {
                    **base,
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


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    return read_published()


@pytest.fixture(scope="session")
def measured() -> pd.DataFrame:
    return to_frame(table(_rows()), samples=True)


@pytest.fixture(scope="session")
def both(published: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([published, measured], ignore_index=True)


@pytest.fixture(scope="session")
def reference_here() -> pd.DataFrame:
    """Paper models timed on one machine, at 224 px."""
    rates = {"Mixer-B/16": 10.0, "ViT-B/16": 12.0, "Mixer-S/16": 30.0}
    rows = [
        {
            **_base(model, "jax"),
            "mode": "infer",
            "track": "protocol",
            "cell_id": model,
            "image_size": 224,
            "img_per_sec_core": rate,
        }
        for model, rate in rates.items()
    ]
    return to_frame(table(rows))
