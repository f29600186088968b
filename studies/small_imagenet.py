"""A small folder of ImageNet's form, for a try without ImageNet.

    python studies/small_imagenet.py imagenet

writes `imagenet/train/<class>/*.JPEG`, `imagenet/val/<class>/*.JPEG`, a class index and
ReaL labels: 10 classes, 1,200 images, a few megabytes, some seconds. No photograph is
in it. A class is one of the embedded fractals; an image is one of its instances in some
colour, somewhere on a wider canvas, saved as a real JPEG. Every tenth image of `val`
shows a fractal of another class as well: its label names the first, ReaL accepts both.
Two runs with the same versions of numpy and Pillow write the same bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data import fractals

CLASSES, TRAIN, VAL = 10, 100, 20
"""Classes, and images of each."""
SIDE, WIDE = 72, 96
FIRST_TRAIN, FIRST_VAL = 3_000_000, 4_000_000
"""Fractal instances that no embedded split holds."""
ALSO_SHOWN = 10


def main(
    root: Path, classes: int = CLASSES, train: int = TRAIN, val: int = VAL
) -> None:
    """Write the whole folder; one that exists is left alone."""
    if root.exists():
        sys.exit(f"{root}: exists; give a folder to be made")
    names = [f"n{label + 1:08d}" for label in range(classes)]
    real = []
    for label, name in enumerate(names):
        for folder in (root / "train" / name, root / "val" / name):
            folder.mkdir(parents=True)
        for number in range(train):
            path = root / "train" / name / f"{name}_{number}.JPEG"
            _save(_picture([label], FIRST_TRAIN + number), path)
        for number in range(label * val, (label + 1) * val):
            other = (label + 1) % classes
            shown = [label] if number % ALSO_SHOWN else [label, other]
            path = root / "val" / name / f"ILSVRC2012_val_{number + 1:08d}.JPEG"
            _save(_picture(shown, FIRST_VAL + number), path)
            real.append(shown)
    index = {str(label): [name, f"fractal_{label}"] for label, name in enumerate(names)}
    (root / "imagenet_class_index.json").write_text(json.dumps(index, indent=1) + "\n")
    (root / "real.json").write_text(json.dumps(real) + "\n")


def _picture(shown: list[int], instance: int) -> Image.Image:
    """The fractals of these classes over each other, wide or high, in one colour."""
    rng = np.random.default_rng([*shown, instance])
    instances = np.full(len(shown), instance)
    drawn = fractals.render(np.array(shown), instances, SIDE).max(axis=0)
    wide = bool(rng.integers(2))
    canvas = np.zeros((SIDE, WIDE, 3) if wide else (WIDE, SIDE, 3), dtype=np.uint8)
    left, upper = rng.integers(WIDE - SIDE + 1) * np.array([wide, not wide])
    canvas[upper : upper + SIDE, left : left + SIDE] = drawn
    return Image.fromarray((canvas * rng.uniform(0.6, 1.0, 3)).astype(np.uint8))


def _save(image: Image.Image, path: Path) -> None:
    image.save(path, "JPEG", quality=92)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
