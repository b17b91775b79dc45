from __future__ import annotations

import numpy as np
import pytest

from hp_trt.faces.align import TEMPLATE
from hp_trt.faces.face import Face, FaceParts
from hp_trt.hallo2.regions import (
    GUESSED,
    LIPS,
    OUTLINE,
    Regions,
    expand_box,
    face_and_lip_boxes,
    inside,
    tight_of,
    tight_of_five_points,
)
from procedural.identity import Identity
from procedural.landmarks import landmarks, lips_box, outline_box
from procedural.motion import State


def mesh(count: int = 468) -> np.ndarray:
    """Points of which those of the outline span 10..90 x 20..120, those of the lips 40..60 x 90..100."""
    points = np.full((count, 2), 500.0)  # all others are far away, and must not count
    points[list(OUTLINE)] = np.linspace((10, 20), (90, 120), len(OUTLINE))
    points[list(LIPS)] = np.linspace((40, 90), (60, 100), len(LIPS))
    return points


@pytest.mark.parametrize("count", [468, 478])
def test_boxes_grow_from_the_outlines_and_the_lips_points_alone(count):
    made = face_and_lip_boxes(mesh(count), height=200, width=150)
    assert made == Regions(face=(2, 10, 98, 130), lips=(30, 85, 70, 105))


def test_a_box_larger_than_its_picture_starts_below_zero_and_the_product_cuts_it():
    grown = expand_box((10, 10, 90, 60), height=100, width=90, ratio=1.5)
    assert grown == (-30, 0, 90, 74)
    assert inside(grown, height=100, width=90) == (0, 0, 90, 74)


def test_a_face_with_a_mesh_needs_neither_boxes_nor_a_guess():
    parts = FaceParts(face=(1, 2, 3, 4), lips=(5, 6, 7, 8))
    face = Face(box=(0, 0, 1, 1), landmarks=TEMPLATE, score=1.0, mesh=mesh(), parts=parts)
    tight, notes = tight_of(face)
    assert (tight.face, tight.lips, notes) == ((10, 20, 90, 120), (40, 90, 60, 100), ())


def test_a_face_that_knows_its_boxes_needs_no_guess():
    parts = FaceParts(face=(1, 2, 30, 40), lips=(5, 6, 7, 8))
    tight, notes = tight_of(Face(box=(0, 0, 1, 1), landmarks=TEMPLATE, score=1.0, parts=parts))
    assert (tight.face, tight.lips, notes) == ((1, 2, 31, 42), (5, 6, 12, 14), ())


def test_five_points_alone_are_a_guess_and_say_so():
    face = Face(box=(0, 0, 1, 1), landmarks=TEMPLATE, score=1.0)
    tight, notes = tight_of(face)
    assert notes == (GUESSED,)
    assert tight == tight_of_five_points(TEMPLATE)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("roll_deg", [0, 20])
def test_the_guess_lies_about_where_drawn_people_have_outline_and_lips(seed, roll_deg):
    who, state = Identity.random(seed), State(roll_deg=roll_deg)
    tight = tight_of_five_points(landmarks(who, state, 512)[:5])
    for found, known in ((tight.face, outline_box(who, state, 512)), (tight.lips, lips_box(who, state, 512))):
        x, y, w, h = known
        # Measured: 24 px of a face of 240 at most, which the growth by 1.2 and the blur are for.
        np.testing.assert_allclose(found, (x, y, x + w, y + h), atol=30)


def test_the_guess_turns_and_grows_with_its_points():
    half_turn = tight_of_five_points(200 - 2 * TEMPLATE)
    once = tight_of_five_points(TEMPLATE)
    for turned, upright in ((half_turn.face, once.face), (half_turn.lips, once.lips)):
        x0, y0, x1, y1 = upright
        np.testing.assert_allclose(turned, (200 - 2 * x1, 200 - 2 * y1, 200 - 2 * x0, 200 - 2 * y0), atol=1e-9)
