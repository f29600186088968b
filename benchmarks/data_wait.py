"""Does training wait for its data here? Prints the share of stepping spent waiting.

    python benchmarks/data_wait.py [--framework jax] [--steps 30] [--keep FOLDER]

Three cells, each in a fresh process: the demo from memory; Mixer-S/16 at 224 px from a
folder of JPEGs as large as ImageNet's, with crop and flip; the same with the paper's
RandAugment as well. The images are made first (smooth noise, 500 x 375, about 95 kB;
ImageNet's have 110 kB on average).
Decoding shares the cores with training, so run it on a quiet machine and read
img/s/core beside the share: it must be that of `--mode train` on a resident batch.
The goal is below 5 %. A few minutes on two quiet cores.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench import studies
from bench.runner import run_study

CLASSES, TRAIN, TEST = 4, 150, 4
LIMIT = 0.05


def write_images(root: Path) -> None:
    """A folder of ImageNet's form and file sizes."""
    rng = np.random.default_rng(0)
    for part, count in (("train", TRAIN), ("val", TEST)):
        for label in range(CLASSES):
            folder = root / part / f"n{label:08d}"
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                coarse = rng.integers(0, 256, (94, 125, 3)).astype(np.uint8)
                image = Image.fromarray(coarse).resize((500, 375))
                image.save(folder / f"{number}.JPEG", quality=90)


def grids(root: Path, framework: str, steps: int) -> list[dict[str, Any]]:
    """The cells, as a study would name them."""
    shared = {"mode": "pretrain", "framework": framework, "total_steps": steps}
    large = {
        **shared,
        "model": "Mixer-S/16",
        "dataset": "image-folder",
        "data_dir": str(root),
        "image_size": 224,
        "batch_size": 16,
        "augment": "inception",
    }
    paper = {"randaugment_layers": 2, "randaugment_magnitude": 15}
    demo = {
        **shared,
        "model": "Mixer-XXS/4",
        "dataset": "digits",
        "image_size": 16,
        "batch_size": 64,
        "total_steps": 10 * steps,
    }
    return [demo, large, {**large, **paper}]


def measured(root: Path, framework: str, steps: int) -> None:
    """Run the cells, a line for each as it ends."""
    document = {"grids": grids(root, framework, steps)}
    study = studies.from_values("data_wait", document)
    run_study(
        study,
        out=root / "results",
        on_item=lambda progress: print(said(progress.row), flush=True),
    )


def said(row: dict[str, Any]) -> str:
    """One cell in one line."""
    name = f"{row['model']} {row['dataset']} augment {row['augment']}"
    name += f", RandAugment {row['randaugment_layers']} layers"
    if row["status"] != "ok":
        return f"{name}: {row['status']}: {row['error_message']}"
    waited = row["data_wait_fraction"]
    verdict = "below" if waited < LIMIT else "NOT below"
    rate = row["train_img_per_sec_core"]
    return f"{name}: waits {waited:.1%} ({verdict} {LIMIT:.0%}), {rate:.4g} img/s/core"


def main() -> None:
    """Make the images where they are wanted, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--framework", choices=("jax", "torch"), default="jax")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument(
        "--keep", type=Path, help="make the images here, and leave them"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = given.keep or Path(scratch)
        write_images(root)
        measured(root, given.framework, given.steps)


if __name__ == "__main__":
    main()
