"""CIFAR-10, binary version: five training files and one of tests, 3,073 bytes an image.

Krizhevsky, 2009. `data_dir` is `cifar-10-batches-bin` or the folder that holds it.
"""

from __future__ import annotations

from bench.data import Dataset, Source, cifar

FORM = cifar.Form(
    name="cifar10",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test="test_batch.bin",
    classes=10,
    label_bytes=1,
    images_per_file=10_000,
    test_images=10_000,
)


def build(image_size: int, source: Source) -> Dataset:
    """50,000 images less those held out for selection, and 10,000 tests."""
    return cifar.build(FORM, image_size, source)


def fingerprint(source: Source) -> str:
    """Of the files that the data set consists of."""
    return cifar.fingerprint(FORM, source)
