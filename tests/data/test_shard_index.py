"""Labels of a prepared folder, read once; ReaL's labels by TFDS's file names."""

import json
import os
import time

import numpy as np
import pytest

pytest.importorskip("array_record")

from disk_sets import class_of, encoded, picture
from tfds_sets import (
    FEATURES,
    FORMATS,
    example,
    record_of,
    split_of,
    write_info,
    write_prepared,
    write_shard,
)

from bench import compile_cache, data
from bench.data import Source, shard_index, shards, view
from bench.errors import DataError

EACH_FORMAT = pytest.mark.parametrize("form", FORMATS)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def built(root, **given):
    return data.load("tfds", 16, Source(folder=root, **given))


def settle(root, age_s=60):
    """As if every file had been written a while ago."""
    for path in root.iterdir():
        then = time.time_ns() - int(age_s * 1e9)
        os.utime(path, ns=(then, then))


def settled(where, *arguments, **given):
    root = write_prepared(where, *arguments, **given)
    settle(root)
    return root


def kept():
    return sorted((compile_cache.home() / "shards").glob("*"))


def forbid_walks(monkeypatch):
    def walk(self):
        raise AssertionError(f"{self.path} is walked again")

    for kind in (shards.Tfrecord, shards.ArrayRecord):
        monkeypatch.setattr(kind, "walk", walk)


def assert_same(one, other):
    for name in ("train", "val", "test"):
        images, positions = view.whole(getattr(one, name), 16).everything
        again, places = view.whole(getattr(other, name), 16).everything
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(positions, places)
        labels = getattr(other, name).labels
        np.testing.assert_array_equal(getattr(one, name).labels, labels)
        assert [class_of(image) for image in again] == labels[places].tolist()


@EACH_FORMAT
def test_a_second_opening_walks_no_shard_and_gives_the_same(
    form, tmp_path, monkeypatch
):
    root = settled(tmp_path, form)
    first = built(root)
    assert len(kept()) == 2  # train and test
    forbid_walks(monkeypatch)
    assert_same(first, built(root))


def test_what_is_forbidden_is_what_the_first_opening_does(tmp_path, monkeypatch):
    forbid_walks(monkeypatch)
    with pytest.raises(AssertionError, match="is walked again"):
        built(settled(tmp_path))


@EACH_FORMAT
def test_a_shard_written_again_is_walked_again(form, tmp_path):
    root = settled(tmp_path, form)
    built(root)
    (path,) = root.glob("colours-test*")
    then = path.stat()
    write_shard(path, form, [record_of((n + 1) % 3, 100 + n) for n in range(6)])
    assert path.stat().st_size == pytest.approx(then.st_size, rel=0.2)
    dataset = built(root)
    assert dataset.test.labels.tolist() == [1, 2, 0, 1, 2, 0]
    images, _ = view.whole(dataset.test, 16).everything
    assert [class_of(image) for image in images] == dataset.test.labels.tolist()
    settle(root, age_s=30)
    built(root)
    assert len(kept()) == 2  # the new one has taken the old one's place


def test_a_shard_of_this_moment_is_not_kept(tmp_path):
    # it could be written again with the same size and the same clock tick
    built(write_prepared(tmp_path))
    assert kept() == []


@pytest.mark.parametrize(
    "held", [b"", b"PK\3\4 cut", b"no archive"], ids=["empty", "cut", "text"]
)
def test_a_damaged_index_is_made_anew(held, tmp_path, caplog):
    root = settled(tmp_path)
    first = built(root)
    for path in kept():
        path.write_bytes(held)
    assert_same(first, built(root))
    assert "the shards are walked" in caplog.text
    caplog.clear()
    built(root)
    assert caplog.text == ""


def test_a_flipped_bit_in_the_index_is_seen(tmp_path, caplog):
    root = settled(tmp_path)
    first = built(root)
    for path in kept():
        raw = bytearray(path.read_bytes())
        at = raw.find(np.array([0, 1, 2], dtype=np.int64).tobytes())
        assert at > 0
        raw[at] ^= 1
        path.write_bytes(raw)
    assert_same(first, built(root))
    assert "Bad CRC-32" in caplog.text


def test_another_format_number_is_another_index(tmp_path, monkeypatch):
    root = settled(tmp_path)
    built(root)
    forbid_walks(monkeypatch)
    monkeypatch.setattr(shard_index, "FORMAT", shard_index.FORMAT + 1)
    with pytest.raises(AssertionError, match="is walked again"):
        built(root)


