"""Varied pictures: where things are stays as it was, and a style stays the same in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import POINTS, landmarks
from procedural.motion import State
from procedural.people import Person
from procedural.variety import Variety, draw_varied

PX = 256
TURNED = State(yaw_deg=22, pitch_deg=9, roll_deg=7, shift_x=0.04, scale=1.05, jaw=0.6, corners=0.7)
SEEDS = range(1000, 1006)


def someone(seed: int, **changes) -> Identity:
    return replace(Identity.random(seed), glasses=None, style="short", **changes)


def clear(seed: int) -> Variety:
    """The seed's style in the identity's own colours, rendered, by a camera that blurs and spreads nothing."""
    style = Variety.random(seed)
    camera = replace(style.camera, blur=0.0, coarse=1.0, quality=0, noise=0.0, aberration=0.0, vignette=0.0)
    return replace(style, camera=camera, dressed=False, rendered=True, finish="none", flyaway=0, lip_gloss=0.0)


def changed(seed: int, state: State, px: int = PX, **colors) -> np.ndarray:
    """(N, 2) x, y of the pixels that change, between dark and light, with these colours of the identity."""
    pictures = [
        draw_varied(someone(seed, **dict.fromkeys(colors, value)), clear(seed), state, px).astype(int)
        for value in ((20, 20, 20), (240, 240, 240))
    ]
    return np.argwhere(np.abs(pictures[1] - pictures[0]).max(axis=-1) > 25)[:, ::-1]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("state", [State(), TURNED])
def test_lips_end_where_the_plain_drawings_landmarks_are(seed, state):
    lips = changed(seed, state, lips=None)
    points = dict(zip(POINTS, landmarks(someone(seed), state, PX), strict=True))
    for name, end in (("left mouth corner", lips[:, 0].argmin()), ("right mouth corner", lips[:, 0].argmax())):
        assert np.linalg.norm(lips[end] - points[name]) < 0.02 * PX, name


@pytest.mark.parametrize("seed", SEEDS)
def test_irises_are_where_the_plain_drawings_landmarks_are(seed):
    state = replace(TURNED, gaze_x=0.5)
    irises = changed(seed, state, iris=None)
    points = dict(zip(POINTS, landmarks(someone(seed), state, PX), strict=True))
    for name in ("left iris", "right iris"):
        near = irises[np.linalg.norm(irises - points[name], axis=1) < 0.06 * PX]
        middle = (near[:, 0].min() + near[:, 0].max()) / 2
        assert abs(middle - points[name][0]) < 0.012 * PX, name


def test_the_same_arguments_give_the_same_picture():
    person = Person.random(3, varied=True)
    first = person.draw(TURNED, 96, frame=2)
    assert (first.shape, first.dtype) == ((96, 96, 3), np.uint8)
    again = first.copy()
    first[:] = 0  # the caller may do as it likes with it
    assert np.array_equal(Person.random(3, varied=True).draw(replace(TURNED), 96, frame=2), again)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_two_frames_of_one_state_nothing_but_the_sensors_noise_differs(seed):
    person = Person.random(seed, varied=True)
    assert person.variety is not None
    quiet = replace(person.variety, camera=replace(person.variety.camera, noise=0.0))
    one, two = (draw_varied(person.identity, quiet, TURNED, 96, frame) for frame in (0, 9))
    assert np.array_equal(one, two)
    loud = replace(quiet, camera=replace(quiet.camera, noise=0.03, quality=0))
    one, two = (draw_varied(person.identity, loud, TURNED, 96, frame).astype(int) for frame in (0, 9))
    assert 0.5 < np.abs(one - two).mean() < 15
    assert abs((one - two).mean()) < 2


@pytest.mark.parametrize("seed", SEEDS)
def test_skin_and_its_light_move_with_the_head(seed):
    """A head that is shifted by whole pixels looks as it did; what would lie in the picture would not follow."""
    who, style = someone(seed), clear(seed)
    style = replace(style, skin=replace(style.skin, pores=1.0, freckles=1.0, moles=4))
    by = 16
    still, moved = (draw_varied(who, style, State(shift_x=x), PX).astype(int) for x in (0.0, by / PX))
    x, y = np.rint(landmarks(who, State(), PX)[POINTS.index("nose tip")]).astype(int)
    rows, reach = slice(y - 50, y + 30), 40
    before, after = still[rows, x - reach : x + reach], moved[rows, x - reach + by : x + reach + by]
    stayed = moved[rows, x - reach : x + reach]
    assert np.abs(after - before).mean() < 0.25 * np.abs(stayed - before).mean()
    assert np.abs(after - before).mean() < 2.5


def test_varied_people_differ_more_than_plain_ones():
    def apart(varied: bool) -> float:
        pictures = [Person.random(seed, varied=varied).draw(State(), 32).astype(int) for seed in range(16)]
        return float(np.mean([np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]))

    assert apart(True) > 1.1 * apart(False)


def test_a_style_that_renders_nothing_and_keeps_the_colours_is_nearly_the_plain_drawing():
    style = replace(clear(2), rendered=False)
    camera = replace(style.camera, contrast=1.0, saturation=1.0, balance=(1.0, 1.0, 1.0))
    manner = type(style.manner)()
    who = someone(2)
    made = draw_varied(who, replace(style, camera=camera, manner=manner), State(), 96).astype(float)
    plain = draw(who, State(), 96).astype(float)
    gain = (made * plain).sum() / (plain * plain).sum()  # the camera's exposure
    dark = plain.max(axis=-1) * gain < 190  # highlights run out softly
    assert np.abs(made - gain * plain)[dark].mean() < 1.0
