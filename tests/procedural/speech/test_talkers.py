import numpy as np
import pytest

from procedural.motion import NAMES, motion
from procedural.speech import MOODS, mouth, sentence, talking

PHONEMES = sentence(2, 2.0).phonemes


def test_the_head_moves_as_drawn_heads_do_and_the_mouth_as_is_said():
    drawn, states, lips = motion(7, 50), talking(7, PHONEMES, 50), mouth(PHONEMES, 50)
    assert [s.yaw_deg for s in states] == [s.yaw_deg for s in drawn]
    assert [s.lid_left for s in states] == [s.lid_left for s in drawn]
    assert np.allclose([s.jaw for s in states], lips[:, 0])
    assert np.corrcoef([s.corners for s in states], lips[:, 2])[0, 1] > 0.999


@pytest.mark.parametrize(
    ("mood", "name", "sign"),
    [("happy", "corners", 1), ("sad", "corners", -1), ("angry", "brow_left", -1), ("surprised", "brow_left", 1),
     ("sleepy", "lid_left", 1)],
)  # fmt: skip
def test_a_mood_is_seen_and_half_of_it_half(mood, name, sign):
    def mean(**asked):
        return np.mean([getattr(state, name) for state in talking(7, PHONEMES, 50, **asked)])

    neutral, half, whole = mean(), mean(mood=mood, mood_strength=0.5), mean(mood=mood)
    assert sign * (half - neutral) > 0.05 and sign * (whole - half) > 0.05


@pytest.mark.parametrize("mood", MOODS)
def test_states_stay_in_their_ranges(mood):
    for state in talking(7, PHONEMES, 50, mood=mood, mood_strength=2.0):
        values = dict(zip(NAMES, state.vector(), strict=True))
        assert 0 <= values["jaw"] <= 1 and 0 <= values["lid_left"] <= 1 and -1 <= values["corners"] <= 1


def test_an_unknown_mood_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="there are neutral, happy"):
        talking(0, PHONEMES, 3, mood="hungry")
