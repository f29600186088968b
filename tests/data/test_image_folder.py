import json
import os
import shutil

import numpy as np
import pytest
from disk_sets import class_of, encoded, picture, png, write_folder, write_images

from bench import data
from bench.data import Source, class_index, image_folder, view
from bench.errors import DataError

SIZE = 16


def built(root, **given):
    return data.load("image-folder", SIZE, Source(folder=root, **given))


def shown(split):
    """Every image that can be read, with its label."""
    images, positions = view.whole(split, SIZE).everything
    return images, split.labels[positions]


def assert_labels_right(dataset):
    for split in (dataset.train, dataset.val, dataset.test):
        images, labels = shown(split)
        assert [class_of(image) for image in images] == labels.tolist()


def test_a_folder_becomes_three_splits_with_right_labels(tmp_path):
    dataset = built(write_folder(tmp_path / "tiny"))
    sizes = [len(s) for s in (dataset.train, dataset.val, dataset.test)]
    assert (sizes, dataset.classes) == ([32, 4, 12], 3)  # 10 % of 36 held out
    assert (dataset.name, dataset.test_split) == ("tiny", "validation")
    assert_labels_right(dataset)
    assert dataset.skipped() == {}


@pytest.mark.parametrize("part", ["val", "test"])
@pytest.mark.parametrize("absent", [0, 1])
def test_a_class_that_evaluation_lacks_moves_no_label(part, absent, tmp_path):
    """A part of ImageNet's validation set is no other task."""
    root = write_folder(tmp_path)
    if part == "test":
        for label in range(3):
            write_images(root / "test" / f"n{label:08d}", label, 5, first=50)
    shutil.rmtree(root / part / f"n{absent:08d}")
    dataset = built(root)
    assert dataset.classes == 3
    assert_labels_right(dataset)
    held = {0, 1, 2} - {absent}
    assert set(dataset.test.labels.tolist()) == held


def test_the_held_out_images_are_never_trained_on(tmp_path):
    dataset = built(write_folder(tmp_path))
    train, val = shown(dataset.train)[0], shown(dataset.val)[0]
    assert not {one.tobytes() for one in train} & {one.tobytes() for one in val}
    again = built(tmp_path)
    np.testing.assert_array_equal(shown(again.val)[0], val)


def test_a_labelled_test_folder_is_what_is_reported(tmp_path):
    write_folder(tmp_path)
    for label in range(3):
        write_images(tmp_path / "test" / f"n{label:08d}", label, 5, first=50)
    dataset = built(tmp_path)
    sizes = [len(s) for s in (dataset.train, dataset.val, dataset.test)]
    assert (sizes, dataset.test_split) == ([36, 12, 15], "test")
    assert_labels_right(dataset)


def test_imagenets_flat_test_without_labels_is_left_alone(tmp_path):
    write_images(write_folder(tmp_path) / "test", 0, 3)
    assert built(tmp_path).test_split == "validation"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("class_index.json", json.dumps([f"n{i:08d}" for i in (2, 0, 1)])),
        (
            "imagenet_class_index.json",
            json.dumps(
                {str(k): [f"n{i:08d}", "word"] for k, i in enumerate((2, 0, 1))}
            ),
        ),
        (
            "LOC_synset_mapping.txt",
            "n00000002 tench, Tinca tinca\nn00000000 goldfish\nn00000001 shark\n",
        ),
    ],
)
def test_a_class_index_says_the_labels(name, text, tmp_path):
    (write_folder(tmp_path) / name).write_text(text)
    images, labels = shown(built(tmp_path).test)
    order = [2, 0, 1]
    assert [class_of(image) for image in images] == [order[one] for one in labels]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (["n00000000", "n00000001"], "does not list train/n00000002"),
        (
            [f"n{i:08d}" for i in range(4)],
            r"lists class n00000003 \(label 3\), which has no folder in train",
        ),
        (["n00000000", "n00000000", "n00000001"], "lists n00000000 twice"),
        (["../outside", "n00000000"], "'../outside' is not the name of a class"),
        (["n00000000", 7], "7 is not the name of a class folder"),
        ({"0": "n00000000", "2": "n00000001"}, "label 1 is missing"),
        ("text", "must be a list of folders or label -> folder"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(held, message, tmp_path):
    (write_folder(tmp_path) / "class_index.json").write_text(json.dumps(held))
    with pytest.raises(DataError, match=message) as caught:
        built(tmp_path)
    assert "\n" not in str(caught.value)


def test_two_indices_must_agree(tmp_path):
    write_folder(tmp_path)
    names = [f"n{i:08d}" for i in range(3)]
    (tmp_path / "class_index.json").write_text(json.dumps(names))
    (tmp_path / "synset_words.txt").write_text("\n".join(names))
    assert class_index.of(tmp_path, names) == tuple(names)
    (tmp_path / "synset_words.txt").write_text("\n".join(reversed(names)))
    with pytest.raises(DataError, match=r"class_index.json and synset_words.txt dis"):
        built(tmp_path)
    (tmp_path / "class_index.json").write_text("{")
    with pytest.raises(DataError, match="is not a class index"):
        built(tmp_path)


def damage(root, what):
    """One bad file in the training class 1; its path."""
    path = root / "train/n00000001/0003.JPEG"
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:600])
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "bomb":
        path.write_bytes(png(50_000, 50_000, 8, 2))
    elif what == "a folder":
        path.unlink()
        path.mkdir()
    elif what == "no image":
        path = path.with_name("README.txt")
        path.write_text("hello")
    elif what == "a link out":
        outside = root.parent / "outside.JPEG"
        outside.write_bytes(encoded(picture(2)))
        path.unlink()
        path.symlink_to(outside)
    elif what == "a dead link":
        path.unlink()
        path.symlink_to(root / "nothing.JPEG")
    return path


