from __future__ import annotations

import numpy as np
import pytest

from hp_trt.faces.face import Face, largest_face
from hp_trt.faces.haar import HaarLocator
from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import landmarks
from procedural.motion import State


def drawn(seed: int, px: int) -> np.ndarray:
    return draw(Identity.random(seed), State(), px)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("px", [120, 384, 1200])
def test_haar_finds_a_drawn_head_and_its_eyes_at_any_size(seed, px):
    faces = HaarLocator().locate(drawn(seed, px))
    assert len(faces) == 1
    eyes = landmarks(Identity.random(seed), State(), px)[:2]
    # The eye cascade answers on a grid of about 3 % of the face, which fills half the picture.
    assert np.abs(faces[0].landmarks[:2] - eyes).max() < 0.03 * px


def test_haar_finds_a_small_face_in_a_large_picture():
    picture = np.full((1000, 1400, 3), 200, np.uint8)
    picture[600:800, 900:1100] = drawn(1, 200)
    found = largest_face(HaarLocator().locate(picture))
    assert 900 < found.box[0] < 1050
    assert 600 < found.box[1] < 750


def test_haar_finds_both_of_two_faces():
    assert len(HaarLocator().locate(np.hstack([drawn(0, 300), drawn(1, 300)]))) == 2


@pytest.mark.parametrize("shape", [(1, 1, 3), (30, 30, 3), (400, 600, 3), (5, 900, 3)])
def test_haar_finds_no_face_where_there_is_none(shape):
    locator = HaarLocator()
    ramp = np.broadcast_to(np.linspace(0, 255, shape[1])[None, :, None], shape).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert locator.locate(ramp) == locator.locate(noise) == []


def test_haar_follows_a_face_to_where_the_whole_search_finds_it():
    locator, identity = HaarLocator(), Identity.random(3)
    states = [State(yaw_deg=2.0 * i, shift_x=0.004 * i) for i in range(6)]
    pictures = [draw(identity, state, 256) for state in states]
    face = largest_face(locator.locate(pictures[0]))
    for picture in pictures[1:]:
        whole, [near] = largest_face(locator.locate(picture)), locator.near(picture, face)
        # The cascade's own square jumps by 3 % between equal frames; two searches differ by twice that at most.
        np.testing.assert_allclose(near.box, whole.box, atol=0.08 * whole.box[3])
        face = near


def test_haar_follows_nothing_where_there_is_no_face_any_more():
    locator = HaarLocator()
    face = largest_face(locator.locate(draw(Identity.random(3), State(), 256)))
    assert locator.near(np.full((256, 256, 3), 90, np.uint8), face) == []
    outside = Face(box=(250, 250, 60, 80), landmarks=face.landmarks, score=1.0)
    assert locator.near(np.full((256, 256, 3), 90, np.uint8), outside) == []
