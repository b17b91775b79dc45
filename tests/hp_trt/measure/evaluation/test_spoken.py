"""Drawn people who speak, and what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.evaluation.pairs import Pair
from hp_trt.measure.evaluation.spoken import SpokenPairs, said
from procedural.motion import NAMES
from procedural.speech import mouth

FRAMES = 30


@pytest.fixture(scope="module")
def pair() -> Pair:
    return SpokenPairs(range(6, 8), FRAMES).pair(1, 48)


def test_the_portrait_is_the_first_frame_and_the_sound_is_as_long_as_the_pictures(pair):
    assert pair.name == "7" and len(pair.truth) == FRAMES
    np.testing.assert_array_equal(pair.portrait, pair.driving[0])
    np.testing.assert_array_equal(pair.still, pair.truth[0])
    assert pair.still.shape == (48, 48, 3) and pair.sound.shape == (640 * FRAMES,)
    np.testing.assert_array_equal(pair.sound, said(7, FRAMES).samples[: 640 * FRAMES])


def test_the_mouth_does_what_is_said(pair):
    jaw = pair.drawn.parameters[:, NAMES.index("jaw")]
    np.testing.assert_allclose(jaw, mouth(said(7, FRAMES).phonemes, FRAMES)[:, 0], atol=1e-6)


def test_masks_can_be_made_of_the_portraits_face(pair):
    (face,) = pair.portrait_faces.locate(pair.portrait)
    x, y, width, height = face.parts.lips
    corners = face.landmarks[3:]
    assert x - 1 <= corners[:, 0].min() and corners[:, 0].max() <= x + width + 1
    assert y - 1 <= corners[:, 1].mean() <= y + height + 1
    assert face.parts.face[3] > 3 * height


def test_rivals_are_all_identities_doing_the_same(pair):
    rivals = list(pair.drawn.rivals())
    own = rivals[pair.drawn.own]
    assert len(rivals) == 2 and len(own) == len(pair.drawn.shown)
    for shown, picture in zip(pair.drawn.shown, own, strict=True):
        np.testing.assert_array_equal(picture, pair.truth[shown])


def test_a_seed_says_the_same_in_every_evaluation_and_another_seed_something_else():
    np.testing.assert_array_equal(said(3, 25).samples, said(3, 25).samples)
    assert np.abs(said(3, 25).samples - said(5, 25).samples).max() > 0.05