DAMAGES = {
    "truncated": "cannot be decoded",
    "empty": "is empty",
    "bomb": "at most 67,108,864",
    "a folder": "images lie directly in their class folder",
    "no image": "is no image by its name",
    "a link out": "is a link out of data_dir",
    "a dead link": "is no file",
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_bad_file_stops_where_the_study_says_error(what, tmp_path):
    path = damage(write_folder(tmp_path / "set"), what)
    with pytest.raises(DataError, match=DAMAGES[what]) as caught:
        dataset = built(tmp_path / "set")
        shown(dataset.train), shown(dataset.val)
    assert str(path) in str(caught.value)
    assert "on_bad_image: skip" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", DAMAGES)
def test_a_bad_file_is_part_of_the_fingerprint(what, tmp_path):
    whole = data.fingerprint(
        "image-folder", Source(folder=write_folder(tmp_path / "a"))
    )
    damage(write_folder(tmp_path / "b"), what)
    assert data.fingerprint("image-folder", Source(folder=tmp_path / "b")) != whole


def test_a_pipe_among_the_images_blocks_nothing(tmp_path):
    path = write_folder(tmp_path) / "train/n00000001/0003.JPEG"
    path.unlink()
    os.mkfifo(path)
    assert data.fingerprint("image-folder", Source(folder=tmp_path))
    with pytest.raises(DataError, match=r"0003.JPEG: is no file, and images lie"):
        built(tmp_path)


def test_a_class_folder_that_is_a_link_is_refused(tmp_path):
    root = write_folder(tmp_path / "set")
    (root / "train/n00000001").rename(tmp_path / "elsewhere")
    (root / "train/n00000001").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="n00000001: is a link; a class needs a real"):
        built(root)


