from __future__ import annotations

import numpy as np

from procedural import face, hair, scene
from procedural.canvas import Canvas
from procedural.clip import clip
from procedural.draw import draw
from procedural.head import Head
from procedural.identity import Identity
from procedural.motion import State
from procedural.people import Person, is_varied
from procedural.variety import varied_identity

TURNED = State(yaw_deg=18, pitch_deg=-6, jaw=0.5, lid_left=0.4)


def by_hand(who: Identity, state: State, px: int) -> np.ndarray:
    """The plain drawing, part after part, each as it is without anything said."""
    canvas, head = Canvas(scene.wall(who, px).copy(), px), Head(who, state)
    skin = hair.skin(head)
    hair.back(canvas, head)
    list(scene.body(canvas, head, skin))
    ears = not hair.covers_ears(who.style)
    if ears:
        face.ears(canvas, head, {-1: 1.0, 1: 1.0})
    hair.cap(canvas, head)
    canvas.fill(skin, who.skin)
    face.shading(canvas, head, skin)
    if ears:
        face.ears(canvas, head, face.near_ears(head))
    face.mouth(canvas, head)
    face.eye(canvas, head, -1)
    face.eye(canvas, head, 1)
    hair.fringe(canvas, head)
    face.brow(canvas, head, -1)
    face.brow(canvas, head, 1)
    face.nose(canvas, head)
    face.glasses(canvas, head)
    return canvas.pixels


def test_somebody_who_is_not_varied_is_the_plain_drawing_bit_for_bit():
    for seed in range(8):
        person = Person.random(seed)
        assert person.identity == Identity.random(seed)
        assert np.array_equal(person.draw(TURNED, 80, frame=3), draw(person.identity, TURNED, 80))
        assert np.array_equal(draw(person.identity, TURNED, 80), by_hand(person.identity, TURNED, 80))


def test_a_varied_clip_moves_as_the_plain_one_of_its_seed_and_tells_its_own_landmarks():
    plain, varied = clip(6, frames=3, px=64), clip(6, frames=3, px=64, varied=True)
    assert plain.variety is None and varied.variety is not None
    assert plain.states == varied.states
    assert varied.identity == varied_identity(6)
    assert np.abs(varied.landmarks() - plain.landmarks()).max() < 4  # pixels: other proportions, in the same place
    assert np.abs(varied.frames()[0].astype(int) - plain.frames()[0]).mean() > 5


def test_who_is_varied_of_a_smaller_share_is_so_of_a_larger():
    some, most = ({seed for seed in range(400) if is_varied(seed, share)} for share in (0.3, 0.8))
    assert some < most
    assert 90 < len(some) < 150  # binomial, 400 throws of 0.3
    assert not any(is_varied(seed, 0.0) for seed in range(400))
    assert all(is_varied(seed, 1.0) for seed in range(400))


def test_varied_proportions_keep_every_landmark_in_the_picture():
    for seed in range(40):
        points = clip(seed, frames=1, px=100, varied=True).landmarks()[0]
        assert points.min() > 0 and points.max() < 99
