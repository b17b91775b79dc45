"""Notes of doubt about faces whose place is known, and of drawn people as detectors see them."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.faces.doubts import doubts, outside, small, turned
from hp_trt.faces.face import Face
from hp_trt.faces.haar import HaarLocator
from hp_trt.faces.landmarks_file import LandmarksFile
from procedural.landmarks import face_box, landmarks
from procedural.motion import State, motion
from procedural.people import Person

IMAGE = np.zeros((256, 256, 3), np.uint8)


def drawn(seed: int, state: State) -> Face:
    who = Person.random(seed).identity
    return Face(box=face_box(who, state, 256), landmarks=landmarks(who, state, 256)[:5], score=1.0)


def known(face: Face) -> LandmarksFile:
    return LandmarksFile([[face]], height=256, width=256)


def test_nobody_who_looks_about_as_drawn_people_do_is_doubted():
    for seed in range(0, 40, 4):
        for state in motion(seed, 50)[::16]:
            face = drawn(seed, state)
            assert doubts(face, known(face), IMAGE, "me.png") == (), seed


@pytest.mark.parametrize("yaw_deg", [-70, 70])
@pytest.mark.parametrize("roll_deg", [0, 30])
def test_a_head_from_the_side_is_told_however_it_is_tilted(yaw_deg, roll_deg):
    face = drawn(3, State(yaw_deg=yaw_deg, roll_deg=roll_deg))
    (note,) = doubts(face, known(face), IMAGE, "me.png")
    assert note.startswith("the face in me.png is turned far to a side")
    assert np.sign(turned(face.landmarks)) == np.sign(turned(drawn(3, State(yaw_deg=yaw_deg)).landmarks))


def test_the_nose_is_measured_along_the_eyes():
    points = np.array([[0, 0], [10, 0], [8, 6], [2, 10], [8, 10]], float)
    assert turned(points) == pytest.approx(0.3)
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert turned(7 * points @ rotation.T + 50) == pytest.approx(0.3)
    assert turned(np.zeros((5, 2))) == 0.0


def test_haar_s_face_without_an_eye_is_told_and_another_locator_s_is_not():
    haar, face = HaarLocator(), drawn(3, State())
    blind = Face(box=face.box, landmarks=face.landmarks, score=HaarLocator.EYELESS)
    (note,) = doubts(blind, haar, IMAGE, "cat.png")
    assert note.startswith("no eye is seen in the face of cat.png")
    assert doubts(blind, known(blind), IMAGE, "cat.png") == ()
    for seed in (0, 4, 9):
        picture = Person.random(seed).draw(State(), 256)
        (seen,) = haar.locate(picture)
        assert doubts(seen, haar, picture, "me.png") == ()


@pytest.mark.parametrize(
    ("box", "part"), [((0, 0, 100, 100), 0.0), ((-30, 0, 100, 50), 0.3), ((200, 200, 112, 56), 0.5)]
)
def test_a_face_that_leaves_the_picture_is_told_with_its_part(box, part):
    face = Face(box=tuple(map(float, box)), landmarks=drawn(3, State()).landmarks, score=1.0)
    assert outside(face, IMAGE) == pytest.approx(part)
    told = doubts(face, known(face), IMAGE, "me.png")
    assert len(told) == bool(part) and (not part or f"{part:.0%} of the face in me.png" in told[0])


def test_a_square_of_less_than_half_the_pixels_that_are_made_is_told():
    assert small(64, 128, "me.png") == ()
    (note,) = small(63, 128, "me.png")
    assert note.startswith("the square round the face in me.png has 63 x 63 pixels, and 128 x 128 are made of it")
