import numpy as np
import pytest
from disk_sets import picture
from PIL import Image

from bench.data import augment, randaugment
from bench.data.augment import Augmentation
from bench.errors import StudyError

WIDTH, HEIGHT = 500, 375


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def boxes(count: int, width=WIDTH, height=HEIGHT) -> np.ndarray:
    draws = rng()
    return np.array([augment.inception_box(width, height, draws) for _ in range(count)])


# Inception crop ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height"), [(500, 375), (224, 224), (32, 32), (9, 70)]
)
def test_a_crop_keeps_its_bounds(width, height):
    left, upper, right, lower = boxes(2_000, width, height).T
    assert (left >= 0).all() and (upper >= 0).all()
    assert (right <= width).all() and (lower <= height).all()
    area = (right - left) * (lower - upper) / (width * height)
    assert area.min() >= 0.05 and area.max() <= 1
    ratio = (right - left) / (lower - upper)
    whole = (right - left == width) & (lower - upper == height)
    spread = 1 / (lower - upper)  # sides are whole pixels
    fits = (ratio >= 0.75 - spread) & (ratio <= 1.33 + spread)
    assert (fits | whole).all()


def test_a_crops_height_is_uniform_between_the_heights_its_areas_allow():
    """TensorFlow's rule; torchvision's, an area that is uniform, would fail here."""
    left, upper, right, lower = boxes(20_000).T
    high, ratio = lower - upper, (right - left) / (lower - upper)
    low = np.sqrt(0.05 * WIDTH * HEIGHT / ratio)
    most = np.minimum(np.sqrt(WIDTH * HEIGHT / ratio), HEIGHT)
    place = (high - low) / (most - low)
    for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert np.quantile(place, quantile) == pytest.approx(quantile, abs=0.015)
    area = (right - left) * high / (WIDTH * HEIGHT)
    assert np.median(area) < 0.40  # 0.525 if the area were uniform


def test_a_crops_aspect_is_uniform_and_its_place_too():
    left, upper, right, lower = boxes(20_000).T
    ratio = (right - left) / (lower - upper)
    for quantile in (0.1, 0.5, 0.9):
        expected = 0.75 + quantile * (1.33 - 0.75)
        assert np.quantile(ratio, quantile) == pytest.approx(expected, abs=0.01)
    free = WIDTH - (right - left)
    place = left[free > 20] / free[free > 20]
    assert place.mean() == pytest.approx(0.5, abs=0.02)
    assert np.quantile(place, 0.9) == pytest.approx(0.9, abs=0.02)


def test_an_image_too_thin_for_any_crop_is_taken_whole():
    assert augment.inception_box(400, 2, rng()) == (0, 0, 400, 2)


# Resizing ----------------------------------------------------------------------------


