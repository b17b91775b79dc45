"""Sentences in no language, of a language's syllables, spoken by a voice of a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from procedural.speech.phonemes import LANGUAGES, PAUSE, SOUNDS, Language, Phoneme, sounds_of
from procedural.speech.voices import HZ, Voice, spoken

__all__ = ["HZ", "Speech", "sentence"]
_LEAST_S = 0.025  # of a phoneme


@dataclass(frozen=True)
class Speech:
    """A sentence: what is heard, and when each phoneme is."""

    samples: np.ndarray  # (n,) float32 in -1 .. 1, HZ a second
    phonemes: tuple[Phoneme, ...]  # one after the other without gaps, pauses among them, from 0 to the end


def sentence(seed: int, seconds: float, *, voice: int | None = None, language: str = "en") -> Speech:
    """`seconds` of speech: words and pauses from `seed`, the voice from `voice`, or from `seed` too.

    Raises ValueError for a length that is not positive and for a language that is none of LANGUAGES.
    """
    if not (np.isfinite(seconds) and seconds > 0):
        raise ValueError(f"need a positive number of seconds, got {seconds}")
    if language not in LANGUAGES:
        raise ValueError(f"there is no language {language!r}; there are {', '.join(LANGUAGES)}")
    who = Voice.random(seed if voice is None else voice)
    rng = np.random.default_rng([seed, 501])
    phonemes = _said(rng, LANGUAGES[language], who, seconds)
    return Speech(spoken(phonemes, who, np.random.default_rng([seed, 502]), seconds), phonemes)


def _said(rng: np.random.Generator, language: Language, who: Voice, seconds: float) -> tuple[Phoneme, ...]:
    """Phrases of words until the time is over; what would go beyond is cut, and the end is silent."""
    tail = min(0.2, 0.1 * seconds)
    made: list[Phoneme] = []
    now = 0.0

    def say(symbol: str, length_s: float) -> None:
        nonlocal now
        end = min(now + length_s, seconds - tail)
        if end - now >= _LEAST_S:
            made.append(Phoneme(symbol, now, end))
            now = end

    say(PAUSE, float(rng.uniform(0.1, 0.45)))
    while now < seconds - tail - 2 * _LEAST_S:
        for _ in range(int(rng.integers(2, 7))):
            for _ in range(int(rng.choice(3, p=(0.45, 0.4, 0.15))) + 1):
                stress = float(rng.uniform(0.75, 1.3))
                for part in (language.onsets, language.nuclei, language.codas):
                    for symbol in sounds_of(part[int(rng.integers(len(part)))]):
                        say(symbol, SOUNDS[symbol].seconds * stress * float(rng.uniform(0.85, 1.2)) / who.rate)
        say(PAUSE, float(rng.uniform(0.18, 0.7)))
    made.append(Phoneme(PAUSE, now, seconds))
    return tuple(made)
