"""What is known of the presets before anything is built."""

from __future__ import annotations

from procedural import speech
from runtime.hallo2.presets import MOODS, NEUTRAL


def test_moods_are_those_that_drawn_people_have_in_the_same_order():
    """A token's place is its mood's: what was trained as the second label is asked for as the second one."""
    assert tuple(speech.MOODS) == MOODS


def test_neutral_is_all_of_the_first_mood_and_nothing_of_the_others():
    assert dict(zip(MOODS, NEUTRAL, strict=True)) == {"neutral": 1} | dict.fromkeys(MOODS[1:], 0)
