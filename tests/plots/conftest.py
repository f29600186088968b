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
    """Paper models timed on one machine, at 224 px, in five processes each."""
    rates = {"Mixer-B/16": 10.0, "ViT-B/16": 12.0, "Mixer-S/16": 30.0}
    rows = [row for model, rate in rates.items() for row in timed(model, rate)]
    return to_frame(table(rows), samples=True)
