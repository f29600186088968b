"""Encoded bytes to RGB, or a plain word on why not. One place for every odd file.

The papers' code decodes with three channels: alpha is dropped, grey is repeated, CMYK
is converted, the first frame of an animation counts, and EXIF rotation is not applied.
16-bit grey keeps its upper byte, as libpng strips it; Pillow alone would clip it.
"""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

Decoded = UInt8[np.ndarray, "height width 3"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Formats that hold pixels and run nothing."""
MAX_PIXELS = 2**26
"""67 megapixels: the largest file of ImageNet has 31."""

_PLAIN = ("RGB", "L", "1", "CMYK", "YCbCr", "LAB", "HSV", "RGBX")
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


class BadImage(ValueError):
    """An image that cannot be used; the message says what is wrong with it."""


def decode(encoded: bytes) -> Decoded:
    """The pixels of one encoded image.

    Raises:
        BadImage: empty, of no known format, too large, truncated or damaged.
    """
    if not encoded:
        raise BadImage("is empty")
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise BadImage(_too_large(f"{width} x {height}"))
            return np.asarray(rgb(image))
    except BadImage:
        raise
    except UnidentifiedImageError as error:
        raise BadImage(f"is none of {', '.join(FORMATS)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(_too_large("far too many")) from error
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError) as error:
        raise BadImage(f"cannot be decoded: {_one_line(error)}") from error


def rgb(image: Image.Image) -> Image.Image:
    """The image with three channels of 8 bits."""
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint16)
        return Image.fromarray((wide >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P":  # a palette may hide transparency; RGBA knows both
        return image.convert("RGBA").convert("RGB")
    if image.mode in _WITH_ALPHA:
        return image.convert("RGBA").convert("RGB")
    if image.mode in _PLAIN:
        return image.convert("RGB")
    raise BadImage(f"has pixels of kind {image.mode}, whose range is not known")


def _too_large(size: str) -> str:
    return f"has {size} pixels; at most {MAX_PIXELS:,} are read"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
