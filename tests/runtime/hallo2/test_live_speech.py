"""Tokens of speech that goes on: what each clip hears, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.hallo2.live_speech import LiveSpeech
from runtime.hallo2.speech import encoded, normalised, tokens_of, windows
from tests.fakes import FakeBackend
from tests.runtime.hallo2.fake_speech import speech_sessions

FRAME, CLIP = 640, 8
NOTHING = np.zeros(0, np.float32)


def noise(frames: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list((rng.standard_normal((frames, FRAME)) * 0.1).astype(np.float32))


class Speech:
    """`LiveSpeech`, whose tokens are arrays."""

    def __init__(self, **options) -> None:
        self._backend = FakeBackend()
        self._live = LiveSpeech(self._backend, speech_sessions(self._backend), clip=CLIP, **options)

    def tokens(self, frames: list[np.ndarray], ahead: np.ndarray) -> np.ndarray:
        return self._backend.download(self._live.tokens(frames, ahead))


def plainly(frames: list[np.ndarray], first: int, count: int) -> np.ndarray:
    """Tokens of some frames of a sound that is encoded whole."""
    backend = FakeBackend()
    sessions, wave = speech_sessions(backend), np.concatenate(frames)
    features = encoded(backend, sessions["speech_encoder"], normalised(wave), len(frames), what="")
    return backend.download(tokens_of(backend, sessions["audio_tokens"], windows(features, first=first, count=count)))


def test_a_clip_hears_its_context_and_two_frames_behind_it():
    frames = noise(3 * CLIP + 2)
    live = Speech(context_s=2 * CLIP / 25)
    for start in range(0, 3 * CLIP, CLIP):
        ahead = np.concatenate(frames[start + CLIP : start + CLIP + 2])
        made = live.tokens(frames[start : start + CLIP], ahead)
        first = max(start - CLIP, 0)
        expected = plainly(frames[first : start + CLIP + 2], start - first, CLIP)
        np.testing.assert_array_equal(made, expected)


def test_what_is_further_back_than_the_context_changes_nothing():
    frames, others = noise(3 * CLIP), noise(CLIP, seed=1)
    made = []
    for beginning in (frames[:CLIP], others):
        live = Speech(context_s=2 * CLIP / 25)
        live.tokens(beginning, NOTHING)
        live.tokens(frames[CLIP : 2 * CLIP], NOTHING)
        made.append(live.tokens(frames[2 * CLIP :], NOTHING))
    np.testing.assert_array_equal(*made)


def test_silence_fills_a_last_clip_and_its_end_stands_in_for_what_would_be_behind_it():
    frames = noise(CLIP + 3)
    live = Speech()
    live.tokens(frames[:CLIP], np.concatenate(frames[CLIP : CLIP + 2]))
    made = live.tokens(frames[CLIP:], NOTHING)
    silence = [np.zeros(FRAME, np.float32)] * (CLIP - 3)
    np.testing.assert_array_equal(made, plainly([*frames, *silence], CLIP, CLIP))


def test_a_context_that_holds_no_clip_or_more_than_the_encoder_takes_is_refused():
    for wrong in (0.1, 60):
        with pytest.raises(ValueError, match=r"the context needs 0\.32 to 59 s"):
            Speech(context_s=wrong)
