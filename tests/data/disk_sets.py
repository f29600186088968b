"""Small data sets in the form in which people have them, made on the spot.

The colour of an image tells its class, so that a wrong label cannot hide.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLOURS = np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220], [200, 200, 40]])


def class_of(image: np.ndarray) -> int:
    """The class whose colour an image has."""
    mean = np.asarray(image, dtype=float).reshape(-1, 3).mean(0)
    return int(np.abs(COLOURS - mean).sum(1).argmin())


def picture(label: int, number: int = 0, size=(60, 48)) -> Image.Image:
    """Noise about the colour of its class."""
    rng = np.random.default_rng([label, number])
    noise = rng.integers(-30, 30, (size[1], size[0], 3))
    return Image.fromarray((COLOURS[label] + noise).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def write_images(
    folder: Path, label: int, count: int, name="{:04d}.JPEG", first=0, noise=0
):
    """Files numbered from `first`; another `noise` makes other images."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        image = encoded(picture(label, noise + number))
        (folder / name.format(number)).write_bytes(image)


def write_folder(root: Path, *, classes=3, train=12, val=4) -> Path:
    """`train/<class>` and `val/<class>`, named as ImageNet's."""
    for label in range(classes):
        write_images(root / "train" / f"n{label:08d}", label, train)
        name = "ILSVRC2012_val_{:08d}.JPEG"
        where = root / "val" / f"n{label:08d}"
        write_images(where, label, val, name, first=label * val + 1, noise=1_000)
    return root


def cifar_record(label_bytes: list[int], image: np.ndarray) -> bytes:
    """As the page of the data set says: labels, then the red, green, blue planes."""
    planes = [image[..., channel].tobytes() for channel in range(3)]
    return bytes(label_bytes) + b"".join(planes)


def cifar_image(label: int, number: int) -> np.ndarray:
    return np.asarray(picture(label % 4, number, (32, 32)))


def write_shard(path: Path, rows, *, names=None, group=3, image="image", label="label"):
    """One file as a hub writes it; rows are (encoded bytes or None, path, label)."""
    entries = [{"bytes": held, "path": where} for held, where, _ in rows]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            image: pa.array(entries, kind),
            label: pa.array([one for *_, one in rows], pa.int64()),
        }
    )
    if names is not None:
        feature = {"names": names, "_type": "ClassLabel"}
        about = {"info": {"features": {label: feature, image: {"_type": "Image"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)


def hub_rows(label: int, count: int, first: int = 0):
    return [
        (encoded(picture(label, first + number)), f"{number}.jpg", label)
        for number in range(count)
    ]


def write_hub(root: Path, *, classes=3, train=8, test=4, names=True) -> Path:
    """Two training shards and one of tests, classes interleaved."""
    words = [f"word{label}" for label in range(classes)] if names else None
    rows = [
        row
        for number in range(train)
        for label in range(classes)
        for row in hub_rows(label, 1, number)
    ]
    half = len(rows) // 2
    for shard, part in enumerate((rows[:half], rows[half:])):
        write_shard(
            root / f"data/train-{shard:05d}-of-00002.parquet", part, names=words
        )
    tests = [row for label in range(classes) for row in hub_rows(label, test, 100)]
    write_shard(root / "data/test-00000-of-00001.parquet", tests, names=words)
    return root


def png(width: int, height: int, depth: int, colour: int, rows: bytes = b"") -> bytes:
    """A PNG by its standard, for what Pillow does not write."""

    def chunk(kind: bytes, held: bytes) -> bytes:
        check = zlib.crc32(kind + held)
        return struct.pack(">I", len(held)) + kind + held + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    held = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + held + chunk(b"IEND", b"")
