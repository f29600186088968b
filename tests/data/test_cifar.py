import dataclasses

import numpy as np
import pytest
from disk_sets import cifar_image, cifar_record

from bench import data
from bench.data import Source, cifar, cifar10, cifar100, view
from bench.errors import DataError

SMALL10 = dataclasses.replace(cifar10.FORM, images_per_file=20, test_images=12)
SMALL100 = dataclasses.replace(cifar100.FORM, images_per_file=300, test_images=100)


def write_small10(folder):
    """Labels 0 to 9 in turn; the image of record n of file f is (label, 100 f + n)."""
    for part, name in enumerate((*SMALL10.train, SMALL10.test)):
        count = SMALL10.test_images if name == SMALL10.test else 20
        records = [
            cifar_record([n % 10], cifar_image(n % 10, 100 * part + n))
            for n in range(count)
        ]
        (folder / name).write_bytes(b"".join(records))
    return folder


def built(form, folder, size=32, **given):
    return cifar.build(form, size, Source(folder=folder, **given))


def everything(split, size=32):
    images, positions = view.whole(split, size).everything
    return images, split.labels[positions]


def test_records_are_read_byte_for_byte_with_their_labels(tmp_path):
    dataset = built(SMALL10, write_small10(tmp_path))
    images, labels = everything(dataset.test)
    assert labels.tolist() == [n % 10 for n in range(12)]
    for n, image in enumerate(images):
        np.testing.assert_array_equal(image, cifar_image(n % 10, 500 + n))


def test_every_training_record_is_trained_on_or_held_out(tmp_path):
    dataset = built(SMALL10, write_small10(tmp_path))
    assert (len(dataset.train), len(dataset.val)) == (90, 10)  # under 10,000: 10 %
    images = np.concatenate([everything(s)[0] for s in (dataset.train, dataset.val)])
    expected = {
        cifar_image(n % 10, 100 * part + n).tobytes()
        for part in range(5)
        for n in range(20)
    }
    assert {image.tobytes() for image in images} == expected
    assert np.bincount(dataset.val.labels).tolist() == [1] * 10


def test_the_fine_label_of_cifar100_counts(tmp_path):
    def records(count):
        return b"".join(
            cifar_record([n % 20, n % 100], cifar_image(n, n)) for n in range(count)
        )

    (tmp_path / "cifar-100-binary").mkdir()
    (tmp_path / "cifar-100-binary/train.bin").write_bytes(records(300))
    (tmp_path / "cifar-100-binary/test.bin").write_bytes(records(100))
    dataset = built(SMALL100, tmp_path)
    images, labels = everything(dataset.test)
    assert (dataset.classes, labels.tolist()) == (100, list(range(100)))
    np.testing.assert_array_equal(images[37], cifar_image(37, 37))


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_the_whole_files_have_the_sizes_of_the_download(name, classes, tmp_path):
    module = {"cifar10": cifar10, "cifar100": cifar100}[name]
    form, length = module.FORM, module.FORM.label_bytes + 3_072
    for part in (*form.train, form.test):
        count = form.test_images if part == form.test else form.images_per_file
        records = np.zeros((count, length), dtype=np.uint8)
        records[:, form.label_bytes - 1] = np.arange(count) % classes
        records.tofile(tmp_path / part)
    sizes = {part.name: part.stat().st_size for part in tmp_path.iterdir()}
    assert sizes[form.test] == {"cifar10": 30_730_000, "cifar100": 30_740_000}[name]
    dataset = data.load(name, 32, Source(folder=tmp_path))
    splits = (dataset.train, dataset.val, dataset.test)
    assert [len(split) for split in splits] == [49_000, 1_000, 10_000]
    assert dataset.name == name
    assert np.bincount(dataset.val.labels).tolist() == [1_000 // classes] * classes


@pytest.mark.parametrize("cut", [1, 3_073, 10 * 3_073])
def test_a_cut_file_is_refused_even_between_records(cut, tmp_path):
    path = write_small10(tmp_path) / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"data_batch_3.bin: has .* cut short"):
        built(SMALL10, tmp_path)


def test_a_label_out_of_range_stops_or_is_counted_as_the_study_says(tmp_path):
    path = write_small10(tmp_path) / "data_batch_2.bin"
    held = bytearray(path.read_bytes())
    held[5 * 3_073] = 10
    path.write_bytes(held)
    with pytest.raises(DataError, match=r"data_batch_2\.bin record 5: label 10 is not"):
        built(SMALL10, tmp_path)
    dataset = built(SMALL10, tmp_path, on_bad_image="skip")
    assert list(dataset.skipped()) == ["data_batch_2.bin record 5"]
    images = np.concatenate([everything(s)[0] for s in (dataset.train, dataset.val)])
    assert len(images) == 99
    bad = cifar_image(5, 105).tobytes()
    assert bad not in {image.tobytes() for image in images}
    right = {
        cifar_image(n % 10, 100 * part + n).tobytes(): n % 10
        for part in range(5)
        for n in range(20)
    }
    for split in (dataset.train, dataset.val):
        for image, label in zip(*everything(split), strict=True):
            assert right[image.tobytes()] == label


def test_a_missing_file_is_named(tmp_path):
    (write_small10(tmp_path) / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"data_dir .*: holds no test_batch.bin"):
        built(SMALL10, tmp_path)
    with pytest.raises(DataError, match=r"nowhere: no such folder"):
        built(SMALL10, tmp_path / "nowhere")
    for missing in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError):
            data.fingerprint("cifar10", Source(folder=missing))


def test_images_are_enlarged_straight_to_the_models_size(tmp_path):
    dataset = built(SMALL10, write_small10(tmp_path), size=64)
    images, _ = everything(dataset.test, 64)
    assert images.shape == (12, 64, 64, 3)
    assert dataset.eval_preprocess == "32 px, resize 64x64 bilinear"
