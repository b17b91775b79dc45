from __future__ import annotations

import struct
import subprocess
import sys
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


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("p.gif", {}),
        ("p.png", {}),
        ("p.webp", {"lossless": True}),
        ("p.tif", {}),
        ("p.avif", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
def test_of_several_pictures_the_first_is_taken(tmp_path, name, options):
    first, *others = (Image.new("RGB", (30, 20), colour) for colour in ((200, 40, 40), (40, 200, 40), (40, 40, 200)))
    path = saved(tmp_path, first, name, save_all=True, append_images=others, **options)
    assert Image.open(path).n_frames == 3
    assert np.abs(load_image(path).astype(int) - (200, 40, 40)).max() <= 4


def test_floats_of_four_bytes_count_as_such_and_take_no_more_than_twice_their_limit(tmp_path):
    """63 megapixels of floats, 252 MB: once 2.3 GB."""
    side = 7940
    path = tmp_path / "wide.tif"
    strip = zlib.compress(bytes(side * 4 * 397))  # the picture is 20 times the same strip
    tags = [
        (256, 4, side), (257, 4, side), (258, 3, 32), (259, 3, 8), (262, 3, 1), (273, 4, None), (277, 3, 1),
        (278, 4, 397), (279, 4, None), (339, 3, 3),
    ]  # fmt: skip
    strips = -(-side // 397)
    lists = 8 + len(strip)
    head = struct.pack("<2sHI", b"II", 42, lists + 8 * strips)
    table = struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        count, place = (1, value) if value is not None else (strips, lists + (4 * strips if tag == 279 else 0))
        table += struct.pack("<HHII", tag, kind, count, place)
    places = struct.pack(f"<{strips}I", *[8] * strips) + struct.pack(f"<{strips}I", *[len(strip)] * strips)
    path.write_bytes(head + strip + places + table + bytes(4))
    told = in_a_process_of_its_own(
        f"from hp_trt.media.images import load_image; print(load_image({str(path)!r}).shape)"
    )
    assert told.splitlines()[0] == f"({side}, {side}, 3)" and int(told.splitlines()[1]) < 900_000  # kB


def in_a_process_of_its_own(code: str) -> str:
    code += "; print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_tile_larger_than_its_picture_is_counted(tmp_path):
    path = saved(tmp_path, Image.fromarray(RGB), "p.tif")
    data = bytearray(path.read_bytes())
    (place,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, place)
    tags = [data[place + 2 + 12 * n : place + 14 + 12 * n] for n in range(count)]
    tags += [struct.pack("<HHII", tag, 4, 1, 60_000) for tag in (322, 323)]
    tags.sort(key=lambda tag: struct.unpack_from("<H", tag)[0])
    table = struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4)
    path.write_bytes(data[:4] + struct.pack("<I", len(data)) + data[8:] + table)
    with pytest.raises(InputError, match="60000 x 60000 pixels; at most 64 megapixels"):
        load_image(path)


@pytest.mark.parametrize("name", ["p.eps", "p.png"])
def test_a_format_that_would_start_a_program_is_not_opened(tmp_path, name):
    path = tmp_path / name
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(InputError, match="is not a picture that Pillow can read here"):
        load_image(path)


@pytest.mark.parametrize("name", ["p.avif", "p.webp", "p.png", "p.jpg", "p.gif", "p.tif", "p.bmp", "p.jp2"])
def test_every_way_in_which_a_file_is_cut_off_is_a_picture_or_our_own_error(tmp_path, name):
    whole = saved(tmp_path, Image.fromarray(np.tile(RGB, (2, 2, 1))), name).read_bytes()
    refused = []
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        (tmp_path / name).write_bytes(whole[:length])
        try:
            assert load_image(tmp_path / name).shape == (40, 60, 3)
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 5 and not any("\n" in text for text in refused)


def test_a_damaged_avif_is_our_own_error(tmp_path):
    path = saved(tmp_path, Image.fromarray(RGB), "p.avif")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start + 2 :] = bytes(len(data) - start - 2)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"is a damaged picture .*; save it again, or use another one"):
        load_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.webp", "a.avif"])
def test_every_format_is_turned_once(tmp_path, name, orientation):
    """By EXIF's own table: where the stored picture's first row and first column are to be shown."""
    shown = np.zeros((40, 60, 3), np.uint8)
    shown[:20, :30], shown[:20, 30:], shown[20:, :30] = (220, 40, 40), (40, 200, 40), (40, 40, 220)
    rows_are_columns = orientation >= 5
    stored = shown.transpose(1, 0, 2) if rows_are_columns else shown
    first_row_last = orientation in (3, 4, 6, 7)
    first_column_last = orientation in (2, 3, 7, 8)
    stored = stored[::-1] if first_row_last else stored
    stored = stored[:, ::-1] if first_column_last else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), name, exif=exif, quality=95)
    found = load_image(tmp_path / name)
    assert found.shape == shown.shape
    assert abs(found.astype(int) - shown)[[5, 5, 35, 35], [5, 55, 5, 55]].max() < 12
