"""RandAugment as the papers ran it (big_vision, from the EfficientNet code).

A layer picks one of sixteen operations uniformly and applies it at the study's
magnitude, which counts in tenths of an operation's range and may exceed 10. Where
that code departs from Pillow, the code wins, since the papers' numbers come from it:
contrast fades to the grey level 196 (its "mean" is pixels / 256, and 224 px have 196),
a solarize threshold above 255 changes nothing, and bits are kept within 1 to 8.

Its lengths are pixels of a 224 px image; here they scale with the image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageOps

FULL = 10.0
SIZE = 224
TRANSLATE, CUTOUT = 100, 40
"""Pixels of a 224 px image at magnitude 10; a cutout is twice that wide."""
GREY = (128, 128, 128)
"""What fills the places that no pixel moves to."""
CONTRAST_GREY = 196

Operation = Callable[[Image.Image, float, np.random.Generator], Image.Image]


def layer(
    image: Image.Image, magnitude: float, rng: np.random.Generator
) -> Image.Image:
    """One operation, drawn uniformly, on an RGB image."""
    names = tuple(OPERATIONS)
    drawn = names[int(rng.integers(len(names)))]
    return OPERATIONS[drawn](image, magnitude / FULL, rng)


def _signed(value: float, rng: np.random.Generator) -> float:
    return value if rng.random() < 0.5 else -value


def _moved(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    """The nearest pixel under a map from output to input; grey where there is none."""
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        matrix,
        Image.Resampling.NEAREST,
        fillcolor=GREY,
    )


def _rotate(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:
    degrees = _signed(30 * level, rng)
    return image.rotate(degrees, Image.Resampling.NEAREST, fillcolor=GREY)


def _shear_x(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:
    return _moved(image, (1, _signed(0.3 * level, rng), 0, 0, 1, 0))


def _shear_y(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:
    return _moved(image, (1, 0, 0, _signed(0.3 * level, rng), 1, 0))


def _translate_x(
    image: Image.Image, level: float, rng: np.random.Generator
) -> Image.Image:
    shift = _signed(TRANSLATE * level, rng) * image.width / SIZE
    return _moved(image, (1, 0, shift, 0, 1, 0))


def _translate_y(
    image: Image.Image, level: float, rng: np.random.Generator
) -> Image.Image:
    shift = _signed(TRANSLATE * level, rng) * image.height / SIZE
    return _moved(image, (1, 0, 0, 0, 1, shift))


def _cutout(image: Image.Image, level: float, rng: np.random.Generator) -> Image.Image:
    pad = int(int(CUTOUT * level) * image.width / SIZE)
    x, y = int(rng.integers(image.width)), int(rng.integers(image.height))
    made = image.copy()
    if pad:
        made.paste(GREY, (max(0, x - pad), max(0, y - pad), x + pad, y + pad))
    return made


def _posterize(image: Image.Image, level: float, _: np.random.Generator) -> Image.Image:
    return ImageOps.posterize(image, min(8, max(1, int(4 * level))))


def _solarize(image: Image.Image, level: float, _: np.random.Generator) -> Image.Image:
    return ImageOps.solarize(image, int(256 * level))


def _solarize_add(
    image: Image.Image, level: float, _: np.random.Generator
) -> Image.Image:
    added = int(110 * level)
    table = [min(255, v + added) if v < 128 else v for v in range(256)]
    return image.point(table * 3)


def _contrast(image: Image.Image, level: float, _: np.random.Generator) -> Image.Image:
    flat = Image.new("RGB", image.size, (CONTRAST_GREY,) * 3)
    return Image.blend(flat, image, _factor(level))


def _factor(level: float) -> float:
    """Share of the image in its blend with a plainer one; above 1 it exaggerates."""
    return 1.8 * level + 0.1


def _enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    def apply(image: Image.Image, level: float, _: np.random.Generator) -> Image.Image:
        return kind(image).enhance(_factor(level))

    return apply


OPERATIONS: dict[str, Operation] = {
    "AutoContrast": lambda image, level, rng: ImageOps.autocontrast(image),
    "Equalize": lambda image, level, rng: ImageOps.equalize(image),
    "Invert": lambda image, level, rng: ImageChops.invert(image),
    "Rotate": _rotate,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "Color": _enhanced(ImageEnhance.Color),
    "Contrast": _contrast,
    "Brightness": _enhanced(ImageEnhance.Brightness),
    "Sharpness": _enhanced(ImageEnhance.Sharpness),
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Cutout": _cutout,
    "SolarizeAdd": _solarize_add,
}
