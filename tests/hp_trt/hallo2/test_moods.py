"""Moods in words: what they weigh, and what is none."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.hallo2.moods import WORDS, mood_weights
from runtime.hallo2.presets import MOODS, NEUTRAL


def test_a_label_is_all_of_itself():
    for place, mood in enumerate(MOODS):
        assert mood_weights(mood) == tuple(np.eye(len(MOODS))[place])
    assert mood_weights("neutral") == NEUTRAL


@pytest.mark.parametrize(
    ("text", "strength"),
    [("sad:0.5", 0.5), ("sad:.25", 0.25), ("sad:1", 1), ("sad:1.", 1), ("sad:0", 0), (" Sad : 0.75 ", 0.75)],
)
def test_a_strength_mixes_with_neutral(text, strength):
    assert mood_weights(text) == (1 - strength, 0, strength, 0, 0, 0)


def test_neutral_of_any_strength_is_neutral():
    assert mood_weights("neutral:0.25") == NEUTRAL


def test_every_word_is_one_of_a_label_alone():
    assert tuple(WORDS) == MOODS
    words = [word for label, more in WORDS.items() for word in (label, *more)]
    assert len(set(words)) == len(words) and all(word == word.strip().lower() for word in words)
    for label, more in WORDS.items():
        for word in more:
            assert mood_weights(word) == mood_weights(label)
    assert mood_weights("joyful") == mood_weights("cheerful") == mood_weights("happy")


@pytest.mark.parametrize(
    "text", ["hungry", "", ":", ":0.5", "happy sad", "happy,sad", "hap", "happy;0.5", "a cheerful voice", "x" * 10_000]
)
def test_what_is_no_word_of_the_list_is_refused_with_the_labels(text):
    with pytest.raises(InputError) as error:
        mood_weights(text)
    said = str(error.value)
    assert "is none of neutral, happy, sad, angry, surprised, sleepy" in said
    assert "matched to a fixed list of words" in said and "\n" not in said and len(said) < 400


@pytest.mark.parametrize(
    "strength",
    ["", " ", "nan", "inf", "-0.1", "-0", "+1", "1.01", "2", "0.5:2", "half", "1e-1", "0_1", "0,5", "50%", "."],
)
def test_a_strength_that_is_no_number_of_0_to_1_is_refused_in_a_line(strength):
    with pytest.raises(InputError, match=r"needs behind its colon one number of 0 to 1, .*; as happy:0\.5$"):
        mood_weights(f"happy:{strength}")


@pytest.mark.parametrize("value", [1, 0.5, True, b"happy", ("happy",), np.zeros(6), ["happy"]])
def test_what_is_no_text_is_no_mood(value):
    with pytest.raises(InputError, match=r"a mood is a word, as happy or happy:0\.5, got .*; there are neutral, happy"):
        mood_weights(value)
