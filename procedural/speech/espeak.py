"""Speech by espeak-ng, with the times of its phonemes: real words of two languages, in many voices.

It is for training and for samples alone, and optional: the library comes with the package espeakng-loader, which is
imported when somebody is to speak, and not before. espeak-ng is under the GPL, version 3 or later; nothing of it is in
this repository, and nothing that animates needs it.

Each text is spoken by a process of its own, which is why any number of threads may ask at once, and why the same
request gives the same samples (`espeak_process.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from procedural.speech.espeak_phonemes import sounds
from procedural.speech.phonemes import PAUSE, SOUNDS, Phoneme
from procedural.speech.sentences import HZ, Speech
from procedural.speech.words import WORDS

PACKAGE = "espeakng_loader"  # the module that carries the library
MOST_LETTERS = 10_000  # of a text: a quarter of an hour
ACCENTS: Mapping[str, tuple[str, ...]] = {
    "en": ("en-us", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-029"),
    "de": ("de",),
}
# Of them that are heard as different people; whispers and robots are left out.
VARIANTS = tuple(
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt3 klatt4 klatt6 steph linda adam rob".split()
)
_PROCESS = Path(__file__).with_name("espeak_process.py")
_MOST_S = 3600.0  # of speech; MOST_LETTERS take less
_TIMEOUT_S = 300  # a quarter of an hour of speech takes a second
_LEAST_S = 0.025  # of a phoneme, but for those that share the time of one
_LEAD_S = (0.1, 0.45)  # silence before the first word
_TAIL_S = 0.2  # and behind the last
_FADE_S = 0.01
_WORDS_A_SECOND = 6  # more than the fastest voice says


class EspeakFailed(RuntimeError):
    """The library is damaged, or another one than is needed. The message says what to do."""


@dataclass(frozen=True, kw_only=True)
class EspeakVoice:
    """Who speaks, in the library's own units. Raises ValueError for what it does not have."""

    accent: str
    variant: str
    rate: int = 175  # words a minute, 80 to 450
    pitch: int = 50  # 0 to 99
    melody: int = 50  # how far the pitch moves, 0 to 99
    loud: float = 0.6  # the loudest sample, up to 1

    def __post_init__(self) -> None:
        accents = [accent for of in ACCENTS.values() for accent in of]
        for what, name, names in (("accent", self.accent, accents), ("variant", self.variant, VARIANTS)):
            if name not in names:
                raise ValueError(f"espeak has no {what} {name!r} here; there are {', '.join(names)}")
        if not (80 <= self.rate <= 450 and 0 <= self.pitch <= 99 and 0 <= self.melody <= 99 and 0 < self.loud <= 1):
            raise ValueError(f"need rate 80..450, pitch and melody 0..99 and loud up to 1, got {self}")

    @classmethod
    def random(cls, seed: int, language: str = "en") -> EspeakVoice:
        """The voice of a seed. Raises ValueError for a language that is none of ACCENTS."""
        rng = np.random.default_rng([seed, 504])
        accents = ACCENTS[_checked_language(language)]
        return cls(
            accent=accents[int(rng.integers(len(accents)))],
            variant=VARIANTS[int(rng.integers(len(VARIANTS)))],
            rate=int(rng.integers(130, 221)),
            pitch=int(rng.integers(20, 81)),
            melody=int(rng.integers(25, 86)),
            loud=float(rng.uniform(0.25, 0.9)),
        )


def sentence(seed: int, seconds: float, *, voice: int | None = None, language: str = "en") -> Speech:
    """As `procedural.speech.sentence`: `seconds` of random words, in the voice of `voice`, or of `seed`.

    Raises ValueError for a length that is not positive and for a language without a voice, ModuleNotFoundError where
    the package is not installed, and EspeakFailed for a damaged one.
    """
    if not (np.isfinite(seconds) and seconds > 0):
        raise ValueError(f"need a positive number of seconds, got {seconds}")
    who = EspeakVoice.random(seed if voice is None else voice, language)
    lead, tail = min(_lead(seed), 0.2 * seconds), min(_TAIL_S, 0.1 * seconds)
    speech_s = seconds - lead - tail
    samples, phonemes = _said(_words(seed, seconds, language), who, seed, language, most_s=speech_s)
    if not phonemes:
        raise _failed("it says nothing")
    return _placed(samples, phonemes, loud=who.loud, lead_s=lead, speech_s=speech_s, seconds=seconds)


