"""Sounds of two languages: how each is made, and what lips do for it.

Formants are those of a vocal tract of an adult's middle length; a voice scales them. The mouth's four numbers are
those of `procedural.motion.State`. Both tables are ours, made by ear and eye: what counts is that sounds which look
different sound different, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PAUSE = "_"  # the symbol of silence

Kind = Literal["vowel", "nasal", "liquid", "fricative", "stop", "pause"]
Lips = tuple[float, float, float, float]  # jaw, rounding, corners, teeth


@dataclass(frozen=True)
class Phoneme:
    """One sound of a sentence and when it is heard; pauses are phonemes too, of symbol `PAUSE`."""

    symbol: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Sound:
    """How one phoneme is made."""

    kind: Kind
    formants_hz: tuple[float, float, float]
    lips: Lips
    firm: float = 1.0  # how much its lips insist beside their neighbours': closed ones do, a tongue's sounds do not
    seconds: float = 0.08
    voice: float = 1.0  # loudness of the glottis
    noise: float = 0.0  # of the air at a narrow place
    noise_hz: tuple[float, float] = (4000.0, 2000.0)  # middle and width of that noise


def _vowel(f1: float, f2: float, f3: float, lips: Lips, seconds: float = 0.11) -> Sound:
    return Sound(kind="vowel", formants_hz=(f1, f2, f3), lips=lips, seconds=seconds)


def _nasal(f2: float, lips: Lips, firm: float) -> Sound:
    return Sound(kind="nasal", formants_hz=(270, f2, 2300), lips=lips, firm=firm, seconds=0.07, voice=0.45)


def _stop(f2: float, noise_hz: tuple[float, float], lips: Lips, firm: float, *, voiced: bool) -> Sound:
    return Sound(
        kind="stop", formants_hz=(300, f2, 2500), lips=lips, firm=firm, seconds=0.085, noise_hz=noise_hz,
        voice=0.16 if voiced else 0.0, noise=0.5 if voiced else 0.9,
    )  # fmt: skip


def _fricative(
    f2: float, noise_hz: tuple[float, float], noise: float, lips: Lips, firm: float, *, voiced: bool
) -> Sound:
    return Sound(
        kind="fricative", formants_hz=(320, f2, 2600), lips=lips, firm=firm, seconds=0.09, noise_hz=noise_hz,
        voice=0.35 if voiced else 0.0, noise=noise * (0.6 if voiced else 1.0),
    )  # fmt: skip


_SHUT: Lips = (0.0, 0.05, 0.0, 0.3)
_BITE: Lips = (0.12, 0.05, 0.1, 1.0)  # the lower lip under the upper teeth
_HISS: Lips = (0.14, 0.0, 0.35, 1.0)
_HUSH: Lips = (0.18, 0.65, -0.1, 0.8)
_TONGUE: Lips = (0.22, 0.05, 0.15, 0.7)
_BACK: Lips = (0.3, 0.1, 0.05, 0.4)

SOUNDS: Mapping[str, Sound] = {
    PAUSE: Sound(kind="pause", formants_hz=(500, 1500, 2500), lips=(0.0, 0.05, 0.0, 0.3), firm=0.7, voice=0.0),
    # vowels
    "i": _vowel(280, 2250, 2950, (0.22, 0.0, 0.75, 0.8)),
    "ɪ": _vowel(400, 1950, 2550, (0.3, 0.0, 0.5, 0.7), 0.08),
    "e": _vowel(430, 2150, 2650, (0.38, 0.0, 0.55, 0.7)),
    "ɛ": _vowel(560, 1800, 2500, (0.5, 0.0, 0.35, 0.65), 0.09),
    "æ": _vowel(690, 1700, 2450, (0.68, 0.0, 0.4, 0.7)),
    "a": _vowel(760, 1350, 2500, (0.9, 0.0, 0.1, 0.55), 0.13),
    "ɑ": _vowel(720, 1090, 2450, (0.85, 0.1, -0.05, 0.4), 0.13),
    "ʌ": _vowel(640, 1200, 2400, (0.55, 0.05, 0.05, 0.5), 0.08),
    "ə": _vowel(500, 1450, 2450, (0.3, 0.1, 0.05, 0.5), 0.05),
    "ɔ": _vowel(560, 850, 2400, (0.65, 0.65, -0.2, 0.2), 0.12),
    "o": _vowel(430, 800, 2350, (0.45, 0.85, -0.25, 0.1), 0.12),
    "ʊ": _vowel(430, 1050, 2250, (0.28, 0.7, -0.15, 0.15), 0.08),
    "u": _vowel(310, 850, 2250, (0.18, 1.0, -0.25, 0.05)),
    "y": _vowel(275, 1850, 2150, (0.17, 0.95, -0.15, 0.1)),
    "ø": _vowel(400, 1550, 2200, (0.36, 0.8, -0.15, 0.15)),
    # nasals and liquids
    "m": _nasal(1000, _SHUT, 4.0),
    "n": _nasal(1650, _TONGUE, 0.5),
    "ŋ": _nasal(2000, _BACK, 0.3),
    "l": Sound(kind="liquid", formants_hz=(350, 1200, 2700), lips=_TONGUE, firm=0.6, seconds=0.07, voice=0.7),
    "ɹ": Sound(kind="liquid", formants_hz=(340, 1150, 1600), lips=(0.2, 0.5, -0.1, 0.5), seconds=0.07, voice=0.7),
    "ʁ": Sound(
        kind="liquid", formants_hz=(480, 1150, 2400), lips=_BACK, firm=0.3, seconds=0.07, voice=0.5, noise=0.12,
        noise_hz=(1400, 1200),
    ),
    "j": Sound(kind="liquid", formants_hz=(270, 2250, 3000), lips=(0.18, 0.0, 0.6, 0.7), seconds=0.06, voice=0.8),
    "w": Sound(kind="liquid", formants_hz=(300, 700, 2200), lips=(0.12, 1.0, -0.25, 0.0), firm=2.5, seconds=0.07),
    # stops
    "p": _stop(900, (900, 1200), _SHUT, 4.0, voiced=False),
    "b": _stop(900, (800, 1000), _SHUT, 4.0, voiced=True),
    "t": _stop(1750, (4600, 2500), _TONGUE, 0.6, voiced=False),
    "d": _stop(1750, (4000, 2400), _TONGUE, 0.6, voiced=True),
    "k": _stop(2000, (2100, 1000), _BACK, 0.3, voiced=False),
    "g": _stop(2000, (1900, 1000), _BACK, 0.3, voiced=True),
    # fricatives
    "f": _fricative(1100, (5200, 5000), 0.28, _BITE, 3.0, voiced=False),
    "v": _fricative(1100, (5000, 5000), 0.28, _BITE, 3.0, voiced=True),
    "θ": _fricative(1400, (6000, 3500), 0.2, (0.22, 0.0, 0.15, 1.0), 1.0, voiced=False),
    "ð": _fricative(1400, (5600, 3500), 0.2, (0.22, 0.0, 0.15, 1.0), 1.0, voiced=True),
    "s": _fricative(1700, (6300, 1800), 0.75, _HISS, 1.6, voiced=False),
    "z": _fricative(1700, (6100, 1800), 0.75, _HISS, 1.6, voiced=True),
    "ʃ": _fricative(1850, (3300, 1400), 0.8, _HUSH, 1.8, voiced=False),
    "ʒ": _fricative(1850, (3200, 1400), 0.8, _HUSH, 1.8, voiced=True),
    "ç": _fricative(2100, (3900, 1500), 0.45, (0.22, 0.0, 0.4, 0.8), 0.6, voiced=False),
    "x": _fricative(1300, (1500, 1000), 0.4, _BACK, 0.3, voiced=False),
    "h": _fricative(1450, (1600, 2600), 0.28, (0.35, 0.1, 0.0, 0.4), 0.1, voiced=False),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Language:
    """Which sounds begin, carry and end a syllable. What occurs twice is twice as usual."""

    onsets: tuple[str, ...]  # symbols one after the other: "st" is two sounds
    nuclei: tuple[str, ...]
    codas: tuple[str, ...]


LANGUAGES: Mapping[str, Language] = {
    "en": Language(
        onsets=tuple("b d f g h j k l m n p ɹ s ʃ t v w z ð θ b m p w t s d n st sp pl bl fɹ tɹ kl gɹ sw".split()),
        nuclei=tuple("i ɪ ɛ æ ɑ ʌ ə ɔ ʊ u a eɪ aɪ ɔɪ oʊ aʊ i ə ɪ u oʊ eɪ".split()),
        codas=("", "", "", *"b d f g k l m n p s ʃ t v z θ ŋ n t s z m nd st ns mp lt ks".split()),
    ),
    "de": Language(
        onsets=tuple("b d f g h j k l m n p ʁ z ʃ t v b m f d g ʃt ʃp bl fl bʁ tʁ ts pf kʁ".split()),
        nuclei=tuple("i ɪ e ɛ a a ɔ o ʊ u y ø ə ə aɪ aʊ ɔɪ ɛ ɪ".split()),
        codas=("", "", "", *"f k l m n p s ʃ t ç x ŋ n t s ə nt st ls mt ft ts".split()),
    ),
}


def sounds_of(syllable_part: str) -> tuple[str, ...]:
    """The symbols of an onset, a nucleus or a coda: one character each."""
    return tuple(syllable_part)
