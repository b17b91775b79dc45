"""A mood in words, as weights of the labels that a denoiser has tokens for.

A word is looked up in a fixed list and nothing is understood: what is not in the list is refused. A strength behind a
colon mixes the mood with the neutral one, "happy:0.5" is half of each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from engines.errors import InputError
from hp_trt.interface.arguments import shown
from runtime.hallo2.presets import MOODS, NEUTRAL

# Label -> other words for it, each of one label alone.
WORDS: Mapping[str, tuple[str, ...]] = {
    "neutral": ("calm", "plain", "serious", "relaxed"),
    "happy": ("joyful", "cheerful", "glad", "merry", "delighted", "smiling"),
    "sad": ("unhappy", "sorrowful", "gloomy", "melancholy", "depressed"),
    "angry": ("furious", "annoyed", "irritated", "mad", "cross"),
    "surprised": ("astonished", "amazed", "startled", "shocked"),
    "sleepy": ("tired", "drowsy", "weary", "exhausted"),
}
_LABELS = {word: label for label, words in WORDS.items() for word in (label, *words)}
_NUMBER = re.compile(r"[0-9]*\.?[0-9]+|[0-9]+\.")  # no sign, no exponent, no nan


def mood_weights(text: Any) -> tuple[float, ...]:
    """How much there is of each of MOODS, together 1, for WORD or WORD:STRENGTH. Raises InputError."""
    if not isinstance(text, str):
        raise InputError(f"a mood is a word, as happy or happy:0.5, got {shown(text)}; there are {', '.join(MOODS)}")
    word, colon, number = text.partition(":")
    label = _LABELS.get(word.strip().lower())
    if label is None:
        raise InputError(
            f"the mood {shown(text)} is none of {', '.join(MOODS)}: a text is not understood, it is matched to a fixed "
            "list of words (joyful is happy, tired is sleepy); give one of these, as happy or happy:0.5"
        )
    strength = _strength(text, number) if colon else 1.0
    found = dict(zip(MOODS, NEUTRAL, strict=True))
    found["neutral"] -= strength
    found[label] += strength
    return tuple(found.values())


def _strength(text: str, number: str) -> float:
    strength = float(number) if _NUMBER.fullmatch(number.strip()) else math.nan
    if not 0 <= strength <= 1:  # nor is NaN
        raise InputError(
            f"the mood {shown(text)} needs behind its colon one number of 0 to 1, how much of it there is, the rest is "
            "neutral; as happy:0.5"
        )
    return strength