def spoken(text: str, *, seed: int = 0, language: str = "en", voice: EspeakVoice | None = None) -> Speech:
    """`text` in `voice`, or in that of `seed`; as long as it takes.

    Raises ValueError for a text in which nothing can be said or of more than MOST_LETTERS, and what `sentence` raises.
    """
    who = voice or EspeakVoice.random(seed, language)
    if who.accent not in ACCENTS[_checked_language(language)]:
        raise ValueError(f"{who.accent} is no accent of {language}; its are {', '.join(ACCENTS[language])}")
    samples, phonemes = _said(_checked_text(text), who, seed, language, most_s=_MOST_S)
    if not any(phoneme.symbol != PAUSE for phoneme in phonemes):
        raise ValueError(f"espeak finds nothing to say in {text[:40]!r}; give words")
    lead, speech_s = _lead(seed), len(samples) / HZ
    seconds = lead + speech_s + _TAIL_S
    return _placed(samples, phonemes, loud=who.loud, lead_s=lead, speech_s=speech_s, seconds=seconds)


def require() -> None:
    """Raises ModuleNotFoundError where the package is not installed, and EspeakFailed for a damaged one."""
    _library()


def _checked_language(language: str) -> str:
    if language not in ACCENTS:
        raise ValueError(f"espeak has no voice for the language {language!r} here; there are {', '.join(ACCENTS)}")
    return language


def _checked_text(text: str) -> str:
    if len(text) > MOST_LETTERS:
        raise ValueError(f"the text has {len(text)} letters, at most {MOST_LETTERS} are spoken; give it in parts")
    if not any(letter.isalnum() for letter in text):
        raise ValueError("there is nothing to say in the text; give words")
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _words(seed: int, seconds: float, language: str) -> str:
    """More of them than are said in so many seconds, in phrases."""
    rng = np.random.default_rng([seed, 505])
    words, text = WORDS[language], ""
    left = 10 + round(_WORDS_A_SECOND * seconds)
    while left > 0:
        count = int(rng.integers(2, 8))
        text += " ".join(words[i] for i in rng.integers(len(words), size=count)) + str(rng.choice([", ", ". ", "? "]))
        left -= count
    return text


def _lead(seed: int) -> float:
    return float(np.random.default_rng([seed, 506]).uniform(*_LEAD_S))


def _said(
    text: str, who: EspeakVoice, seed: int, language: str, *, most_s: float
) -> tuple[np.ndarray, Sequence[Phoneme]]:
    """(n,) float32 at HZ, and the phonemes from its first sample to its last; it ends soon behind `most_s`."""
    library, data = _library()
    hz, names, heard = _answer(
        {
            "library": library,
            "data": data,
            "voice": f"{who.accent}+{who.variant}",
            "rate": who.rate,
            "pitch": who.pitch,
            "range": who.melody,
            "seed": seed % (2**31 - 1) + 1,
            "text": text,
            "most_s": most_s,
        }
    )
    samples = _resampled(heard, hz)
    return samples, list(_mapped(names, language, hz, len(samples) / HZ))


def _mapped(names: Sequence[tuple[str, int]], language: str, hz: int, end_s: float) -> Iterator[Phoneme]:
    """From the first name on without gaps. A name that takes no time is left out."""
    starts = [min(start / hz, end_s) for _, start in names]
    ends = [*starts[1:], end_s][: len(starts)]
    for (name, _), start, end in zip(names, starts, ends, strict=True):
        symbols = sounds(name, language)
        parts = np.cumsum([0.0, *(SOUNDS[symbol].seconds for symbol in symbols)])
        places = [float(place) for place in start + (end - start) * parts / parts[-1]]
        if end > start:
            yield from map(Phoneme, symbols, places, [*places[1:-1], end])


