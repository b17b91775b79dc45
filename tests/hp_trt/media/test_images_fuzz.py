"""Pictures with bytes that nobody wrote: a picture comes, or our own error."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engines.errors import InputError
from hp_trt.media.images import load_picture
from tests.fuzz import examples
from tests.hp_trt.media.test_colour import P3, profile_of

KINDS = ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "AVIF", "BMP", "JPEG2000", "PPM", "TGA", "HEIC", "tiled HEIC"]


@cache
def whole(kind: str) -> bytes:
    rows, columns = np.mgrid[0:48, 0:64]
    image = Image.fromarray(np.stack([columns * 3, rows * 4, columns + rows], axis=-1).astype(np.uint8))
    image.info["icc_profile"] = profile_of(P3, 2.2)
    file = io.BytesIO()
    if kind.endswith("HEIC"):
        options = {"tile_size": 32} if kind == "tiled HEIC" else {}
        pillow_heif.from_pillow(image).save(file, quality=60, **options)
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        extra = {"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF") else {}
        image.save(file, kind, **extra)
    return file.getvalue()


# Where a byte is changed: mostly near the front, where the header is.
PLACES = st.one_of(st.integers(0, 200), st.integers(0, 10**6))
CHANGES = st.lists(st.tuples(PLACES, st.integers(0, 255)), min_size=1, max_size=12)


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=examples(40),
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=CHANGES, kept=st.one_of(st.just(1.0), st.floats(0, 1)), repeated=st.integers(0, 40))
def test_a_picture_with_strange_bytes_is_a_picture_or_our_own_error(tmp_path, kind, changes, kept, repeated):
    data = bytearray(whole(kind))
    for place, value in changes:
        data[place % len(data)] = value
    start = changes[0][0] % len(data)
    data[start:start] = data[start : start + repeated]
    path = tmp_path / "picture"
    path.write_bytes(data[: round(len(data) * kept)])
    try:
        pixels, told = load_picture(path).pixels, ""
    except InputError as error:
        pixels, told = np.zeros((1, 1, 3), np.uint8), str(error)
    assert "\n" not in told and (not told or str(path) in told)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.flags.c_contiguous