def bilinear(image: np.ndarray, size: int) -> np.ndarray:
    """Four pixels about each centre, as TensorFlow 2 resizes without antialiasing."""

    def axis(length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        place = (np.arange(size) + 0.5) * length / size - 0.5
        below = np.floor(place)
        share = place - below
        at = below.astype(int)
        return at.clip(0, length - 1), (at + 1).clip(0, length - 1), share

    image = image.astype(float)
    up, down, high = axis(image.shape[0])
    left, right, wide = axis(image.shape[1])
    high, wide = high[:, None, None], wide[None, :, None]
    top = image[up][:, left] * (1 - wide) + image[up][:, right] * wide
    bottom = image[down][:, left] * (1 - wide) + image[down][:, right] * wide
    return top * (1 - high) + bottom * high


@pytest.mark.parametrize("size", [20, 48, 100])
def test_resizing_takes_four_pixels_and_cuts_off_the_rest(size):
    image = picture(0)
    made = np.asarray(augment.resized(image, size)).astype(float)
    exact = bilinear(np.asarray(image), size)
    assert np.isin(made - np.floor(exact - 1e-3), [0, 1]).all()
    off_whole = np.abs(exact - np.rint(exact)) > 1e-3
    assert off_whole.mean() > 0.3
    np.testing.assert_array_equal(made[off_whole], np.floor(exact)[off_whole])


def test_evaluation_at_the_stored_size_changes_nothing():
    image = np.asarray(picture(0, size=(32, 32)))
    np.testing.assert_array_equal(augment.evaluation("resize", 32)(image), image)


def test_resize_crop_squares_first_and_resmall_crop_keeps_the_aspect():
    """Appendix C: 256 x 256 then 224, or the shorter side 256 then 224."""
    wide = np.zeros((256, 512, 3), np.uint8)
    wide[:, 128:384] = 255  # the central square
    squared = augment.evaluation("resize-crop", 224)(wide)
    kept = augment.evaluation("resmall-crop", 224)(wide)
    assert squared.shape == kept.shape == (224, 224, 3)
    assert kept.min() == 255
    assert np.mean(squared == 255) == pytest.approx(128 / 224, abs=0.01)


def test_the_central_crop_is_central():
    image = np.arange(256, dtype=np.uint8)[:, None, None] * np.ones(
        (1, 256, 3), np.uint8
    )
    made = augment.evaluation("resmall-crop", 224)(image.astype(np.uint8))
    np.testing.assert_array_equal(made[:, 0, 0], np.arange(16, 240))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resize", "resize 224x224 bilinear"),
        ("resize-crop", "resize 256x256 bilinear, central crop 224"),
        ("resmall-crop", "shorter side 256 by area, central crop 224"),
    ],
)
def test_an_evaluation_says_what_it_does(name, words):
    assert augment.described(name, 224) == words
    assert augment.evaluation(name, 224)(np.asarray(picture(0))).shape == (224, 224, 3)


def test_an_unknown_evaluation_is_refused():
    with pytest.raises(StudyError, match="unknown evaluation 'crop'; known: resize"):
        augment.evaluation("crop", 224)


# The pipeline ------------------------------------------------------------------------