def test_a_file_that_the_system_keeps_back_is_one_line(tmp_path, monkeypatch):
    def refused(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(image_folder, "_folders", refused)
    with pytest.raises(DataError, match="train: cannot be read: Permission denied"):
        built(write_folder(tmp_path))


@pytest.mark.parametrize("what", DAMAGES)
def test_a_bad_file_is_skipped_and_counted_and_no_label_moves(what, tmp_path):
    path = damage(write_folder(tmp_path / "set"), what)
    dataset = built(tmp_path / "set", on_bad_image="skip")
    assert_labels_right(dataset)
    assert list(dataset.skipped()) == [str(path)]
    assert DAMAGES[what] in dataset.skipped()[str(path)]
    used = len(shown(dataset.train)[1]) + len(shown(dataset.val)[1])
    assert used == (36 if what == "no image" else 35)


def test_odd_but_whole_images_are_used(tmp_path):
    folder = write_folder(tmp_path) / "train/n00000001"
    picture(1, 90).convert("CMYK").save(folder / "cmyk.jpg")
    picture(1, 91).convert("RGBA").save(folder / "alpha.PNG")
    picture(1, 92).quantize(16).save(folder / "palette.gif")
    (folder / ".DS_Store").write_bytes(b"litter")
    (folder / "Thumbs.db").write_bytes(b"litter")
    dataset = built(tmp_path)
    assert len(dataset.train) + len(dataset.val) == 39
    assert_labels_right(dataset)
    assert dataset.skipped() == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: (r / "train").rename(r / "Train"), "holds no train"),
        (lambda r: (r / "val").rename(r / "valid"), "holds no val"),
        (lambda r: (r / "val/n00000002").rename(r / "val/cat"), "val/cat: is not a cl"),
        (
            lambda r: [f.unlink() for f in (r / "train/n00000002").iterdir()],
            "train/n00000002: has no image",
        ),
    ],
)
def test_a_folder_of_another_layout_is_refused(change, message, tmp_path):
    change(write_folder(tmp_path))
    with pytest.raises(DataError, match=message) as caught:
        built(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_single_class_is_no_task(tmp_path):
    with pytest.raises(DataError, match="has 1 class folders; images lie in"):
        built(write_folder(tmp_path, classes=1))


# Kaggle's flat validation folder -----------------------------------------------------


def flat(root):
    write_folder(root)
    lines = ["ImageId,PredictionString"]
    for folder in sorted((root / "val").iterdir()):
        for path in sorted(folder.iterdir()):
            lines.append(f"{path.stem},{folder.name} 1 2 30 40 ")
            path.rename(root / "val" / path.name)
        folder.rmdir()
    (root / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")
    return root, lines


def test_a_flat_validation_folder_is_read_with_kaggles_table(tmp_path):
    root, _ = flat(tmp_path)
    dataset = built(root)
    assert len(dataset.test) == 12
    assert_labels_right(dataset)


def test_a_flat_validation_folder_needs_its_table(tmp_path):
    root, lines = flat(tmp_path)
    table = root / "LOC_val_solution.csv"
    table.write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match="has no class for val/ILSVRC2012_val_00000012"):
        built(root)
    table.write_text("\n".join([*lines[:-1], "ILSVRC2012_val_00000012,n9 1 2 3 4"]))
    with pytest.raises(DataError, match="class n9 is not a class of train"):
        built(root)
    table.write_text("name,class\n")
    with pytest.raises(DataError, match="first line must be ImageId,PredictionString"):
        built(root)
    table.write_bytes(b"ImageId,PredictionString\n\xff\xfe")
    with pytest.raises(DataError, match="is not a table"):
        built(root)
    table.unlink()
    with pytest.raises(DataError, match=r"sort its images into val/<class>/ or put"):
        built(root)


# ReaL --------------------------------------------------------------------------------


def with_real(root, lists):
    write_folder(root)
    (root / "real.json").write_text(json.dumps(lists))
    return root


def test_real_labels_belong_to_the_number_in_the_file_name(tmp_path):
    lists = [[0]] * 4 + [[1, 2], [], [1], [1]] + [[2]] * 4
    (tmp_path / "set/val").mkdir(parents=True)
    dataset = built(with_real(tmp_path / "set", lists))
    assert [sorted(one) for one in dataset.test.accepted] == lists
    assert dataset.val.accepted is None  # selection never sees them


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([[0]] * 11, "has 11 lists and none for ILSVRC2012_val_00000012.JPEG"),
        ([[0]] * 11 + [[3]], "list 11: 3 is not one of the labels 0 to 2"),
        ([[0]] * 11 + [["1"]], "list 11: '1' is not one of the labels"),
        ([[0]] * 11 + [[True]], "list 11: True is not one of the labels"),
        ([0] * 12, "must be a list with one list of labels per image"),
    ],
)
def test_a_real_file_that_does_not_fit_is_refused(lists, message, tmp_path):
    with pytest.raises(DataError, match=message):
        built(with_real(tmp_path, lists))


def test_real_labels_need_imagenets_own_class_order(tmp_path):
    root = with_real(tmp_path, [[0]] * 12)
    order = [f"n{i:08d}" for i in (1, 0, 2)]
    (root / "class_index.json").write_text(json.dumps(order))
    with pytest.raises(DataError, match="the class index has another"):
        built(root)
    (root / "class_index.json").unlink()
    (root / "real.json").write_text("[[0]")
    with pytest.raises(DataError, match=r"real.json: is not JSON"):
        built(root)


# Fingerprint -------------------------------------------------------------------------


def test_the_fingerprint_follows_the_data_and_not_the_place(tmp_path):
    def found(root):
        return data.fingerprint("image-folder", Source(folder=root))

    first = found(write_folder(tmp_path / "one"))
    assert first == found(write_folder(tmp_path / "two"))
    assert first.startswith("content-")
    path = tmp_path / "two/train/n00000000/0000.JPEG"
    held = bytearray(path.read_bytes())
    held[-3] ^= 1  # same name, same size
    path.write_bytes(held)
    assert found(tmp_path / "two") != first
    path.rename(path.parent.parent / "n00000001/moved.JPEG")
    moved = found(tmp_path / "two")
    (tmp_path / "two/real.json").write_text("[]")
    assert len({first, moved, found(tmp_path / "two")}) == 3


def test_a_large_set_is_known_by_names_and_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.data.stored.HASH_WHOLE", 10)
    found = data.fingerprint("image-folder", Source(folder=write_folder(tmp_path)))
    assert found.startswith("listing-")
    (tmp_path / "train/n00000000/0000.JPEG").write_bytes(b"x")
    assert data.fingerprint("image-folder", Source(folder=tmp_path)) != found


def test_nameless_sets_are_told_apart_by_what_they_hold(tmp_path):
    source = Source(
        folder=write_folder(tmp_path / "pets"), fingerprint="content-0123456789"
    )
    assert data.load("image-folder", SIZE, source).name == "pets@01234567"