def test_where_nothing_can_be_kept_the_set_is_read_all_the_same(
    tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(built(settled(tmp_path)).test) == 6
    assert "set XDG_CACHE_HOME" in caplog.text


def test_a_kept_bad_record_is_refused_and_skipped_as_at_first(tmp_path):
    bad = example(file_name=b"x", image=encoded(picture(0)))
    root = settled(tmp_path, extra_test=[bad])
    for _ in range(2):
        with pytest.raises(
            DataError, match="record 6: has 0 values of feature 'label'"
        ):
            built(root)
        dataset = built(root, on_bad_image="skip")
        assert (len(dataset.test), len(dataset.skipped())) == (6, 1)


# ReaL ------------------------------------------------------------------------


LISTS = [[0], [1, 2], [], [1], [2, 0], [2]]


def named(label, number, **replaced):
    fields = {
        "file_name": f"ILSVRC2012_val_{number:08d}.JPEG".encode(),
        "image": encoded(picture(label, number, (20, 16)), "PNG"),
        "label": label,
    }
    return example(**{**fields, **replaced})


def imagenet(where, form="tfrecord", lists=LISTS, records=None):
    """Six validation images, stored in another order than their numbers."""
    root = write_prepared(where, form)
    order = [3, 1, 6, 2, 5, 4]
    if records is None:
        records = [named((number - 1) % 3, number) for number in order]
    splits = json.loads((root / "dataset_info.json").read_text())["splits"]
    splits = [splits[0], split_of(root, form, "validation", records)]
    write_info(root, form, splits)
    (root / "real.json").write_text(json.dumps(lists))
    (root / "label.labels.txt").write_text("n01\nn02\nn03\n")
    settle(root)
    return root


@EACH_FORMAT
def test_real_labels_follow_the_file_name_of_each_record(form, tmp_path, monkeypatch):
    root = imagenet(tmp_path, form)
    dataset = built(root)
    wanted = [LISTS[number - 1] for number in (3, 1, 6, 2, 5, 4)]
    assert [sorted(one) for one in dataset.test.accepted] == [sorted(w) for w in wanted]
    assert dataset.train.accepted is None and dataset.val.accepted is None
    forbid_walks(monkeypatch)
    assert built(root).test.accepted == dataset.test.accepted


def test_without_the_file_there_is_no_real_and_one_added_later_is_used(tmp_path):
    root = imagenet(tmp_path)
    (root / "real.json").unlink()
    before = data.fingerprint("tfds", Source(folder=root))
    assert built(root).test.accepted is None
    (root / "label.labels.txt").unlink()
    assert data.fingerprint("tfds", Source(folder=root)) == before
    (root / "label.labels.txt").write_text("n01\nn02\nn03\n")
    (root / "real.json").write_text(json.dumps(LISTS))
    assert data.fingerprint("tfds", Source(folder=root)) != before
    assert built(root).test.accepted is not None


def test_a_skipped_record_takes_its_real_labels_along(tmp_path):
    records = [named(0, 1), example(file_name=b"x", image=b"", label=9), named(1, 4)]
    root = imagenet(tmp_path, records=records)
    dataset = built(root, on_bad_image="skip")
    assert [sorted(one) for one in dataset.test.accepted] == [[0], [1]]


def _labels_file(text):
    return lambda root: (root / "label.labels.txt").write_text(text)


def _without_names(root):
    splits = json.loads((root / "dataset_info.json").read_text())["splits"]
    kept = {k: v for k, v in FEATURES.items() if k != "file_name"}
    write_info(root, "tfrecord", splits, kept)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda r: (r / "label.labels.txt").unlink(), "holds no label.labels.txt"),
        (_labels_file("n01\nn03\nn02\n"), "in the order of sorted folder names"),
        (_labels_file("n01\nn02\n"), "names 2 classes, features.json says 3"),
        (_without_names, "by the feature file_name, and features.json has image, lab"),
        (lambda r: (r / "real.json").write_text("[[0]]"), "has 1 lists and none for"),
    ],
)
def test_real_labels_that_do_not_fit_are_refused_in_one_line(change, problem, tmp_path):
    root = imagenet(tmp_path)
    change(root)
    with pytest.raises(DataError, match=problem) as caught:
        built(root)
    assert "\n" not in str(caught.value)


def test_a_record_without_a_name_is_a_bad_record_where_real_needs_it(tmp_path):
    nameless = example(image=encoded(picture(0)), label=0)
    root = imagenet(tmp_path, records=[named(0, 1), nameless, named(1, 4)])
    with pytest.raises(DataError, match="has 0 values of feature 'file_name'"):
        built(root)
    dataset = built(root, on_bad_image="skip")
    assert [sorted(one) for one in dataset.test.accepted] == [[0], [1]]
    (root / "real.json").unlink()
    assert len(built(root).test) == 3
