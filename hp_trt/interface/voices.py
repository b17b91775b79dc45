"""Who speaks for drawn people: our own synthesiser, or espeak-ng where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from engines.errors import EngineMismatch, InputError
from hp_trt.config import one_of
from hp_trt.interface.missing import missing_library

if TYPE_CHECKING:
    from procedural.speech import Speech

Voice = Literal["own", "espeak"]
VOICES: tuple[Voice, ...] = ("own", "espeak")
LANGUAGES = ("en", "de")  # procedural's, named without its import: a foreign module may stand in its place


def speech(voice: Voice, seed: int, seconds: float, *, language: str = "en") -> Speech:
    """`seconds` of what the seed says, in the voice of the seed.

    Raises InputError for another voice or language, and where espeak is not installed, EngineMismatch where it cannot
    be used.
    """
    from procedural.speech import sentence

    one_of("voice", voice, VOICES)
    one_of("language", language, LANGUAGES)
    if voice == "own":
        return sentence(seed, seconds, language=language)
    from procedural.speech import espeak

    with _refusing():
        return espeak.sentence(seed, seconds, language=language)


def speech_of(text: str, seed: int, *, language: str = "en") -> Speech:
    """`text`, spoken by espeak in the voice of the seed. Raises what `speech` does, and InputError for the text."""
    from procedural.speech import espeak

    one_of("language", language, tuple(espeak.ACCENTS))
    with _refusing():
        return espeak.spoken(text, seed=seed, language=language)


def require_espeak() -> None:
    """Raises what `speech` raises where espeak cannot be used, before any work."""
    from procedural.speech import espeak

    with _refusing():
        espeak.require()


@contextmanager
def _refusing() -> Iterator[None]:
    from procedural.speech.espeak import EspeakFailed

    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_library(error) or error from error
    except EspeakFailed as error:
        raise EngineMismatch(str(error)) from error
    except ValueError as error:
        raise InputError(str(error)) from error
