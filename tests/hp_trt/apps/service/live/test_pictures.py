from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from engines.errors import InputError
from hp_trt.apps.service.live.pictures import driving_picture, jpeg_of, portrait_picture
from tests.hp_trt.apps.service.live.talking import jpeg


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **options)
    return made.getvalue()


def test_a_frame_is_decoded_as_it_is():
    ramp = np.linspace(0, 255, 64 * 48, dtype=np.uint8).reshape(48, 64)[:, :, None].repeat(3, 2)
    made = driving_picture(jpeg_of(ramp, 95), most_pixels=10_000)
    assert made.shape == (48, 64, 3) and made.dtype == np.uint8
    assert np.abs(made.astype(int) - ramp).max() <= 6
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert driving_picture(jpeg_of(red, 95), most_pixels=1000)[8, 8, 0] > 180, "red is first"


def test_grey_and_cmyk_frames_are_pictures_too():
    for mode in ("L", "CMYK"):
        assert driving_picture(encoded(Image.new(mode, (16, 16)), "JPEG"), most_pixels=300).shape == (16, 16, 3)


def bomb(width: int, height: int) -> bytes:
    """A small JPEG that says to be larger than it is."""
    data = bytearray(jpeg(size=16))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (jpeg()[:-300], "damaged JPEG"),
        (jpeg()[:40], "damaged JPEG"),
        (b"\xff\xd8\xff" + b"\0" * 100, "damaged JPEG"),
        (b"#EXTM3U\nfile:///etc/passwd", "damaged JPEG"),
        (encoded(Image.new("RGB", (8, 8)), "PNG"), "damaged JPEG"),
        (bomb(65_535, 65_535), "decompression bomb"),
        (bomb(9_000, 9_000), "9000 x 9000 pixels; at most 0.0 megapixels"),
        (bomb(60, 60), "60 x 60 pixels"),
        (jpeg(progressive=True), "a progressive JPEG; send a baseline JPEG"),
        (jpeg() + b"\xff\xda" * 70, "a progressive JPEG"),
    ],
    ids=["truncated", "header", "noise", "playlist", "png", "bomb", "small bomb", "large", "progressive", "scans"],
)
def test_what_is_no_frame_is_refused_before_it_costs_anything(data, said):
    with pytest.raises(InputError, match=said):
        driving_picture(data, most_pixels=2000)


def test_a_portrait_is_made_no_larger_than_is_sent():
    data = encoded(Image.new("RGB", (400, 100), (10, 200, 30)), "PNG")
    assert portrait_picture(data, longest_px=100).shape == (25, 100, 3)
    assert portrait_picture(data, longest_px=400).shape == (100, 400, 3)
    assert tuple(portrait_picture(data, longest_px=100)[12, 50]) == (10, 200, 30)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GIF89a", "the portrait is not a picture"),
        (encoded(Image.new("RGB", (8, 8)), "TIFF"), "the portrait is not a picture"),
        (jpeg()[:-300], "the portrait is a damaged picture"),
        (jpeg(progressive=True) + b"\xff\xda" * 70, "more than 64 scans"),
    ],
)
def test_what_is_no_portrait_is_refused_by_a_name_that_is_no_path(data, said):
    with pytest.raises(InputError, match=said) as found:
        portrait_picture(data, longest_px=100)
    assert "/" not in str(found.value)
