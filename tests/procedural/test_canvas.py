from __future__ import annotations

import numpy as np
import pytest

from procedural.canvas import Canvas

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def canvas(side: int = 40) -> Canvas:
    return Canvas(np.zeros((side, side, 3), np.uint8), side)


def box(x: float, y: float, width: float, height: float) -> np.ndarray:
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])


def covered(picture: np.ndarray) -> float:
    """Whole pixels' worth of white."""
    return picture[..., 0].sum() / 255


@pytest.mark.parametrize("side", [40, 200])
def test_a_shape_covers_its_area_wherever_it_lies_between_pixels(side):
    for offset in np.linspace(0, 1, 9) / side:
        painted = canvas(side)
        painted.fill(box(0.25 + offset, 0.25 + offset, 0.5, 0.5), WHITE)
        # OpenCV draws an outline of its own round the shape: at most a third of a pixel on each side.
        assert (side / 2) ** 2 <= covered(painted.pixels) < (side / 2 + 0.7) ** 2
        assert painted.pixels[side // 2, side // 2].tolist() == [255, 255, 255]


@pytest.mark.parametrize("axis", [0, 1])
def test_a_shape_moves_by_less_than_a_pixel_smoothly(axis):
    middles = []
    for step in range(33):
        offset = np.zeros(2)
        offset[axis] = step / 32 / 40
        painted = canvas()
        painted.fill(box(0.3, 0.3, 0.3, 0.3) + offset, WHITE)
        weights = painted.pixels[..., 0].sum(axis=axis).astype(float)
        middles.append(float(weights @ np.arange(40) / weights.sum()))
    assert np.diff(middles).min() >= 0
    assert np.diff(middles).max() < 0.14  # edges snap to an eighth of a pixel at most
    assert middles[-1] - middles[0] == pytest.approx(1, abs=0.05)


def test_half_opaque_is_half_the_colour():
    painted = canvas()
    painted.fill(box(0.2, 0.2, 0.6, 0.6), (200, 100, 50), alpha=0.5)
    assert np.abs(painted.pixels[20, 20] - np.array([100, 50, 25])).max() <= 1


def test_what_lies_outside_the_picture_is_no_error():
    painted = canvas()
    painted.fill(box(1.5, 1.5, 1, 1), WHITE)
    painted.stroke(np.array([[-2.0, -1.0], [-1.0, -1.0]]), 0.1, WHITE)
    assert painted.hole(box(-3, 0, 1, 1)) is None
    assert not painted.pixels.any()
    painted.fill(box(-1, -1, 3, 3), WHITE)
    assert painted.pixels.all()


def test_a_stroke_is_as_thick_as_it_says():
    painted = canvas(200)
    painted.stroke(np.array([[0.1, 0.5], [0.5, 0.5], [0.9, 0.5]]), 0.1, WHITE)
    assert covered(painted.pixels[:, 100:101]) == pytest.approx(20, abs=0.8)


def test_painting_in_a_hole_shows_inside_the_shape_only():
    painted = canvas()
    hole = painted.hole(box(0.25, 0.25, 0.5, 0.5))
    hole.fill(box(0.0, 0.0, 0.5, 1.0), WHITE)
    painted.show(hole)
    assert painted.pixels[20, 15].tolist() == [255, 255, 255]
    assert painted.pixels[20, 25].tolist() == [0, 0, 0]  # of the hole, but not painted
    assert painted.pixels[20, 5].tolist() == [0, 0, 0]  # painted, but not of the hole


def test_a_glow_is_brightest_in_its_middle_and_ends_at_its_radius_and_its_mask():
    painted = canvas()
    left_half = painted.mask(box(-1, -1, 1.5, 3))
    painted.glow(np.array([0.5, 0.5]), np.array([0.25, 0.0]), np.array([0.0, 0.25]), WHITE, 1.0, left_half)
    row = painted.pixels[20, :, 0].astype(int)
    assert row[19] > 250
    assert np.all(np.diff(row[9:20]) >= 0)
    assert not row[:9].any()
    assert not row[21:].any()
