"""Digits: 1,797 real 8x8 scans of handwritten digits, bundled with scikit-learn.

Small, real, learnable in seconds. It shows that a pipeline works; it ranks nothing.
The source is the test set of the UCI "optical recognition of handwritten digits"
data (Alpaydin and Kaynak, 1998).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import Image

from bench.data import Classes, Dataset, Picks, Pixels, Split, subset
from bench.errors import MissingPackage

SPLIT_SEED = 0
TRAIN, VAL = 1_000, 200  # the remaining 597 are the test split; all are stratified
_BRIGHTEST = 16


def build(image_size: int) -> Dataset:
    """The three stratified splits, scaled up to `image_size`."""
    scans, labels = read()
    order = subset.order(labels, "stratified", SPLIT_SEED)
    bounds = (order[:TRAIN], order[TRAIN : TRAIN + VAL], order[TRAIN + VAL :])
    train, val, test = (_split(scans, labels, part, image_size) for part in bounds)
    return Dataset(
        name="digits",
        image_size=image_size,
        classes=10,
        train=train,
        val=val,
        test=test,
        eval_preprocess=f"8 px scan, bilinear to {image_size} px, grey to RGB",
    )


def read() -> tuple[Float64[np.ndarray, "images 8 8"], Classes]:
    """Scans with values 0 to 16, and labels, as scikit-learn bundles them.

    The file is read where the package lies: importing scikit-learn costs more than a
    second, and a worker starts for every cell.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise MissingPackage("scikit-learn", extra="dev")
    folder = Path(found.submodule_search_locations[0])
    table = np.loadtxt(folder / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


def _split(scans: np.ndarray, labels: Classes, part: Picks, image_size: int) -> Split:
    def make(picks: Picks) -> Pixels:
        return _enlarged(scans[part[picks]], image_size)

    return Split(labels=labels[part], make=make)


def _enlarged(scans: Float64[np.ndarray, "images 8 8"], image_size: int) -> Pixels:
    grey = np.rint(scans * (255 / _BRIGHTEST)).astype(np.uint8)
    size = (image_size, image_size)
    enlarged = np.empty((len(grey), *size), dtype=np.uint8)
    for target, scan in zip(enlarged, grey, strict=True):
        image = Image.fromarray(scan).resize(size, Image.Resampling.BILINEAR)
        target[:] = np.asarray(image)
    return np.repeat(enlarged[..., None], 3, axis=-1)
