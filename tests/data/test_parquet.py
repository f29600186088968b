import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from disk_sets import class_of, encoded, hub_rows, picture, write_hub, write_shard

from bench import data
from bench.data import Source, parquet, view
from bench.errors import DataError

SIZE = 16


def built(root, **given):
    return data.load("parquet", SIZE, Source(folder=root, **given))


def shown(split):
    images, positions = view.whole(split, SIZE).everything
    return images, split.labels[positions]


def assert_labels_right(dataset):
    for split in (dataset.train, dataset.val, dataset.test):
        images, labels = shown(split)
        assert [class_of(image) for image in images] == labels.tolist()


@pytest.mark.parametrize("names", [True, False])
def test_shards_become_three_splits_with_right_labels(names, tmp_path):
    dataset = built(write_hub(tmp_path / "hub", names=names))
    sizes = [len(s) for s in (dataset.train, dataset.val, dataset.test)]
    assert (sizes, dataset.classes) == ([22, 2, 12], 3)
    assert (dataset.name, dataset.test_split) == ("hub", "test")
    assert_labels_right(dataset)


def test_any_row_can_be_read_alone_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "KEPT_BYTES", 1)  # one row group at a time
    train = built(write_hub(tmp_path)).train
    order = np.random.default_rng(0).permutation(len(train))
    alone = [train.make(np.array([position]))[0] for position in order]
    together = train.make(np.arange(len(train)))
    for position, image in zip(order, alone, strict=True):
        np.testing.assert_array_equal(image, together[position])


def test_a_plain_binary_column_and_other_names_are_found(tmp_path):
    rows = [row for label in (0, 1) for row in hub_rows(label, 4)]
    table = pa.table(
        {
            "id": pa.array([str(i) for i in range(8)]),
            "img": pa.array([held for held, *_ in rows], pa.binary()),
            "coarse_label": pa.array([9] * 8, pa.int64()),
            "fine_label": pa.array([one for *_, one in rows], pa.int32()),
        }
    )
    for part in ("train", "validation"):
        pq.write_table(table, tmp_path / f"{part}.parquet")
    dataset = built(tmp_path)
    assert (dataset.classes, dataset.test_split) == (2, "validation")
    assert_labels_right(dataset)


def test_a_test_split_without_labels_is_no_test(tmp_path):
    root = write_hub(tmp_path)
    rows = [(held, name, 0) for held, name, _ in hub_rows(0, 4)]
    write_shard(root / "data/validation-00000-of-00001.parquet", rows)
    assert built(root).test_split == "test"
    hidden = [(held, name, -1) for held, name, _ in rows]
    write_shard(root / "data/test-00000-of-00001.parquet", hidden)
    dataset = built(root)
    assert (dataset.test_split, len(dataset.test)) == ("validation", 4)
    assert dataset.skipped() == {}


def with_row(root, row):
    """The test shard with one more row, its 13th."""
    rows = [row for label in range(3) for row in hub_rows(label, 4, 100)]
    words = ["a", "b", "c"]
    path = root / "data/test-00000-of-00001.parquet"
    write_shard(path, [*rows, row], names=words)
    return path


BAD_ROWS = {
    "label too large": ((encoded(picture(0)), None, 3), "label 3 is not one of 0 to 2"),
    "label missing": ((encoded(picture(0)), None, None), "label -1 is not one of"),
    "truncated": ((encoded(picture(0))[:300], None, 0), "cannot be decoded"),
    "no bytes": ((None, None, 0), "is empty"),
    "path out": ((None, "../outside.jpg", 0), "lies outside of data_dir"),
    "path away": ((None, "/etc/hostname", 0), "lies outside of data_dir"),
    "path to nothing": ((None, "nothing.jpg", 0), "cannot be read: No such file"),
}


@pytest.mark.parametrize("what", BAD_ROWS)
def test_a_bad_row_stops_or_is_skipped_and_counted(what, tmp_path):
    row, problem = BAD_ROWS[what]
    (tmp_path / "outside.jpg").write_bytes(encoded(picture(0)))
    root = write_hub(tmp_path / "hub")
    with_row(root, row)
    with pytest.raises(DataError, match=problem):
        shown(built(root).test)
    dataset = built(root, on_bad_image="skip")
    assert_labels_right(dataset)
    assert len(shown(dataset.test)[1]) == 12
    (where,) = dataset.skipped()
    assert problem in dataset.skipped()[where]


def test_an_image_beside_the_shards_is_read_by_its_path(tmp_path):
    root = write_hub(tmp_path)
    (root / "images").mkdir()
    (root / "images/one.jpg").write_bytes(encoded(picture(2)))
    with_row(root, (None, "images/one.jpg", 2))
    images, labels = shown(built(root).test)
    assert (class_of(images[-1]), labels[-1], len(labels)) == (2, 2, 13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda r: (r / "data/train-00001-of-00002.parquet").unlink(),
            "not all that their names announce",
        ),
        (
            lambda r: [f.unlink() for f in r.glob("data/test*")],
            "holds parquet of train; train and one of validation, test are needed",
        ),
        (
            lambda r: (r / "data/test-00000-of-00001.parquet").rename(r / "x.parquet"),
            "its name tells no split",
        ),
        (
            lambda r: (r / "data/test-00000-of-00001.parquet").write_bytes(b"PAR1"),
            "is not a whole parquet file",
        ),
    ],
)
def test_shards_that_are_missing_or_damaged_are_named(change, message, tmp_path):
    change(write_hub(tmp_path))
    with pytest.raises(DataError, match=message) as caught:
        built(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_row_group_stops_the_attempt(tmp_path):
    root = write_hub(tmp_path)
    path = root / "data/test-00000-of-00001.parquet"
    held = bytearray(path.read_bytes())
    held[4:400] = bytes(396)
    path.write_bytes(held)
    with pytest.raises(DataError, match=r"test-00000-of-00001.parquet"):
        shown(built(root, on_bad_image="skip").test)


def test_columns_that_could_be_several_things_are_refused(tmp_path):
    rows = hub_rows(0, 4)
    for part in ("train", "test"):
        write_shard(tmp_path / f"{part}.parquet", rows, label="a")
    table = pq.read_table(tmp_path / "train.parquet")
    pq.write_table(table.append_column("b", table["a"]), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"2 columns could be the label \(a, b\)"):
        built(tmp_path)
    pq.write_table(table.drop_columns(["image"]), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"0 columns could be the image \(none\)"):
        built(tmp_path)


def test_hub_metadata_that_is_damaged_is_refused_and_missing_names_are_not(tmp_path):
    path = write_hub(tmp_path) / "data/train-00000-of-00002.parquet"
    table = pq.read_table(path)
    for held in ("[]", '{"info": {"features": []}}', '{"info": null}'):
        pq.write_table(table.replace_schema_metadata({"huggingface": held}), path)
        assert built(tmp_path).classes == 3
    pq.write_table(table.replace_schema_metadata({"huggingface": "{"}), path)
    with pytest.raises(DataError, match="its hub metadata is not JSON"):
        built(tmp_path)


def test_one_class_is_no_task(tmp_path):
    for part in ("train", "test"):
        write_shard(tmp_path / f"{part}.parquet", hub_rows(0, 4))
    with pytest.raises(DataError, match="name fewer than two classes"):
        built(tmp_path)


def test_the_fingerprint_is_that_of_the_shards(tmp_path):
    root = write_hub(tmp_path)
    found = data.fingerprint("parquet", Source(folder=root))
    with_row(root, (encoded(picture(1)), None, 1))
    assert data.fingerprint("parquet", Source(folder=root)) != found
