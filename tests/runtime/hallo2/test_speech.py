"""The way from sound to tokens, against the same way in one go over the whole sound."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from engines.errors import NonFiniteError
from runtime.hallo2.audio_plan import AudioPlan, planned
from runtime.hallo2.speech import audio_tokens, normalised, positions, windows
from runtime.stages import Stages
from tests.fakes import FakeBackend
from tests.golden_cases import HALLO2_FOLDER, check, golden_cases, load_case
from tests.runtime.hallo2.fake_speech import HIDDEN, LAYERS, positions_heard, project, speech_sessions

PIECE = 960_000
SAME = 1e-6  # float32 of the same few operations in float64


def sound(samples: int) -> np.ndarray:
    """Noise whose level changes all the time, so that no two frames are alike."""
    rng = np.random.default_rng(samples)
    return (rng.standard_normal(samples) * (1 + np.sin(np.arange(samples) / 3000)) * 0.1).astype(np.float32)


def cut(wave: np.ndarray) -> list[np.ndarray]:
    return [wave[start : start + PIECE] for start in range(0, len(wave), PIECE)]


def whole_track(wave: np.ndarray, clip: int, **options) -> np.ndarray:
    """Tokens (T, k, Da) of the whole sound, from the words of SPEC 5 and 7 and numpy's own interpolation."""
    track = []
    for part, piece in planned(AudioPlan(clip=clip, **options), cut(wave)):
        part = np.pad(part, (0, max(piece.samples - len(part), 0)))[: piece.samples].astype(np.float64)
        ready = (part - part.mean()) / np.sqrt(part.var() + 1e-7)
        ready = np.pad(ready, (0, piece.encoded_samples - len(ready))).astype(np.float32)
        heard = positions_heard(ready).reshape(-1, LAYERS * HIDDEN)
        reads = np.linspace(0, len(heard) - 1, piece.encoded_frames)
        columns = [np.interp(reads, np.arange(len(heard)), column) for column in heard.T]
        track.append(np.stack(columns, axis=1).reshape(-1, LAYERS, HIDDEN))
    features = np.concatenate(track)
    padded = np.concatenate([features[:1]] * 2 + [features] + [features[-1:]] * 2)
    return project(np.stack([padded[i : i + 5] for i in range(len(features))]))


