from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from hp_trt.media.colour import UnusableProfileError, to_srgb
from hp_trt.media.images import load_image, load_picture

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
# Chromaticities of red, green, blue and white: SMPTE EG 432-1, Adobe RGB (1998), ISO 22028-2.
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290))
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_d50(space) -> np.ndarray:
    """Linear RGB of `space` to XYZ under D50, by the book."""
    columns = np.stack([xyz(*p) for p in space[:3]], axis=1)
    matrix = columns * np.linalg.solve(columns, xyz(*space[3]))
    gains = (BRADFORD @ D50) / (BRADFORD @ xyz(*space[3]))
    return np.linalg.inv(BRADFORD) @ np.diag(gains) @ BRADFORD @ matrix


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def profile_of(space, gamma: float, *, kind: bytes = b"RGB ", curve: bytes | None = None) -> bytes:
    """A version 2 matrix profile: three primaries, and a gamma or a table."""
    tags = [(b"wtpt", b"XYZ \0\0\0\0" + b"".join(map(fixed, D50)))]
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_d50(space).T, strict=True):
        tags.append((name, b"XYZ \0\0\0\0" + b"".join(map(fixed, column))))
    table = struct.pack(">H", round(gamma * 256)) if curve is None else curve
    tone = b"curv\0\0\0\0" + struct.pack(">I", len(table) // 2) + table
    tags += [(name, tone) for name in (b"rTRC", b"gTRC", b"bTRC", b"kTRC")]
    text = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(4 + 4 + 2 + 1 + 67 + 1)
    tags += [(b"desc", text), (b"cprt", b"text\0\0\0\0x\0\0\0")]
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags:
        table += struct.pack(">4sII", name, place + len(body), len(content))
        body += content.ljust(-(-len(content) // 4) * 4, b"\0")
    head = struct.pack(">I4sI4s4s4s", place + len(body), b"lcms", 0x02400000, b"mntr", kind, b"XYZ ")
    head += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + b"".join(map(fixed, D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def hewlett_packards() -> bytes:
    """sRGB in the style of the version 2 profile that most pictures carry: its curve in a table of 1024 numbers."""
    light = np.linspace(0, 1, 1024)
    linear = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    return profile_of(SRGB, 0, curve=np.rint(linear * 65535).astype(">u2").tobytes())


def as_srgb(image: np.ndarray, space, gamma: float) -> np.ndarray:
    """What a picture in `space` is in sRGB: linear light through XYZ, clipped."""
    linear = (image / 255.0) ** gamma @ (np.linalg.inv(to_d50(SRGB)) @ to_d50(space)).T
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255)


def saved(tmp_path, image, name="p.png", **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(tmp_path / name, **options)
    return tmp_path / name


@pytest.mark.parametrize(("space", "gamma"), [(P3, 2.2), (ADOBE, 2.2), (PROPHOTO, 1.8)])
@pytest.mark.parametrize("name", ["p.png", "p.tif", "p.webp", "p.avif"])
def test_a_wide_gamut_becomes_srgb_as_the_formula_says(tmp_path, space, gamma, name):
    # Colours that sRGB has too: outside it the two clip in ways of their own.
    inside = (RGB // 4 + 96).astype(np.uint8)
    lossless = {"p.webp": {"lossless": True}, "p.avif": {"quality": 100, "subsampling": "4:4:4"}}.get(name, {})
    path = saved(tmp_path, inside, name, icc_profile=profile_of(space, gamma), **lossless)
    stored = np.asarray(Image.open(path).convert("RGB"))
    picture = load_picture(path)
    expected = as_srgb(stored, space, gamma)
    assert np.abs(picture.pixels - expected).max() <= 2  # littlecms counts in 16 bits
    assert np.abs(expected - stored).max() > 8 and picture.notes == ()


def test_colours_outside_srgb_are_as_far_as_it_reaches(tmp_path):
    path = saved(tmp_path, np.full((4, 4, 3), (0, 255, 0), np.uint8), icc_profile=profile_of(P3, 2.2))
    assert load_image(path)[0, 0].tolist() == [0, 255, 0]


def test_every_srgb_leaves_every_pixel_as_it_is(tmp_path):
    grid = np.stack(np.meshgrid(*[np.arange(0, 256, 5, dtype=np.uint8)] * 3), axis=-1).reshape(52, -1, 3)
    versions = [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), hewlett_packards()]
    for profile in versions:
        picture = load_picture(saved(tmp_path, grid, icc_profile=profile))
        assert np.array_equal(picture.pixels, grid) and picture.notes == ()
        assert to_srgb(profile, "RGB") is None


def test_alpha_stays_and_is_laid_on_black_after_the_conversion(tmp_path):
    rgba = np.concatenate([RGB // 4 + 96, np.full((20, 30, 1), 128, np.uint8)], axis=2).astype(np.uint8)
    loaded = load_image(saved(tmp_path, rgba, icc_profile=profile_of(P3, 2.2)))
    expected = as_srgb(rgba[:, :, :3], P3, 2.2) * 128 / 255
    assert np.abs(loaded - expected).max() <= 2


def test_a_palette_is_converted_colour_by_colour(tmp_path):
    palette = Image.fromarray(RGB // 4 + 96).quantize(16)
    loaded = load_image(saved(tmp_path, palette, icc_profile=profile_of(ADOBE, 2.2)))
    assert np.abs(loaded - as_srgb(np.asarray(palette.convert("RGB")), ADOBE, 2.2)).max() <= 2


@pytest.mark.parametrize("depth", [8, 16])
def test_a_grey_profile_has_its_own_gamma(tmp_path, depth):
    grey = np.arange(256, dtype=np.uint8)[None].repeat(4, axis=0)
    wide = grey if depth == 8 else grey.astype(np.uint16) * 257
    path = saved(tmp_path, wide, "p.tif", icc_profile=profile_of(SRGB, 1.0, kind=b"GRAY"))
    picture = load_picture(path)
    light = grey / 255.0
    expected = np.rint(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255)
    assert np.abs(picture.pixels[:, :, 1] - expected).max() <= 2 and picture.notes == ()


def test_grey_with_a_profile_of_colours_has_its_place_in_them(tmp_path):
    grey = np.arange(256, dtype=np.uint8)[None].repeat(4, axis=0)
    picture = load_picture(saved(tmp_path, grey, icc_profile=profile_of(PROPHOTO, 1.8)))
    expected = as_srgb(grey[:, :, None].repeat(3, axis=2), PROPHOTO, 1.8)
    assert np.abs(picture.pixels - expected).max() <= 2 and picture.notes == ()


@pytest.mark.parametrize(
    "profile",
    [b"x", b"no profile at all " * 20, bytes(128), profile_of(P3, 2.2)[:200], profile_of(P3, 2.2, kind=b"CMYK")],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_a_profile_that_cannot_be_used_is_told_and_left_aside(tmp_path, profile, mode):
    image = Image.fromarray(RGB).convert(mode)
    plain = load_image(saved(tmp_path, image, "plain.tif"))
    picture = load_picture(saved(tmp_path, image, "p.tif", icc_profile=profile))
    assert np.array_equal(picture.pixels, plain)
    (note,) = picture.notes
    assert "the colour profile of" in note and note.endswith("its colours are taken as sRGB")


def test_a_profile_of_other_pictures_says_so():
    with pytest.raises(UnusableProfileError, match="it is for GRAY pictures"):
        to_srgb(profile_of(SRGB, 1.0, kind=b"GRAY"), "RGB")


def test_a_jpeg_of_a_camera_is_converted(tmp_path):
    image = np.full((16, 16, 3), (200, 120, 100), np.uint8)
    path = saved(tmp_path, image, "p.jpg", icc_profile=profile_of(P3, 2.2), quality=100)
    expected = as_srgb(np.asarray(Image.open(path)), P3, 2.2)
    assert np.abs(load_image(path) - expected).max() <= 2
    reference = ImageCms.profileToProfile(
        Image.open(path), ImageCms.ImageCmsProfile(BytesIO(profile_of(P3, 2.2))), ImageCms.createProfile("sRGB")
    )
    assert np.array_equal(load_image(path), np.asarray(reference))
