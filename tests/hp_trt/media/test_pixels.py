"""Crops against Pillow's, and what lies outside of a picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hp_trt.media.pixels import center_crop, crop_resized, cut, quickly_resized, resized
from procedural.clip import clip


@pytest.mark.parametrize("box", [(3, 4, 50, 60), (-7, -3, 20, 30), (60, 60, 110, 120)])
def test_a_crop_is_what_pillow_crops_and_resizes(box):
    image = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).crop(box).resize((32, 32), Image.Resampling.BICUBIC))
    assert np.array_equal(crop_resized(image, box, 32), expected)


@pytest.mark.parametrize("box", [(-30, -30, 20, 20), (90, 90, 140, 150), (300, 10, 340, 40), (-90, -90, -20, -20)])
def test_what_a_centre_crop_takes_outside_the_picture_is_black(box):
    image = np.full((100, 120, 3), 255, np.uint8)
    crop = center_crop(box, height=100, width=120)
    square = crop.cut(image)
    ys, xs = np.mgrid[: crop.side, : crop.side]
    y = ys + int((box[1] + box[3]) / 2) - crop.side // 2
    x = xs + int((box[0] + box[2]) / 2) - crop.side // 2
    inside = (x >= 0) & (x < 120) & (y >= 0) & (y < 100)
    assert np.array_equal(square[:, :, 0] == 255, inside)


@pytest.mark.parametrize("source", [60, 128, 200, 256, 300, 513, 1100, 2500])
def test_a_quick_resize_is_near_pillows_whatever_the_size(source):
    drawn = clip(3, frames=1, px=512).frames()[0]
    image = np.asarray(Image.fromarray(drawn).resize((source, source), Image.Resampling.BICUBIC))
    off = quickly_resized(image, 128).astype(float) - resized(image, 128, "bilinear")
    # Another filter makes edges otherwise, and flat parts the same: 39 dB and more.
    assert np.sqrt((off**2).mean()) < 255 * 10 ** (-38 / 20)
    assert abs(off.mean()) < 0.25  # nothing is shifted


def test_a_cut_inside_the_picture_is_a_view_and_black_outside_of_it():
    image = np.random.default_rng(0).integers(1, 256, (80, 90, 3), dtype=np.uint8)
    assert np.shares_memory(cut(image, (3, 4, 50, 60)), image)
    part = cut(image, (-7, -3, 20, 30))
    np.testing.assert_array_equal(part[3:, 7:], image[:30, :20])
    assert not part[:3].any()
    assert not part[:, :7].any()
