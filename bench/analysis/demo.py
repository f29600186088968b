"""Demo sizes: models small enough to train on two CPU cores, and no evidence at all."""

from __future__ import annotations

SIZES = ("XXXS", "XXS", "XS", "R14", "R26")
NOTE = "demo scale: shows that the pipeline works, not which family is better"


def is_demo(model: str) -> bool:
    """Whether the name is of a demo size.

    >>> is_demo("Mixer-XS/4"), is_demo("BiT-R26x1/4"), is_demo("Mixer-S/32")
    (True, True, False)
    """
    size = model.partition("-")[2].split("/")[0].split("x")[0]
    return size in SIZES