def test_half_of_the_images_are_mirrored():
    image = np.asarray(picture(0, size=(16, 16)))
    how = Augmentation(augment="flip", randaugment_layers=0)
    made = [augment.training(image, how, 16, rng(seed)) for seed in range(2_000)]
    mirrored = [np.array_equal(one, image[:, ::-1]) for one in made]
    kept = [np.array_equal(one, image) for one in made]
    assert sum(mirrored) + sum(kept) == 2_000
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("stored", [(256, 320), (512, 256), (256, 256)], ids=str)
def test_a_crop_is_a_square_of_what_evaluation_cuts_the_middle_of(stored):
    """Places are uniform over all that fit, and half of the squares are mirrored."""
    high, wide = stored
    image = np.zeros((high, wide, 3), np.uint8)
    image[..., 0] = np.arange(high)[:, None] // 4  # a pixel tells where it stood
    image[..., 1] = np.arange(wide) // 4
    resized = augment._shorter_side(augment.Image.fromarray(image), 64)
    whole = np.asarray(resized)
    places, mirrored = [], 0
    for seed in range(600):
        made = augment.training(image, Augmentation(augment="crop"), 56, rng(seed))
        turned = made[0, 0, 1] > made[0, -1, 1]
        made, mirrored = made[:, ::-1] if turned else made, mirrored + turned
        fitting = np.argwhere((whole[..., :2] == made[0, 0, :2]).all(-1))
        (place,) = (p for p in fitting if np.array_equal(_at(whole, p, 56), made))
        places.append(place)
    assert mirrored / 600 == pytest.approx(0.5, abs=0.08)
    room = np.array(whole.shape[:2]) - 56
    assert np.min(places, 0).tolist() == [0, 0]
    assert np.max(places, 0).tolist() == room.tolist()
    assert np.mean(places, 0) == pytest.approx(room / 2, rel=0.12)
    middle = augment.evaluation("resmall-crop", 56)(image)
    np.testing.assert_array_equal(_at(whole, room // 2, 56), middle)


def _at(image, place, side):
    """The square of an image whose upper left corner is there."""
    upper, left = (int(start) for start in place)
    return image[upper : upper + side, left : left + side]


def test_the_seed_makes_the_image_and_nothing_else_does():
    image = np.asarray(picture(1))
    how = Augmentation(
        augment="inception", randaugment_layers=2, randaugment_magnitude=15
    )
    one, same, other = (augment.training(image, how, 24, rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape == other.shape == (24, 24, 3)
    assert not np.array_equal(one, other)


def test_a_magnitude_without_layers_is_refused():
    with pytest.raises(StudyError, match="randaugment_magnitude 15 without randaugm"):
        Augmentation(randaugment_magnitude=15.0)


# RandAugment -------------------------------------------------------------------------

FLAT = Image.new("RGB", (224, 224), (100, 150, 250))


def applied(name: str, magnitude: float, image: Image.Image = FLAT, seed: int = 0):
    made = randaugment.OPERATIONS[name](image, magnitude / 10, rng(seed))
    assert (made.mode, made.size) == ("RGB", image.size)
    return np.asarray(made)


def test_there_are_the_sixteen_operations_of_the_code():
    assert (
        list(randaugment.OPERATIONS)
        == (
            "AutoContrast Equalize Invert Rotate Posterize Solarize Color Contrast "
            "Brightness Sharpness ShearX ShearY TranslateX TranslateY Cutout "
            "SolarizeAdd"
        ).split()
    )


def test_every_operation_is_drawn_equally_often(monkeypatch):
    drawn = []
    table = {
        name: lambda image, level, rng, name=name: (drawn.append((name, level)), image)[
            1
        ]
        for name in randaugment.OPERATIONS
    }
    monkeypatch.setattr(randaugment, "OPERATIONS", table)
    draws = rng()
    for _ in range(16_000):
        randaugment.layer(FLAT, 15.0, draws)
    counts = np.unique([name for name, _ in drawn], return_counts=True)[1]
    assert len(counts) == 16
    # Each is binomial(16000, 1/16), with deviation 31.
    assert np.abs(counts - 1_000).max() < 5 * 31
    assert {level for _, level in drawn} == {1.5}


@pytest.mark.parametrize(
    ("name", "magnitude", "colour"),
    [
        ("Invert", 15, (155, 105, 5)),
        ("Posterize", 0, (0, 128, 128)),
        ("Posterize", 10, (96, 144, 240)),
        ("Posterize", 15, (100, 148, 248)),
        ("Posterize", 20, (100, 150, 250)),
        ("Solarize", 5, (100, 105, 5)),
        ("Solarize", 15, (100, 150, 250)),
        ("SolarizeAdd", 10, (210, 150, 250)),
        ("SolarizeAdd", 15, (255, 150, 250)),
        ("Brightness", 5, (100, 150, 250)),
        ("Brightness", 0, (10, 15, 25)),
        ("Contrast", 5, (100, 150, 250)),
        ("Contrast", 0, (186, 191, 201)),
        ("Contrast", 10, (13, 108, 255)),
        ("Sharpness", 15, (100, 150, 250)),
        ("AutoContrast", 15, (100, 150, 250)),
        ("Equalize", 15, (100, 150, 250)),
    ],
)
def test_an_operation_is_the_one_of_the_code(name, magnitude, colour):
    made = applied(name, magnitude).astype(int)
    assert np.abs(made - colour).max() <= 1


@pytest.mark.parametrize(
    ("name", "axis", "moved"),
    [("TranslateX", 1, 150), ("TranslateY", 0, 150)],
)
def test_translations_move_by_pixels_of_224(name, axis, moved):
    made = applied(name, 15)
    filled = (made == 128).all(-1)
    assert filled.all(axis=1 - axis).sum() == moved
    small = applied(name, 15, FLAT.resize((32, 32)))
    assert (small == 128).all(-1).all(axis=1 - axis).sum() == round(150 * 32 / 224)


@pytest.mark.parametrize("name", ["Rotate", "ShearX", "ShearY", "TranslateX"])
def test_directions_are_drawn_half_and_half(name):
    image = picture(0, size=(40, 40))
    kinds = [applied(name, 5, image, seed).tobytes() for seed in range(400)]
    sides, counts = np.unique(kinds, return_counts=True)
    assert len(sides) == 2
    assert counts.min() > 150


def test_a_rotation_turns_by_thirty_degrees_at_ten():
    line = Image.new("RGB", (201, 201))
    line.paste((255, 255, 255), (99, 0, 102, 201))
    made = applied("Rotate", 10, line)
    rows = np.flatnonzero((made[20] == 255).all(-1))
    slope = (rows.mean() - 100) / 80
    assert abs(slope) == pytest.approx(np.tan(np.pi / 6), abs=0.03)


def test_a_shear_shifts_rows_by_three_tenths_at_ten():
    line = Image.new("RGB", (201, 201))
    line.paste((255, 255, 255), (100, 0, 101, 201))
    made = applied("ShearX", 10, line)
    places = [np.flatnonzero((made[y] == 255).all(-1)).mean() for y in (0, 100)]
    assert abs(places[1] - places[0]) == pytest.approx(30, abs=1)


def test_a_cutout_is_a_grey_square_of_twice_its_size_inside_the_image():
    sizes = [(applied("Cutout", 10, seed=s) == 128).all(-1).sum() for s in range(50)]
    assert max(sizes) == 80 * 80
    assert min(sizes) >= 40 * 40
    assert (applied("Cutout", 0) == np.asarray(FLAT)).all()


# Mixup -------------------------------------------------------------------------------


def test_mixup_takes_the_larger_share_of_a_beta_draw():
    draws = rng()
    shares = np.array([augment.mixup_share(0.5, draws) for _ in range(20_000)])
    assert shares.min() >= 0.5 and shares.max() <= 1
    plain = np.random.default_rng(1).beta(0.5, 0.5, 200_000)
    expected = np.maximum(plain, 1 - plain)
    assert shares.mean() == pytest.approx(expected.mean(), abs=0.005)
    assert np.quantile(shares, 0.25) == pytest.approx(
        np.quantile(expected, 0.25), abs=0.01
    )


def test_mixup_mixes_each_image_with_the_one_before_it():
    images = rng().standard_normal((4, 2, 2, 3)).astype(np.float32)
    labels = np.array([0, 1, 2, 2])
    mixed, targets = augment.mixed(images, labels, 3, 0.5, rng(5))
    share = np.float32(augment.mixup_share(0.5, rng(5)))
    assert 0.5 < share < 1
    for i in range(4):
        expected = share * images[i] + (1 - share) * images[i - 1]
        np.testing.assert_allclose(mixed[i], expected, rtol=1e-6, atol=1e-6)
    assert mixed.dtype == targets.dtype == np.float32
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(targets[1], [1 - share, share, 0], rtol=1e-6)
    np.testing.assert_allclose(targets[3], [0, 0, 1], rtol=1e-6)


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 60, 48),
        (0, 0, 16, 16),
        (5, 7, 21, 23),
        (44, 32, 60, 48),
        (3, 1, 58, 9),
        (10, 0, 11, 48),
    ],
)
def test_cutting_before_unpacking_changes_no_pixel(box):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (48, 60, 3)).astype(np.uint8)
    for given, size in ((image, 16), (image[:16, :16], 16), (image, 40)):
        height, width = given.shape[:2]
        inside = tuple(np.minimum(box, (width, height, width, height)).tolist())
        if inside[0] == inside[2] or inside[1] == inside[3]:
            continue
        wanted = augment.resized(Image.fromarray(given), size, inside)
        found = augment._cropped(given, size, inside)
        np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))
