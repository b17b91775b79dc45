from __future__ import annotations

import cv2
import numpy as np
import pytest

from hp_trt.media.paste import PasteBack, soft_mask


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_mask_is_one_inside_and_falls_to_zero_at_all_edges():
    mask = soft_mask(100, 60)
    assert (mask[6:-6, 10:-10] == 1).all()
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()
    assert np.allclose(mask, mask[::-1, ::-1], atol=1e-12)  # linspace up and down round differently


def test_a_fade_of_one_pixel_is_only_at_the_left_and_top():
    mask = soft_mask(12, 15)
    assert not mask[0].any()
    assert not mask[:, 0].any()
    assert (mask[1:, 1:] == 1).all()


def test_a_square_under_ten_pixels_has_no_fade():
    assert (soft_mask(9, 9) == 1).all()


def test_pasting_blends_inside_the_box_and_leaves_the_rest_alone():
    image, generated, box = noise(120, 160), noise(64, 64, seed=1), (20, 10, 117, 107)
    mask = soft_mask(97, 97)[:, :, None]
    expected = image.astype(np.float64)
    expected[10:107, 20:117] = cv2.resize(generated, (97, 97)) * mask + expected[10:107, 20:117] * (1 - mask)
    result = PasteBack(image, box)(generated)
    outside = np.ones((120, 160), bool)
    outside[10:107, 20:117] = False
    assert np.array_equal(result[outside], image[outside])
    # Truncation of a float32 sum against the exact one: at most one level apart.
    assert np.abs(result - np.floor(expected)).max() <= 1


def test_each_frame_is_a_fresh_array_and_the_portrait_stays_as_it_was():
    image = noise(64, 64)
    before = image.copy()
    paste = PasteBack(image, (0, 0, 64, 64))
    first = paste(noise(32, 32, seed=1))
    kept = first.copy()
    paste(noise(32, 32, seed=2))
    assert np.array_equal(first, kept)
    assert np.array_equal(image, before)


def test_a_square_that_is_the_whole_picture_is_wholly_made_where_edges_do_not_fade():
    image, generated = noise(64, 64), noise(64, 64, seed=1)
    assert np.array_equal(PasteBack(image, (0, 0, 64, 64), fade_at_edges=False)(generated), generated)


@pytest.mark.parametrize(
    ("box", "open_sides"),
    [
        ((0, 0, 40, 40), ("left", "top")),
        ((24, 8, 64, 48), ("right", "bottom")),
        ((0, 4, 64, 44), ("left", "right")),
        ((10, 4, 50, 44), ()),
    ],
)
def test_only_sides_inside_the_picture_fade_where_edges_do_not(box, open_sides):
    image, generated = np.zeros((48, 64, 3), np.uint8), np.full((40, 40, 3), 255, np.uint8)
    x0, y0, x1, y1 = box
    made = PasteBack(image, box, fade_at_edges=False)(generated)[y0:y1, x0:x1, 0]
    middle = made.shape[0] // 2
    ends = {"left": made[middle, 0], "right": made[middle, -1], "top": made[0, middle], "bottom": made[-1, middle]}
    assert {side for side, value in ends.items() if value == 255} == set(open_sides)
    assert all(value == 0 for side, value in ends.items() if side not in open_sides)


def test_a_box_that_leaves_the_picture_is_refused():
    with pytest.raises(ValueError, match="must lie inside the picture of 64 x 48 pixels"):
        PasteBack(noise(48, 64), (0, 0, 64, 64))


@pytest.mark.parametrize("fades", [True, False])
@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("box", [(0, 0, 64, 64), (20, 10, 61, 53), (0, 4, 15, 19), (3, 3, 5, 4)])
def test_pasting_gives_the_bits_of_the_released_arithmetic_on_the_whole_square(box, ratio, fades):
    image, generated, (x0, y0, x1, y1) = noise(64, 64), noise(32, 32, seed=1), box
    at_edges = {"left": x0 == 0, "top": y0 == 0, "right": x1 == 64, "bottom": y1 == 64}
    sides = {side for side, at in at_edges.items() if fades or not at}
    mask = soft_mask(x1 - x0, y1 - y0, ratio, sides)[:, :, None].astype(np.float32)
    square = cv2.resize(generated, (x1 - x0, y1 - y0)).astype(np.float32) / np.float32(255)
    under = image[y0:y1, x0:x1].astype(np.float32) / np.float32(255)
    expected = image.copy()
    expected[y0:y1, x0:x1] = ((square * mask + under * (1 - mask)) * np.float32(255)).astype(np.uint8)
    np.testing.assert_array_equal(PasteBack(image, box, ratio, fade_at_edges=fades)(generated), expected)
