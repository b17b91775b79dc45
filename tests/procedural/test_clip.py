from __future__ import annotations

import numpy as np

from procedural.clip import clip
from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import POINTS, face_box, landmarks
from procedural.motion import motion


def test_a_clip_is_the_seeds_person_moving_as_the_seed_says():
    made = clip(6, frames=4, px=64)
    assert made.identity == Identity.random(6)
    assert list(made.states) == motion(6, 4)
    frames = made.frames()
    assert len(frames) == 4
    assert np.array_equal(frames[2], draw(made.identity, made.states[2], 64))


def test_the_same_motion_can_be_somebody_elses():
    mine, theirs = clip(6, frames=3, px=64), clip(6, frames=3, px=64, identity_seed=9)
    assert mine.states == theirs.states
    assert theirs.identity == Identity.random(9)
    assert not np.array_equal(mine.frames()[0], theirs.frames()[0])


def test_landmarks_and_boxes_come_frame_by_frame():
    made = clip(6, frames=3, px=64)
    assert made.landmarks().shape == (3, len(POINTS), 2)
    assert made.boxes().shape == (3, 4)
    assert np.array_equal(made.landmarks()[1], landmarks(made.identity, made.states[1], 64))
    assert made.boxes()[1].tolist() == list(face_box(made.identity, made.states[1], 64))
