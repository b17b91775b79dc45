from __future__ import annotations

import numpy as np

from hp_trt.hunyuanportrait.geometry import corners, face_box, motion_ids, portrait_box

FACE = np.array([[-20.0, -20], [20, -20], [0, 0], [-15, 20], [15, 20]])


def test_a_detectors_box_becomes_corners():
    assert corners([10, 20, 30, 40]) == (10, 20, 40, 60)


def test_a_face_in_the_middle_gets_a_square_of_three_times_its_shorter_side():
    assert portrait_box((400, 400, 480, 500), height=1000, width=1000) == (320, 330, 560, 570)


def test_a_face_near_the_edge_gets_a_square_that_stays_in_the_picture():
    x0, y0, x1, y1 = portrait_box((0, 300, 100, 400), height=1000, width=700)
    assert (x0, x1) == (0, 200)
    assert 0 <= y0 < y1 <= 1000
    assert y1 - y0 == x1 - x0


def test_a_tall_picture_keeps_the_face_centred_along_its_longer_side():
    x0, y0, x1, y1 = portrait_box((20, 40, 80, 100), height=900, width=100)
    assert (x1 - x0, y1 - y0) == (100, 100)
    assert (y0 + y1) / 2 == 70


def test_the_face_box_follows_the_landmarks_and_is_pulled_to_the_first_box():
    assert face_box(FACE, (-40, -40, 40, 40), pull=0).tolist() == [-20, -20, 20, 20]
    assert face_box(FACE, (-40, -40, 40, 40), pull=1).tolist() == [-40, -40, 40, 40]
    assert face_box(FACE, (-40, -40, 40, 40)).tolist() == [-29, -29, 29, 29]


def test_a_still_face_and_a_single_frame_have_no_motion():
    assert motion_ids(np.repeat(FACE[None], 25, axis=0)) == (0, 0)
    assert motion_ids(FACE[None]) == (0, 0)


def test_a_moving_head_moves_only_the_head_id():
    swing = np.zeros((2, 5, 2))
    swing[1, :, 0] = 10  # the nose is 5 px from its mean; the landmark diagonal is hypot(40, 40)
    head, expression = motion_ids(FACE + swing)
    assert (head, expression) == (int(5 / np.hypot(40, 40) * 256), 0)


def test_a_moving_mouth_moves_only_the_expression_id():
    swing = np.zeros((2, 5, 2))
    swing[1, 3:, 1] = 5  # two of five points are 2.5 px from their mean
    head, expression = motion_ids(FACE + swing)
    assert (head, expression) == (0, int(2.5 * 2 / 5 / np.hypot(40, 40) * 1024))


def test_ids_stop_at_the_size_of_the_embedding_table():
    swing = np.random.default_rng(0).normal(size=(25, 5, 2)) * 1000
    swing[0] = 0
    assert motion_ids(FACE + swing) == (127, 127)


def test_five_landmarks_at_one_place_are_no_motion_rather_than_a_division_by_zero():
    assert motion_ids(np.zeros((3, 5, 2))) == (0, 0)
