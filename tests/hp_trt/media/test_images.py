from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from engines.errors import InputError
from hp_trt.media.images import load_image

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def saved(tmp_path, image: Image.Image, name: str = "picture.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_a_plain_picture_comes_as_it_is(tmp_path):
    assert np.array_equal(load_image(saved(tmp_path, Image.fromarray(RGB))), RGB)


def test_a_phones_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is on the right: turn it clockwise
    path = saved(tmp_path, Image.fromarray(RGB), exif=exif)
    assert np.array_equal(load_image(path), np.rot90(RGB, -1))


def test_transparency_is_laid_on_black(tmp_path):
    alpha = np.full((20, 30, 1), 255, np.uint8)
    alpha[:10] = 0
    expected = RGB.copy()
    expected[:10] = 0
    rgba = np.concatenate([RGB, alpha], axis=2)
    assert np.array_equal(load_image(saved(tmp_path, Image.fromarray(rgba))), expected)
    assert np.array_equal(load_image(rgba), expected)


def test_a_transparent_palette_is_laid_on_black(tmp_path):
    palette = Image.fromarray(np.zeros((4, 4), np.uint8), "P")
    palette.putpalette([200, 10, 10] * 256)
    assert not load_image(saved(tmp_path, palette, transparency=0)).any()


def test_cmyk_is_converted(tmp_path):
    path = saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "print.jpg")
    red, green, blue = load_image(path)[4, 4]
    assert red > 200 > 60 > max(green, blue)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "I;16"])
def test_every_mode_comes_as_three_bytes(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray((np.arange(600).reshape(20, 30) * 100).astype(np.uint16))
    else:
        image = Image.fromarray(RGB).convert(mode)
    loaded = load_image(saved(tmp_path, image))
    assert (loaded.shape, loaded.dtype) == ((20, 30, 3), np.uint8)


def test_sixteen_bits_are_scaled_and_not_cut(tmp_path):
    grey = np.array([[0, 257 * 100, 65535]], np.uint16)
    loaded = load_image(saved(tmp_path, Image.fromarray(grey)))
    assert loaded[0].tolist() == [[0] * 3, [100] * 3, [255] * 3]


def test_a_dark_sixteen_bit_picture_stays_dark(tmp_path):
    assert not load_image(saved(tmp_path, Image.fromarray(np.full((4, 4), 100, np.uint16)))).any()


def test_one_pixel_is_a_picture(tmp_path):
    assert load_image(saved(tmp_path, Image.fromarray(RGB[:1, :1]))).shape == (1, 1, 3)


def test_an_array_is_copied():
    loaded = load_image(RGB)
    loaded[:] = 0
    assert RGB.any()


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_an_array_of_another_form_says_which_is_needed(array):
    with pytest.raises(InputError, match=r"must be \(H, W, 3\) or \(H, W, 4\) of uint8|has no pixels"):
        load_image(array)


def bomb(path, side: int):
    """A png whose header promises side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    data = b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])  # over our limit, over Pillow's warning, over its error
def test_an_image_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    with pytest.raises(InputError, match="at most 64 megapixels are decoded"):
        load_image(bomb(tmp_path / "bomb.png", side))


def test_a_file_that_is_no_picture_says_so(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    with pytest.raises(InputError, match=r"notes\.png is not a picture that Pillow can read"):
        load_image(path)


def test_a_picture_that_is_cut_off_says_so(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.tile(RGB, (9, 9, 1))))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="is a damaged picture"):
        load_image(path)


def test_a_missing_file_and_a_folder_say_so(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_image(tmp_path / "missing.png")
    with pytest.raises(InputError, match="is not a file"):
        load_image(tmp_path)
