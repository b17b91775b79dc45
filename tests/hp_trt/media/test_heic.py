from __future__ import annotations

import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from engines.errors import InputError
from hp_trt.media.images import load_image, load_picture
from hp_trt.media.video import VideoReader
from tests.hp_trt.media.test_colour import P3, as_srgb, profile_of

LEVELS = 6  # two ways from the halved colours of 4:2:0 back to RGB


def drawn(width: int, height: int) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [columns / width * 200 + 20, rows / height * 200 + 20, (columns + rows) / (width + height) * 200]
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def saved(path, image, *, orientation=1, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pillow_heif.from_pillow(image).save(path, quality=95, exif=exif.tobytes(), **options)
    return path


def by_libheif(path) -> np.ndarray:
    """(H, W, 3) as another library reads it, turns included."""
    return np.asarray(pillow_heif.open_heif(path).to_pillow().convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(128, 96), (65, 33)])
def test_a_single_picture_is_turned_once(tmp_path, orientation, size):
    path = saved(tmp_path / "a.heic", drawn(*size), orientation=orientation)
    loaded, expected = load_image(path), by_libheif(path)
    assert loaded.shape == expected.shape and np.abs(loaded.astype(int) - expected).max() <= LEVELS


@pytest.mark.parametrize("orientation", [1, 3, 5, 6])
@pytest.mark.parametrize("size", [(400, 300), (257, 131)])
def test_the_tiles_of_a_telephone_are_put_together(tmp_path, orientation, size):
    path = saved(tmp_path / "a.HEIC", drawn(*size), orientation=orientation, tile_size=128)
    assert b"grid" in path.read_bytes()
    loaded, expected = load_image(path), by_libheif(path)
    assert loaded.shape == expected.shape and np.abs(loaded.astype(int) - expected).max() <= LEVELS


def test_a_pictures_own_name_does_not_matter(tmp_path):
    path = saved(tmp_path / "a.jpg", drawn(64, 64))
    assert load_image(path).shape == (64, 64, 3)


def test_the_main_picture_is_taken_where_there_are_several(tmp_path):
    heif = pillow_heif.from_pillow(drawn(64, 64))
    heif.add_from_pillow(drawn(96, 64))
    heif.save(tmp_path / "a.heic", primary_index=1)
    assert load_image(tmp_path / "a.heic").shape == (64, 96, 3)


def test_its_colour_profile_is_applied(tmp_path):
    image = Image.fromarray(np.full((64, 64, 3), (200, 120, 100), np.uint8))
    image.info["icc_profile"] = profile_of(P3, 2.2)
    for tiles in ({}, {"tile_size": 32}):
        path = saved(tmp_path / "a.heic", image, **tiles)
        stored = by_libheif(path)
        picture = load_picture(path)
        assert np.abs(picture.pixels - as_srgb(stored, P3, 2.2)).max() <= LEVELS and picture.notes == ()
    image.info["icc_profile"] = b"no profile"
    assert "its colours are taken as sRGB" in load_picture(saved(tmp_path / "b.heic", image)).notes[0]


def test_a_picture_is_no_video(tmp_path):
    for name, image in (("a.heic", None), ("a.avif", drawn(64, 64))):
        path = tmp_path / name
        saved(path, drawn(64, 64)) if image is None else image.save(path)
        with pytest.raises(InputError, match="is a picture or a text, not a video"):
            VideoReader(path)


def test_a_size_beyond_the_limit_is_told_before_anything_is_decoded(tmp_path):
    path = saved(tmp_path / "a.heic", drawn(128, 96))
    size = (128).to_bytes(4) + (96).to_bytes(4)
    data = path.read_bytes()
    assert size in data
    path.write_bytes(data.replace(size, (60_000).to_bytes(4) * 2))
    with pytest.raises(InputError, match="60000 x 60000 pixels; at most 64 megapixels are decoded"):
        load_image(path)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("tiles", [{}, {"tile_size": 64}])
def test_a_file_that_is_cut_off_says_so(tmp_path, part, tiles):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    path = saved(tmp_path / "a.heic", noise, **tiles)
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * part)])
    with pytest.raises(InputError, match=r"HEIC picture|cut off"):
        load_image(path)


def test_what_only_calls_itself_heic_is_told(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))
    with pytest.raises(InputError, match=r"is a HEIC picture that cannot be read .*; save it as JPEG or PNG"):
        load_image(tmp_path / "a.heic")
    picture = io.BytesIO()
    drawn(8, 8).save(picture, "PNG")
    (tmp_path / "b.heic").write_bytes(picture.getvalue())
    assert load_image(tmp_path / "b.heic").shape == (8, 8, 3)
