"""What training and evaluation do to an image, for both frameworks: numpy and Pillow.

The definitions are those of the papers' code (big_vision), which run on TensorFlow:
its crop draws a height, not an area, and its resize takes four pixels however far it
shrinks. `flip` mirrors half of the images, and so do the two that cut: `inception` is
pre-training's; `crop` is fine-tuning's, a square drawn from the image once its shorter
side is 8/7 of the input (big_vision's `resmall_crop`). Every draw comes from a
generator that the caller seeds, so that an image depends on nothing but (seed,
position).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from PIL import Image

from bench.data import randaugment
from bench.data.decode import Decoded
from bench.errors import StudyError, unknown
from bench.specs import AUGMENTS, EVALUATIONS, Cell

AREA = (0.05, 1.0)
ASPECT = (0.75, 1.33)
"""Width over height of a crop, uniform: TensorFlow's default ends at 1.33, not 4/3."""
ATTEMPTS = 100

CROP_SHARE = 224 / 256
"""Side of the central crop over that of the resized image (Mixer, appendix C)."""

Box = tuple[int, int, int, int]
"""left, upper, right, lower"""
Batch = Float32[np.ndarray, "batch height width 3"]
Soft = Float32[np.ndarray, "batch classes"]
Labels = Int64[np.ndarray, "batch"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to training images. The names are those of a cell's fields."""

    augment: str = "none"
    randaugment_layers: int = 0
    randaugment_magnitude: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        if self.augment not in AUGMENTS:
            raise StudyError(unknown("augment", self.augment, AUGMENTS))
        if self.randaugment_magnitude and not self.randaugment_layers:
            raise StudyError(
                f"randaugment_magnitude {self.randaugment_magnitude:g} without "
                "randaugment_layers does nothing; give both (the papers: 2 layers)"
            )

    @property
    def per_image(self) -> bool:
        """Whether images are drawn one by one, each from its own generator."""
        return self.cuts or self.randaugment_layers > 0

    @property
    def cuts(self) -> bool:
        """Whether a part of the stored image is drawn, of the size it has there."""
        return self.augment in ("crop", "inception")


def of_cell(cell: Cell) -> Augmentation:
    """The augmentation that a training cell declares."""
    names = [item.name for item in dataclasses.fields(Augmentation)]
    return Augmentation(**{name: getattr(cell, name) for name in names})


def training(
    image: Decoded, how: Augmentation, size: int, rng: np.random.Generator
) -> Decoded:
    """One training image: crop, flip, RandAugment, in the papers' order."""
    if how.augment == "inception":
        height, width = image.shape[:2]
        made = _cropped(image, size, inception_box(width, height, rng))
    elif how.augment == "crop":
        whole = _shorter_side(Image.fromarray(image), wide(size))
        made = random_square(whole, size, rng)
    else:
        made = Image.fromarray(image)
    if how.augment != "none" and rng.random() < 0.5:
        made = made.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for _ in range(how.randaugment_layers):
        made = randaugment.layer(made, how.randaugment_magnitude, rng)
    return np.asarray(made)


def _cropped(image: Decoded, size: int, box: Box) -> Image.Image:
    """The box of an image as a square; what lies outside is never unpacked."""
    left, upper, right, lower = box
    if (right - left, lower - upper) == (size, size) != image.shape[:2]:
        return resized(Image.fromarray(image), size, box)
    return resized(Image.fromarray(image[upper:lower, left:right]), size)


def random_square(
    image: Image.Image, size: int, rng: np.random.Generator
) -> Image.Image:
    """A square of the image, every place as likely."""
    left, upper = (int(rng.integers(length - size + 1)) for length in image.size)
    return image.crop((left, upper, left + size, upper + size))


def inception_box(width: int, height: int, rng: np.random.Generator) -> Box:
    """A crop of 5 to 100 % of the area, after `sample_distorted_bounding_box`.

    The aspect ratio is uniform, then the height is uniform between the heights that
    the areas allow; after 100 misfits the whole image is taken.
    """
    for _ in range(ATTEMPTS):
        found = _crop_size(width, height, float(rng.uniform(*ASPECT)), rng)
        if found is not None:
            wide, high = found
            upper = int(rng.integers(height - high)) if high < height else 0
            left = int(rng.integers(width - wide)) if wide < width else 0
            return left, upper, left + wide, upper + high
    return 0, 0, width, height


def _crop_size(
    width: int, height: int, aspect: float, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Width and height of one attempt; None where it breaks its bounds."""
    least, most = (share * width * height for share in AREA)
    low = round((least / aspect) ** 0.5)
    high = min(round((most / aspect) ** 0.5), height)
    if round(high * aspect) > width:
        high = int((width + 0.5 - 1e-7) / aspect)
    drawn = int(rng.integers(low, high + 1)) if low < high else high
    # A rounding error at either bound is mended by one pixel, as there.
    if drawn * round(drawn * aspect) < least:
        drawn += 1
    if drawn * round(drawn * aspect) > most:
        drawn -= 1
    wide = round(drawn * aspect)
    fits = 0 < wide <= width and 0 < drawn <= height
    return (wide, drawn) if fits and least <= wide * drawn <= most else None


def resized(image: Image.Image, size: int, box: Box | None = None) -> Image.Image:
    """The box, or the whole image, as a square: bilinear, not antialiased."""
    box = box or (0, 0, *image.size)
    if box == (0, 0, size, size) and image.size == (size, size):
        return image
    cut = image.crop(box)
    extent = (0, 0, *cut.size)
    return cut.transform(
        (size, size), Image.Transform.EXTENT, extent, Image.Resampling.BILINEAR
    )


def evaluation(name: str, size: int) -> Callable[[Decoded], Decoded]:
    """How stored images become the model's input where nothing is random."""
    if name not in EVALUATIONS:
        raise StudyError(unknown("evaluation", name, EVALUATIONS))
    between = wide(size)

    def fitted(image: Decoded) -> Decoded:
        made = Image.fromarray(image)
        if name == "resize":
            return np.asarray(resized(made, size))
        made = (
            _shorter_side(made, between)
            if name == "resmall-crop"
            else resized(made, between)
        )
        return np.asarray(_central(made, size))

    return fitted


def wide(size: int) -> int:
    """Side that an image is resized to before a square of `size` is cut from it."""
    return round(size / CROP_SHARE)


def described(name: str, size: int) -> str:
    """The evaluation in words, for the record."""
    between = wide(size)
    return {
        "resize": f"resize {size}x{size} bilinear",
        "resize-crop": f"resize {between}x{between} bilinear, central crop {size}",
        "resmall-crop": f"shorter side {between} by area, central crop {size}",
    }[name]


def _shorter_side(image: Image.Image, side: int) -> Image.Image:
    factor = side / min(image.size)
    width, height = (round(length * factor) for length in image.size)
    return image.resize((width, height), Image.Resampling.BOX)


def _central(image: Image.Image, size: int) -> Image.Image:
    left, upper = ((length - size) // 2 for length in image.size)
    return image.crop((left, upper, left + size, upper + size))


def one_hot(labels: Labels, classes: int) -> Soft:
    """A row per label, 1 at its class."""
    targets: np.ndarray = np.eye(classes, dtype=np.float32)[labels]
    return targets


def mixed(
    images: Batch, labels: Labels, classes: int, p: float, rng: np.random.Generator
) -> tuple[Batch, Soft]:
    """Mixup as in big_vision: one share a >= 1/2 per batch, partner = roll by 1."""
    share = np.float32(mixup_share(p, rng))
    rest = np.float32(1) - share
    targets = one_hot(labels, classes)
    return (
        share * images + rest * np.roll(images, 1, axis=0),
        share * targets + rest * np.roll(targets, 1, axis=0),
    )


def mixup_share(p: float, rng: np.random.Generator) -> float:
    """The larger part of a Beta(p, p) draw."""
    drawn = rng.beta(p, p)
    return float(max(drawn, 1 - drawn))
