from __future__ import annotations

import numpy as np
import pytest

from procedural.identity import HAIR_STYLES, Color, Identity, mix, shade

PEOPLE = [Identity.random(seed) for seed in range(300)]


def gray(color: Color) -> float:
    return float(np.dot(color, (0.299, 0.587, 0.114)))


def test_a_seed_is_always_the_same_person_and_another_seed_another():
    assert Identity.random(41) == Identity.random(41)
    assert len(set(PEOPLE)) == len(PEOPLE)


def test_people_vary_from_pale_to_dark_in_every_hair_style_and_a_fifth_wears_glasses():
    tones = [gray(who.skin) for who in PEOPLE]
    assert min(tones) < 95
    assert max(tones) > 210
    assert {who.style for who in PEOPLE} == set(HAIR_STYLES)
    assert 0.13 < np.mean([who.glasses is not None for who in PEOPLE]) < 0.28


@pytest.mark.parametrize(("feature", "least"), [("brow", 60), ("iris", 40), ("lips", 28)])
def test_features_stand_out_from_the_skin_of_everybody(feature, least):
    nearest = min(np.linalg.norm(np.subtract(getattr(who, feature), who.skin)) for who in PEOPLE)
    assert nearest > least  # of the 255 of a channel; lips also have a dark seam


def test_the_wall_is_never_the_skins_colour():
    assert min(np.linalg.norm(np.subtract(who.wall[0], who.skin)) for who in PEOPLE) > 40


def test_shading_and_mixing_stay_colours():
    assert shade((200, 100, 0), 1.5) == (255, 150, 0)
    assert mix((0, 100, 200), (100, 100, 0), 0.25) == (25, 100, 150)
