from __future__ import annotations

import math

import numpy as np
import pytest

from hp_trt.faces.mesh_points import INPUT_PX, LEFT_EYE, MOUTH_CORNERS, NOSE_TIP, RIGHT_EYE, Square, face_of
from tests.hp_trt.faces.meshes import points

SQUARES = [
    Square(middle=(100.0, 50.0), side=192.0, turn=0.0),
    Square(middle=(-3.0, 700.5), side=41.0, turn=math.radians(35)),
    Square(middle=(640.0, 360.0), side=1700.0, turn=math.radians(-170)),
]


@pytest.mark.parametrize("square", SQUARES)
def test_a_squares_pixels_lie_where_a_turn_a_scale_and_a_shift_put_them(square):
    inputs = np.random.default_rng(1).uniform(0, INPUT_PX, (20, 2))
    # As complex numbers: round the middle of 192 pixels, scaled, turned, and carried to the square's middle.
    expected = (inputs @ (1, 1j) - (95.5 + 95.5j)) * square.side / 192 * np.exp(1j * square.turn)
    expected += complex(*square.middle)
    found = square.from_input(inputs)
    np.testing.assert_allclose(found @ (1, 1j), expected, rtol=1e-12)
    matrix = square.to_input()
    np.testing.assert_allclose(found @ matrix[:, :2].T + matrix[:, 2], inputs, atol=1e-8)


@pytest.mark.parametrize("roll_deg", [0, 20, -65, 150])
def test_the_square_round_a_face_has_level_eyes_and_a_quarter_of_the_face_beside_it(roll_deg):
    square = Square.round(points(300, 200, 120, roll_deg=roll_deg))
    assert square.side == pytest.approx(1.5 * 120)
    np.testing.assert_allclose(square.middle, (300, 200), atol=1e-9)
    assert math.degrees(square.turn) == pytest.approx(roll_deg)
    matrix = square.to_input()
    seen = points(300, 200, 120, roll_deg=roll_deg) @ matrix[:, :2].T + matrix[:, 2]
    assert seen[LEFT_EYE[0], 1] == pytest.approx(seen[RIGHT_EYE[1], 1])
    assert seen[:, 1].min() == pytest.approx(95.5 - 64) and seen[:, 1].max() == pytest.approx(95.5 + 64)


def test_a_face_has_eyes_nose_and_mouth_in_our_order_and_the_box_of_all_points():
    mesh = points(300, 200, 100)
    face = face_of(mesh, 0.75)
    np.testing.assert_allclose(face.landmarks[:2], [(300 - 17.5, 185), (300 + 17.5, 185)])
    assert face.landmarks[2].tolist() == mesh[NOSE_TIP].tolist()
    assert face.landmarks[3:].tolist() == mesh[list(MOUTH_CORNERS)].tolist()
    assert face.landmarks[3, 0] < face.landmarks[4, 0], "the picture's left first"
    assert (face.score, face.mesh is mesh) == (0.75, True)
    assert face.box == pytest.approx((260, 150, 80, 100))


def test_from_haars_box_comes_the_square_that_the_points_of_an_upright_face_have():
    mesh = points(90, 80, 60)  # high; Haar's box is 1.18 times as high, 0.11 of it above
    haar = (90 - 28.0, 50 - 0.11 * 60, 56.0, 1.18 * 60)
    by_box, by_points = Square.round_box(haar), Square.round(mesh)
    np.testing.assert_allclose(by_box.middle, by_points.middle)
    assert (by_box.side, by_box.turn) == pytest.approx((by_points.side, 0))


def test_squares_are_near_that_show_about_the_same():
    one = Square(middle=(50.0, 50.0), side=100.0, turn=math.pi)
    assert one.is_near(Square(middle=(52.0, 51.0), side=104.0, turn=-math.pi + 0.05)), "turns meet behind"
    for other in (
        Square(middle=(56.0, 50.0), side=100.0, turn=math.pi),
        Square(middle=(50.0, 50.0), side=115.0, turn=math.pi),
        Square(middle=(50.0, 50.0), side=100.0, turn=0.9 * math.pi),
    ):
        assert not one.is_near(other)