@golden_cases(kind="preprocess", targets=["audio_windows"], folder=HALLO2_FOLDER)
def test_windows_are_the_released_programs(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    check(case, {"windows": windows(case.inputs["features"], radius=case.options["radius"])}, 0)


@golden_cases(kind="network", targets=["speech_encoder"], folder=HALLO2_FOLDER)
def test_the_normalised_wave_is_the_released_programs(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    wave, options = case.inputs["wave"], case.options
    zeros = options["padding_frames"] * options["sample_rate"] // options["fps"]
    check(case, {"normalised": normalised(wave, len(wave) + zeros)}, 1e-5, only=["normalised"])


def test_silence_stays_silence_and_a_wave_has_mean_0_and_variance_1():
    assert not normalised(np.full(500, 0.25)).any()
    ready = normalised(sound(5000) + 3, 6000)
    assert ready.dtype == np.float32
    assert abs(ready[:5000].mean()) < 1e-6
    assert abs(ready[:5000].std() - 1) < 1e-4  # a variance of 0.01 next to the floor of 1e-7
    assert not ready[5000:].any()


@pytest.mark.parametrize(("frames", "outputs"), [(1, 1), (1, 7), (2, 1), (3, 7), (16, 29), (1500, 2999), (1504, 3007)])
def test_positions_keep_both_ends_and_are_evenly_spaced(frames, outputs):
    left, fraction = positions(frames, outputs)
    assert left.dtype == np.int64
    assert fraction.dtype == np.float32
    assert left.min() >= 0 and left.max() < outputs
    assert fraction.min() >= 0 and fraction.max() < 1
    expected = np.linspace(0, outputs - 1, frames)
    np.testing.assert_allclose(left + fraction.astype(np.float64), expected, atol=1e-6)


def test_windows_of_a_part_are_those_of_the_whole():
    features = np.random.default_rng(0).standard_normal((30, 2, 3))
    whole = windows(features)
    for first, count in [(0, 4), (10, 8), (26, 4)]:
        start = max(first - 2, 0)
        part = windows(features[start : first + count + 2], first=first, count=count, start=start, total=30)
        np.testing.assert_array_equal(part, whole[first : first + count])


@pytest.mark.parametrize(
    ("samples", "clip"), [(9, 1), (9, 16), (10_240, 16), (30_001, 16), (30_001, 7), (PIECE + 1, 16), (2_000_000, 16)]
)
@pytest.mark.parametrize("released", [False, True])
def test_clips_are_those_of_the_whole_track(samples, clip, released):
    backend, wave = FakeBackend(), sound(samples)
    made = audio_tokens(backend, speech_sessions(backend), iter(cut(wave)), clip=clip, released=released)
    assert made.frames is None
    tokens = [backend.download(buffer) for buffer in made]
    assert all(part.shape[0] == clip for part in tokens)
    expected = whole_track(wave, clip, released=released)
    assert len(tokens) == made.clips
    np.testing.assert_allclose(np.concatenate(tokens), expected[: made.clips * clip], atol=SAME)
    assert sum(made.saved(number) for number in range(made.clips)) == made.frames


def test_a_clip_on_the_border_of_two_pieces_hears_both():
    backend, wave = FakeBackend(), sound(PIECE + 64_000)
    made = audio_tokens(backend, speech_sessions(backend), cut(wave), clip=16)
    tokens = np.concatenate([backend.download(buffer) for buffer in made])
    louder = wave.copy()
    louder[PIECE : PIECE + 600] = 1  # the second piece's first frame: 1500
    again = audio_tokens(backend, speech_sessions(backend), cut(louder), clip=16)
    changed = np.abs(np.concatenate([backend.download(buffer) for buffer in again]) - tokens).max((1, 2)) > SAME
    assert np.flatnonzero(changed)[0] == 1498


@pytest.mark.parametrize("first_clip", [0, 1, 93, 94, 125, 126, 500])
def test_a_resumed_sound_gives_the_same_clips_and_encodes_no_piece_that_none_of_them_hears(first_clip):
    backend, wave = FakeBackend(), sound(2 * PIECE + 100_000)
    made = [backend.download(b) for b in audio_tokens(backend, speech_sessions(backend), cut(wave), clip=16)]
    sessions = speech_sessions(backend)
    resumed = audio_tokens(backend, sessions, cut(wave), clip=16, first_clip=first_clip)
    rest = [backend.download(buffer) for buffer in resumed]
    assert len(rest) == max(len(made) - first_clip, 0)
    for again, before in zip(rest, made[first_clip:], strict=True):
        np.testing.assert_array_equal(again, before)
    assert resumed.frames == 3157
    # 1500 and 3000 are where pieces begin. Clip 94 is frames 1504 on, and hears no further back than 1502.
    skipped = min((first_clip * 16 - 2) // 1500, 2) if first_clip else 0
    if first_clip < len(made):
        assert len(sessions["speech_encoder"].runs) == 3 - skipped


def test_a_clip_longer_than_the_graph_takes_goes_in_parts():
    backend, wave = FakeBackend(), sound(200_000)
    sessions = speech_sessions(backend, token_dtype="float16", most=5)
    made = [backend.download(buffer) for buffer in audio_tokens(backend, sessions, cut(wave), clip=16)]
    assert {run["windows"][0] for run in sessions["audio_tokens"].runs} == {5, 1}
    assert made[0].dtype == np.float16
    # half precision keeps 11 bits
    np.testing.assert_allclose(np.concatenate(made), whole_track(wave, 16), atol=2e-3)


def test_memory_is_that_of_two_pieces_whatever_the_length():
    def peak(pieces: int) -> int:
        def endless():
            for _ in range(pieces):
                yield np.zeros(PIECE, np.float32)

        backend = FakeBackend()
        tracemalloc.start()
        for _ in audio_tokens(backend, speech_sessions(backend), endless(), clip=16):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(12) < 1.1 * peak(4)


def test_no_sound_is_no_clip():
    backend = FakeBackend()
    made = audio_tokens(backend, speech_sessions(backend), [], clip=16)
    assert list(made) == []
    assert (made.frames, made.clips, made.saved(0)) == (0, 0, 0)


def test_pieces_are_counted_in_frames_for_whoever_listens():
    backend, stages = FakeBackend(), Stages()
    for _ in audio_tokens(backend, speech_sessions(backend), cut(sound(PIECE + 640)), clip=16, stages=stages):
        pass
    assert sum(1 for _ in stages.spans) == 2 + 94
    assert stages.spans[-1].done == 1504


def test_what_is_no_number_is_said_with_its_frames():
    backend, wave = FakeBackend(), sound(30_000)
    wave[5] = np.nan
    with pytest.raises(NonFiniteError, match="speech encoder: features of frames 0 to 47"):
        next(audio_tokens(backend, speech_sessions(backend), [wave], clip=16))
