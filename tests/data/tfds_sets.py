"""Folders as TensorFlow Datasets prepares them, byte for byte, made without it.

The JSON has the form that tensorflow_datasets 4.9 wrote; shards of array_record come
from its own writer, with the options that TFDS gives it; tfrecords are framed here,
by a checksum of its own.
"""

import itertools
import json
import struct
from pathlib import Path

from array_record.python import array_record_module
from disk_sets import encoded, picture

FORMATS = ("array_record", "tfrecord")


def varint(value: int) -> bytes:
    value %= 2**64
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def message(number: int, held: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(held)) + held


def example(**features) -> bytes:
    """Features of bytes or int, in the order given."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = message(1, message(1, value))
        else:
            feature = message(3, message(1, varint(value)))
        entries += message(1, message(1, name.encode()) + message(2, feature))
    return message(1, entries)


def checksum(data: bytes) -> int:
    """Masked CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    head = length + struct.pack("<I", checksum(length))
    return head + data + struct.pack("<I", checksum(data))


def write_shard(path: Path, form: str, records: list[bytes]) -> None:
    if form == "tfrecord":
        path.write_bytes(b"".join(framed(record) for record in records))
        return
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


def record_of(label: int, number: int) -> bytes:
    image = encoded(picture(label, number, (20, 16)), "PNG")
    return example(file_name=f"{number}.png".encode(), image=image, label=label)


def split_of(root: Path, form: str, name: str, records: list[bytes], shards=2):
    """Write the shards of one split; its entry of dataset_info.json."""
    cuts = [len(records) * n // shards for n in range(shards + 1)]
    parts = [records[a:b] for a, b in itertools.pairwise(cuts)]
    for number, part in enumerate(parts):
        file = f"{root.parent.name}-{name}.{form}-{number:05d}-of-{shards:05d}"
        write_shard(root / file, form, part)
    return {
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "name": name,
        "numBytes": str(sum(map(len, records))),
        "shardLengths": [str(len(part)) for part in parts],
    }


FEATURES = {
    "file_name": {
        "pythonClassName": "tensorflow_datasets.core.features.text_feature.Text",
        "text": {},
    },
    "image": {
        "image": {
            "dtype": "uint8",
            "encodingFormat": "png",
            "shape": {"dimensions": ["-1", "-1", "3"]},
        },
        "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
    },
    "label": {
        "classLabel": {"numClasses": "3"},
        "pythonClassName": "tensorflow_datasets.core.features.class_label_feature."
        "ClassLabel",
    },
}


def write_info(root: Path, form: str, splits: list[dict], features=None, **own):
    info = {
        "fileFormat": form,
        "moduleName": "colours",
        "name": root.parent.name,
        "splits": splits,
        "supervisedKeys": {
            "tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}
        },
        "version": root.name,
        **own,
    }
    (root / "dataset_info.json").write_text(json.dumps(info, indent=2))
    held = {"featuresDict": {"features": FEATURES if features is None else features}}
    (root / "features.json").write_text(json.dumps(held, indent=4))


def write_prepared(where: Path, form="tfrecord", extra_test=(), test="test") -> Path:
    """24 training images in two shards, 6 of test; classes interleaved."""
    root = where / "colours" / "1.0.0"
    root.mkdir(parents=True)
    train = [record_of(n % 3, n) for n in range(24)]
    tests = [record_of(n % 3, 100 + n) for n in range(6)]
    splits = [
        split_of(root, form, "train", train),
        split_of(root, form, test, [*tests, *extra_test], shards=1),
    ]
    write_info(root, form, splits)
    return root


def edit_info(root: Path, change) -> None:
    """Change dataset_info.json in place."""
    path = root / "dataset_info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))
