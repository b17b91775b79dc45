from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageOps

from hp_trt.media.turn import NONE, Turn, from_exif, from_matrix

IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_as_pillow_does(orientation):
    picture = Image.fromarray(IMAGE)
    picture.getexif()[0x0112] = orientation
    turned = from_exif(orientation).apply(IMAGE)
    assert np.array_equal(turned, np.asarray(ImageOps.exif_transpose(picture)))
    assert from_exif(orientation).size(3, 2) == turned.shape[1::-1]


@pytest.mark.parametrize("orientation", [None, 0, 9, -1, 10**9, "6", 6.0])
def test_what_is_no_orientation_turns_nothing(orientation):
    assert from_exif(orientation) == NONE


@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("one", [1, -1])
@pytest.mark.parametrize("two", [1, -1])
def test_a_matrix_moves_every_pixel_as_its_formula_says(crossed, one, two):
    a, b, c, d = (0, one, two, 0) if crossed else (one, 0, 0, two)
    turned = from_matrix([v * 65536 for v in (a, b, 0, c, d, 0, 0, 0, 16384)]).apply(IMAGE)
    places = {(a * x + c * y, b * x + d * y): IMAGE[y, x] for y in range(2) for x in range(3)}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    assert turned.size == IMAGE.size and turned.flags.c_contiguous
    for (x, y), pixel in places.items():
        assert np.array_equal(turned[y - top, x - left], pixel)


@pytest.mark.parametrize("degrees", [2, 30, 45, 88, 135, 181.5, 300])
def test_an_odd_angle_is_none(degrees):
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    assert from_matrix([round(v * 65536) for v in (cos, sin, 0, -sin, cos, 0, 0, 0, 1)]) is None


def test_a_matrix_that_is_nearly_a_quarter_is_one_and_zeros_turn_nothing():
    assert from_matrix([30, 65536, 0, -65536, -10, 0, 0, 0, 1]) == Turn(transposed=True, mirrored=True)
    assert from_matrix([0] * 9) == NONE
    assert from_matrix([65536, 0, 0, 0, 0, 0, 0, 0, 1]) is None  # everything on one line
