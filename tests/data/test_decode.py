import io

import numpy as np
import pytest
from disk_sets import encoded, picture, png
from PIL import Image

from bench.data.decode import MAX_PIXELS, BadImage, decode

GREY = np.arange(0, 240, 2, dtype=np.uint8).reshape(10, 12)


def test_a_jpeg_is_what_pillow_decodes():
    held = encoded(picture(0))
    expected = np.asarray(Image.open(io.BytesIO(held)))
    np.testing.assert_array_equal(decode(held), expected)
    assert decode(held).dtype == np.uint8


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "PPM"])
def test_grey_is_repeated_in_every_format(form):
    made = decode(encoded(Image.fromarray(GREY).convert("RGB"), form))
    assert made.shape == (10, 12, 3)
    assert np.abs(made.astype(int) - GREY[..., None]).max() <= (
        6 if form == "WEBP" else 0
    )


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_one_channel_becomes_three(form):
    made = decode(encoded(Image.fromarray(GREY), form))
    assert (made == made[..., :1]).all()
    assert np.abs(made[..., 0].astype(int) - GREY).max() <= (8 if form == "JPEG" else 0)


def test_alpha_is_dropped_and_colours_stay():
    colour = np.asarray(picture(1))
    alpha = np.full((*colour.shape[:2], 1), 7, dtype=np.uint8)
    image = Image.fromarray(np.concatenate([colour, alpha], -1), "RGBA")
    np.testing.assert_array_equal(decode(encoded(image, "PNG")), colour)
    both = Image.fromarray(np.stack([GREY, GREY], -1), "LA")
    np.testing.assert_array_equal(decode(encoded(both, "PNG"))[..., 0], GREY)


def test_a_palette_with_transparency_keeps_its_colours():
    image = picture(2).quantize(8)
    image.info["transparency"] = b"\x00" * 8
    expected = np.asarray(picture(2).quantize(8).convert("RGB"))
    np.testing.assert_array_equal(decode(encoded(image, "PNG")), expected)


def test_one_bit_is_black_and_white():
    image = Image.fromarray(GREY > 100)
    assert set(decode(encoded(image, "PNG")).ravel()) == {0, 255}


def test_16_bit_grey_keeps_its_upper_byte():
    wide = (np.arange(120, dtype=np.uint16) * 512).reshape(10, 12)
    held = encoded(Image.fromarray(wide), "PNG")
    np.testing.assert_array_equal(decode(held)[..., 1], (wide >> 8).astype(np.uint8))


def test_16_bit_colour_keeps_its_upper_byte():
    wide = np.random.default_rng(0).integers(0, 2**16, (4, 5, 3)).astype(">u2")
    rows = b"".join(b"\x00" + row.tobytes() for row in wide)
    made = decode(png(5, 4, 16, 2, rows))
    np.testing.assert_array_equal(made, (wide.astype(np.uint16) >> 8).astype(np.uint8))


def test_cmyk_is_converted_and_not_inverted():
    made = decode(encoded(picture(0).convert("CMYK")))
    assert np.abs(made.mean((0, 1)) - np.asarray(picture(0)).mean((0, 1))).max() < 12


def test_the_first_frame_of_an_animation_counts():
    frames = [picture(label, size=(8, 8)).quantize(16) for label in (0, 1)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    first = np.asarray(frames[0].convert("RGB"))
    assert np.abs(decode(buffer.getvalue()).astype(int) - first).mean() < 3


def test_exif_rotation_is_not_applied():
    turned, buffer = Image.Exif(), io.BytesIO()
    turned[0x0112] = 6
    picture(0).save(buffer, "JPEG", exif=turned)
    assert decode(buffer.getvalue()).shape == (48, 60, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused_wherever_it_was_cut(form, share):
    held = encoded(picture(0), form)
    with pytest.raises(BadImage):
        decode(held[: int(share * len(held))])


def test_a_damaged_png_is_refused():
    held = bytearray(encoded(picture(0), "PNG"))
    held[len(held) // 2] ^= 0xFF
    with pytest.raises(BadImage, match="cannot be decoded"):
        decode(bytes(held))


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (b"", "is empty"),
        (b"not an image at all", "is none of JPEG, PNG, WEBP"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is none of JPEG"),
        (png(60_000, 60_000, 8, 2), "pixels; at most 67,108,864 are read"),
        (png(9_000, 9_000, 8, 2), "has 9000 x 9000 pixels; at most 67,108,864"),
        (png(10_000, 10_000, 8, 2), "pixels; at most 67,108,864 are read"),
    ],
)
def test_what_is_no_usable_image_says_why_in_one_line(held, message):
    assert MAX_PIXELS == 67_108_864
    with pytest.raises(BadImage, match=message) as caught:
        decode(held)
    assert "\n" not in str(caught.value)


def test_pixels_of_unknown_range_are_refused():
    image = Image.fromarray(np.ones((4, 4), np.float32))
    with pytest.raises(BadImage, match="kind F, whose range is not known"):
        decode(encoded(image, "TIFF"))
