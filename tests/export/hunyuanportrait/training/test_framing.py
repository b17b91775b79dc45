"""Where a drawn person stands in a training picture."""

from dataclasses import replace

import numpy as np
import pytest

from export.hunyuanportrait.training.framing import Framing
from procedural.draw import draw
from procedural.landmarks import POINTS
from procedural.motion import State
from procedural.people import Person


def test_plain_people_stay_as_they_are_drawn():
    person = Person.random(4)
    framing = Framing.random(person, State(), 64, 4)
    assert np.array_equal(framing.draw(person, State(), 0), draw(person.identity, State(), 64))
    assert framing == Framing(px=64, side=64)


@pytest.mark.parametrize("framing", [Framing(px=96, side=72, x=7, y=24), Framing(px=96, side=140, x=-25, y=-31)])
def test_landmarks_are_where_the_nearer_or_farther_person_is(framing):
    """The lips alone change with their colour: their middle is between the landmarks of their corners."""
    person = Person.random(3)
    pictures = [
        framing.draw(replace(person, identity=replace(person.identity, lips=color)), State(), 0).astype(int)
        for color in ((0, 0, 255), (0, 255, 0))
    ]
    lips = np.argwhere(np.abs(pictures[0] - pictures[1]).max(axis=-1) > 100)[:, ::-1]
    points = dict(zip(POINTS, framing.landmarks(person, State()), strict=True))
    x, y, width, height = framing.face_box(person, State())
    assert pictures[0].shape == (96, 96, 3)
    assert abs((lips[:, 0].min() + lips[:, 0].max()) / 2 - points["nose tip"][0]) < 1.5
    assert lips[:, 0].min() == pytest.approx(points["left mouth corner"][0], abs=2.5)
    assert x < lips[:, 0].min() and lips[:, 0].max() < x + width and y < lips[:, 1].min() < y + height


def test_varied_people_are_drawn_nearer_and_farther_and_drivers_farther_alone():
    person = Person.random(3, varied=True)
    sides = [Framing.random(person, State(), 100, seed).side for seed in range(60)]
    assert min(sides) < 85 and max(sides) > 135
    assert max(Framing.random(person, State(), 100, seed, nearest=1.0).side for seed in range(60)) <= 100