def _placed(
    samples: np.ndarray,
    phonemes: Sequence[Phoneme],
    *,
    loud: float,
    lead_s: float,
    speech_s: float,
    seconds: float,
) -> Speech:
    """Silence, `speech_s` of what was said, and silence up to `seconds`; `loud` at its loudest."""
    lead, total = round(lead_s * HZ), max(1, round(seconds * HZ))
    kept = samples[: max(0, round(speech_s * HZ))].copy()
    fade = min(len(kept), round(_FADE_S * HZ))
    kept[len(kept) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    whole = np.zeros(total, np.float32)
    peak = float(np.abs(kept).max(initial=0.0))
    whole[lead : lead + len(kept)] = kept[: total - lead] * np.float32(loud / peak if peak > 0 else 0.0)
    made = [Phoneme(PAUSE, 0.0, lead_s)]
    for phoneme in phonemes:
        start, end = made[-1].end_s, min(lead_s + phoneme.end_s, lead_s + speech_s)
        if made[-1].symbol == phoneme.symbol == PAUSE:
            made[-1] = Phoneme(PAUSE, made[-1].start_s, max(start, end))
        elif end - start > 0:
            made.append(Phoneme(phoneme.symbol, start, end))
    last = made.pop()
    if last.symbol == PAUSE or last.end_s - last.start_s < _LEAST_S:  # the silence begins there
        return Speech(whole, (*made, Phoneme(PAUSE, last.start_s, seconds)))
    return Speech(whole, (*made, last, Phoneme(PAUSE, last.end_s, seconds)))


def _library() -> tuple[str, str]:
    """The paths of the library and its data."""
    try:
        import espeakng_loader

        library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
        missing = next((path for path in (library, data) if not Path(path).exists()), None)
    except ModuleNotFoundError as error:
        if error.name == PACKAGE:
            raise
        raise _failed(str(error)) from error
    except Exception as error:  # whatever a damaged package raises
        raise _failed(str(error) or type(error).__name__) from error
    if missing is not None:
        raise _failed(f"{missing} is missing")
    return library, data


def _answer(request: Mapping[str, str | float]) -> tuple[int, list[tuple[str, int]], np.ndarray]:
    """Samples a second, names with their first samples, and (n,) float32 in -1 .. 1 of the process that speaks."""
    try:
        ended = subprocess.run(
            [sys.executable, "-I", "-S", str(_PROCESS)],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(f"it has not ended after {_TIMEOUT_S} s") from error
    head, _, body = ended.stdout.partition(b"\n")
    if ended.returncode or not head:
        raise _failed(f"its process ended with code {ended.returncode}")
    answer = json.loads(head)
    if "error" in answer:
        raise _failed(answer["error"])
    heard = np.frombuffer(body, "<i2").astype(np.float32) / 32768
    return answer["hz"], [(name, start) for name, start in answer["phonemes"]], heard


def _failed(found: str) -> EspeakFailed:
    return EspeakFailed(f"the espeak-ng library cannot be used ({found}); install espeakng-loader again")


def _resampled(samples: np.ndarray, hz: int) -> np.ndarray:
    """(ceil(n HZ / hz),) float32, by FFmpeg's resampler: every sample stays where it was."""
    if hz == HZ or not len(samples):
        return samples
    import av
    from av.audio.resampler import AudioResampler

    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = hz, 0, Fraction(1, hz)
    resampler = AudioResampler(format="fltp", layout="mono", rate=HZ)
    parts = [part.to_ndarray()[0] for fed in (frame, None) for part in resampler.resample(fed)]
    count = -(-len(samples) * HZ // hz)
    made = np.concatenate(parts)[:count]
    return np.pad(made, (0, count - len(made)))
