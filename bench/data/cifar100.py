"""CIFAR-100, binary version, with the hundred fine labels: 3,074 bytes an image.

Krizhevsky, 2009. `data_dir` is `cifar-100-binary` or the folder that holds it.
"""

from __future__ import annotations

from bench.data import Dataset, Source, cifar

FORM = cifar.Form(
    name="cifar100",
    folder="cifar-100-binary",
    train=("train.bin",),
    test="test.bin",
    classes=100,
    label_bytes=2,  # coarse, then fine
    images_per_file=50_000,
    test_images=10_000,
)


def build(image_size: int, source: Source) -> Dataset:
    """50,000 images less those held out for selection, and 10,000 tests."""
    return cifar.build(FORM, image_size, source)


def fingerprint(source: Source) -> str:
    """Of the files that the data set consists of."""
    return cifar.fingerprint(FORM, source)
