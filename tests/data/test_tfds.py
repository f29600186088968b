"""Prepared TFDS folders, whole and damaged; none of TensorFlow is there."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("array_record")

from disk_sets import class_of, encoded, picture
from tfds_sets import (
    FEATURES,
    FORMATS,
    checksum,
    edit_info,
    example,
    framed,
    record_of,
    split_of,
    write_info,
    write_prepared,
    write_shard,
)

from bench import data, studies
from bench.data import Source, folders, shards, tfds, tfrecord, view
from bench.data import example as messages
from bench.errors import DataError, MissingPackage

SIZE = 16
EACH_FORMAT = pytest.mark.parametrize("form", FORMATS)
# What tensorflow_datasets 4.9.10 itself wrote for file_name "f0", image b"png", label 2
REAL = base64.b64decode(
    "CjcKEAoFaW1hZ2USBwoFCgNwbmcKDgoFbGFiZWwSBRoDCgECChMKCWZpbGVfbmFtZRIGCgQKAmYw"
)


def built(root, **given):
    return data.load("tfds", SIZE, Source(folder=root, **given))


def shown(split):
    images, positions = view.whole(split, SIZE).everything
    return images, split.labels[positions]


def assert_labels_right(dataset):
    for split in (dataset.train, dataset.val, dataset.test):
        images, labels = shown(split)
        assert len(labels)
        assert [class_of(image) for image in images] == labels.tolist()


@EACH_FORMAT
def test_a_prepared_folder_becomes_three_splits_with_right_labels(form, tmp_path):
    dataset = built(write_prepared(tmp_path, form))
    sizes = [len(s) for s in (dataset.train, dataset.val, dataset.test)]
    assert (sizes, dataset.classes) == ([22, 2, 6], 3)
    assert (dataset.name, dataset.test_split) == ("colours", "test")
    assert_labels_right(dataset)


def test_both_formats_give_the_same_images(tmp_path):
    one, other = (built(write_prepared(tmp_path / f, f)).train for f in FORMATS)
    order = np.random.default_rng(0).permutation(len(one))
    for left, right in zip(one.make(order), other.make(order), strict=True):
        np.testing.assert_array_equal(left, right)


def test_an_example_that_tfds_wrote_is_read():
    held = memoryview(REAL)
    assert messages.blob(held, "image") == b"png"
    assert messages.blob(held, "file_name") == b"f0"
    assert messages.integer(held, "label") == 2


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (example(image=b"x"), "has 0 values of feature 'label'; one is needed"),
        (REAL[:-1], "a field runs past its end"),
        (b"\x0b", "wire type 3"),
        (b"\xff" * 12, "a number has no end"),
        (b"\x0a\x80", "a number has no end"),
    ],
)
def test_what_is_no_example_is_refused(record, problem):
    with pytest.raises(tfrecord.Damaged, match=problem):
        messages.integer(memoryview(record), "label")


def test_unpacked_and_fixed_fields_are_passed_over():
    unpacked = b"\x08\x05"  # field 1 as one varint: written so before packing
    inner = b"\x0a\x01k" + b"\x12" + bytes([len(unpacked) + 2]) + b"\x1a"
    inner += bytes([len(unpacked)]) + unpacked
    entry = b"\x0a" + bytes([len(inner)]) + inner
    whole = b"\x0a" + bytes([len(entry)]) + entry + b"\x15" + bytes(4) + b"\x10\x01"
    assert messages.integer(memoryview(whole), "k") == 5


@pytest.mark.parametrize("length", [0, 1, 7, 1023, 1024, 1025, 2048, 5000])
def test_the_checksum_is_castagnolis(length):
    held = np.random.default_rng(length).bytes(length)
    assert tfrecord.masked(held) == checksum(held)
    assert tfrecord.crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4
    assert tfrecord.crc32c(bytes(32)) == 0x8A9136AA


def test_the_studys_word_and_fingerprint_lead_to_the_folder(tmp_path):
    root = write_prepared(tmp_path)
    grid = {
        "mode": "pretrain",
        "model": "Mixer-XXS/4",
        "framework": "jax",
        "image_size": 16,
        "batch_size": 8,
        "total_steps": 4,
        "dataset": "tfds",
        "data_dir": str(root),
    }
    (cell,) = studies.from_values("own", {"grids": [grid]}).cells
    named = data.load("tfds", SIZE, folders.source_of(cell)).name
    assert named == f"colours@{cell.data_fingerprint[8:16]}"
    write_shard(root / "colours-test.tfrecord-00000-of-00001", "tfrecord", [])
    assert data.fingerprint("tfds", Source(folder=root)) != cell.data_fingerprint


def test_a_hidden_test_is_no_test(tmp_path):
    root = write_prepared(tmp_path, test="validation")
    info = json.loads((root / "dataset_info.json").read_text())
    hidden = [example(image=encoded(picture(0)), label=-1) for _ in range(3)]
    splits = [*info["splits"], split_of(root, "tfrecord", "test", hidden)]
    write_info(root, "tfrecord", splits)
    dataset = built(root)
    assert (dataset.test_split, len(dataset.test)) == ("validation", 6)
    assert dataset.skipped() == {}
    assert_labels_right(dataset)
    write_info(root, "tfrecord", [info["splits"][0], splits[-1]])
    with pytest.raises(DataError, match="neither test nor validation has labels"):
        built(root)


def test_validation_selects_where_test_is_labelled(tmp_path):
    root = write_prepared(tmp_path)
    held = [record_of(n % 3, 50 + n) for n in range(9)]
    splits = json.loads((root / "dataset_info.json").read_text())["splits"]
    splits.append(split_of(root, "tfrecord", "validation", held))
    write_info(root, "tfrecord", splits)
    dataset = built(root)
    sizes = [len(s) for s in (dataset.train, dataset.val, dataset.test)]
    assert sizes == [24, 9, 6]
    assert_labels_right(dataset)


def test_the_supervised_pair_tells_image_and_label_apart(tmp_path):
    root = write_prepared(tmp_path)
    mask = {**FEATURES["image"]}
    species = {"classLabel": {"numClasses": "2"}}
    features = {**FEATURES, "mask": mask, "species": species}
    splits = json.loads((root / "dataset_info.json").read_text())["splits"]
    write_info(root, "tfrecord", splits, features)
    assert_labels_right(built(root))
    renamed = {"picture": mask, "mask": mask, "label": FEATURES["label"]}
    write_info(root, "tfrecord", splits, renamed, supervisedKeys=None)
    with pytest.raises(DataError, match=r"2 features could be the image \(picture, m"):
        built(root)


def test_older_folders_name_neither_format_nor_template(tmp_path):
    root = write_prepared(tmp_path)

    def age(info):
        del info["fileFormat"]
        for split in info["splits"]:
            del split["filepathTemplate"]

    edit_info(root, age)
    assert_labels_right(built(root))


@pytest.mark.parametrize("name", ["cifar10", "other"])
def test_a_known_set_bears_its_name_only_if_it_is_whole(name, tmp_path, monkeypatch):
    sizes = {"train": 24, "test": 6}
    monkeypatch.setitem(tfds.WELL_KNOWN, "colours", (name, sizes))
    root = write_prepared(tmp_path)
    assert built(root, fingerprint="content-0123456789").name == name
    monkeypatch.setitem(tfds.WELL_KNOWN, "colours", (name, {**sizes, "train": 25}))
    found = built(root, fingerprint="content-0123456789").name
    assert found == "colours@01234567"


# Damage ----------------------------------------------------------------------

BAD_RECORDS = {
    "label too large": (
        example(image=encoded(picture(0)), label=3),
        "label 3 is not one of 0 to 2",
    ),
    "no label": (example(image=encoded(picture(0))), "has 0 values of feature 'label'"),
    "no image": (example(label=0), "has 0 values of feature 'image'"),
    "cut image": (
        example(image=encoded(picture(0))[:300], label=0),
        "cannot be decoded",
    ),
}


@EACH_FORMAT
@pytest.mark.parametrize("what", BAD_RECORDS)
def test_a_bad_record_stops_or_is_skipped_and_counted(what, form, tmp_path):
    record, problem = BAD_RECORDS[what]
    root = write_prepared(tmp_path, form, extra_test=[record])
    with pytest.raises(DataError, match=problem) as caught:
        shown(built(root).test)
    assert "colours-test" in str(caught.value) and "record 6" in str(caught.value)
    dataset = built(root, on_bad_image="skip")
    assert_labels_right(dataset)
    assert len(shown(dataset.test)[1]) == 6
    (where,) = dataset.skipped()
    assert problem in dataset.skipped()[where]


def test_a_flipped_bit_of_an_image_is_seen_when_it_is_read(tmp_path):
    root = write_prepared(tmp_path)
    path = root / "colours-test.tfrecord-00000-of-00001"
    held = bytearray(path.read_bytes())
    held[600] ^= 1
    path.write_bytes(held)
    with pytest.raises(DataError, match="the checksum of its data does not hold"):
        shown(built(root).test)
    dataset = built(root, on_bad_image="skip")
    assert len(shown(dataset.test)[1]) == 5 and len(dataset.skipped()) == 1


def _damage(root, change):
    (path,) = root.glob("colours-test*")
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("form", "change", "problem"),
    [
        ("tfrecord", lambda b: b"\1" + b[1:], "checksum of its length does not hold"),
        ("tfrecord", lambda b: b[:-9], "ends inside record 5: cut short"),
        ("tfrecord", lambda b: b + bytes(5), "ends inside record 6: cut short"),
        ("tfrecord", lambda b: b + framed(record_of(0, 0)), "7 records, .* says 6"),
        ("tfrecord", lambda b: b"", "holds 0 records, dataset_info.json says 6"),
        ("array_record", lambda b: b[: len(b) // 2], "0 records, .* says 6"),
        ("array_record", lambda b: b[:-3], "holds 0 records, .* says 6"),
        ("array_record", lambda b: b"", "holds 0 records, .* says 6"),
        ("array_record", lambda b: b[:3000] + bytes(40) + b[3040:], "is damaged: Corr"),
    ],
)
def test_a_damaged_shard_is_named_whatever_the_rule(form, change, problem, tmp_path):
    root = write_prepared(tmp_path, form)
    _damage(root, change)
    with pytest.raises(DataError, match=problem) as caught:
        built(root, on_bad_image="skip")
    assert "colours-test" in str(caught.value) and "\n" not in str(caught.value)
    assert "copy or prepare it again" in str(caught.value)


def _unlink_features(root):
    (root / "features.json").unlink()


def _without(feature):
    def change(root):
        splits = json.loads((root / "dataset_info.json").read_text())["splits"]
        kept = {k: v for k, v in FEATURES.items() if k != feature}
        write_info(root, "tfrecord", splits, kept)

    return change


def _set(**values):
    return lambda root: edit_info(root, lambda info: info.update(values))


def _lengths(*lengths):
    def change(info):
        info["splits"][0]["shardLengths"] = list(lengths)

    return lambda root: edit_info(root, change)


def _template(text):
    def change(info):
        info["splits"][0]["filepathTemplate"] = text

    return lambda root: edit_info(root, change)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda r: (r / "dataset_info.json").unlink(), "holds no dataset_info.json"),
        (lambda r: (r / "dataset_info.json").write_text("{"), "is not JSON"),
        (lambda r: (r / "dataset_info.json").write_text("[]"), "is no mapping"),
        (_unlink_features, "holds no features.json"),
        (lambda r: (r / "features.json").write_text("{}"), "names no features"),
        (_without("image"), r"0 features could be the image \(none of file_name, lab"),
        (_without("label"), r"0 features could be the label"),
        (_set(fileFormat="riegeli"), "file_format=array_record or tfrecord"),
        (_set(splits=[]), "train and one of validation, test are needed"),
        (_lengths("12", "12", "1"), "train.tfrecord-00000-of-00003: is missing"),
        (_lengths("24"), "train.tfrecord-00000-of-00001: is missing"),
        (_lengths("12", "13"), "holds 12 records, dataset_info.json says 13"),
        (_lengths("12", "x"), "shardLengths: 'x' is not a count"),
        (_template("{DATASET}-{OTHER}"), "is not understood; known: DATASET"),
        (_template("../{DATASET}-{SHARD_INDEX}"), "lies outside of data_dir"),
    ],
)
def test_a_folder_that_is_not_as_it_says_is_refused_in_one_line(
    change, problem, tmp_path
):
    root = write_prepared(tmp_path)
    change(root)
    with pytest.raises(DataError, match=problem) as caught:
        built(root)
    assert "\n" not in str(caught.value)


def test_the_folder_above_names_the_one_below(tmp_path):
    root = write_prepared(tmp_path)
    for above in (root.parent, root.parent.parent):
        with pytest.raises(DataError, match=f"did you mean {root}$"):
            built(above)


def test_without_the_package_array_record_is_refused_and_tfrecord_is_not(
    tmp_path, monkeypatch
):
    roots = {form: write_prepared(tmp_path / form, form) for form in FORMATS}
    monkeypatch.setattr(shards.importlib.util, "find_spec", lambda name: None)
    assert built(roots["tfrecord"]).classes == 3
    with pytest.raises(MissingPackage, match=r"mixer-bench\[tfds\]"):
        built(roots["array_record"])


def test_neither_tensorflow_nor_tfds_is_imported(tmp_path):
    root = write_prepared(tmp_path, "array_record")
    code = f"""
import sys
from pathlib import Path
from bench import data
dataset = data.load("tfds", 16, data.Source(folder=Path({str(root)!r})))
dataset.test.make(data.np.arange(3))
print([m for m in ("tensorflow", "tensorflow_datasets", "jax", "torch")
       if m in sys.modules])
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
