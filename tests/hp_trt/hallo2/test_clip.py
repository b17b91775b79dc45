"""A clip of speech on a real bundle of random weights: its frames, and where it may be left and gone on with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from engines.errors import Cancelled, InputError
from hp_trt.api import Runtime
from hp_trt.config import RuntimeConfig
from hp_trt.hallo2.clip import chain_state, loop_state
from hp_trt.media.portrait import Portrait
from hp_trt.model import Clip, Speech
from hp_trt.resume.loop_state import LoopState
from hp_trt.sample import landmarks_beside
from runtime.hallo2.clips import ChainState
from runtime.stages import Stages

FRAMES = 3  # of the bundle's clips
SAMPLES = 8 * 640 - 100  # begin 8 frames, so that the third clip has a frame of nobody
SOUND = np.random.default_rng(0).uniform(-0.3, 0.3, SAMPLES).astype(np.float32), 16_000


@pytest.fixture(scope="module")
def runtime(talk_bundle) -> Iterator[Runtime]:
    with Runtime(talk_bundle, RuntimeConfig(threads=1)) as opened:
        yield opened


@pytest.fixture(scope="module")
def who(runtime, sample) -> Portrait:
    return runtime.portrait(sample[0], landmarks=landmarks_beside(sample[0]))


@pytest.fixture(scope="module")
def clip_of(runtime, who):
    def clip_of(**speech) -> Clip:
        profile = replace(runtime.profile, sampling={"steps": 1})
        return runtime.model.clip(who, Speech(source=SOUND, **speech), profile, Stages())

    return clip_of


@pytest.fixture(scope="module")
def whole(clip_of) -> list[tuple[int, Fraction, np.ndarray, LoopState | None]]:
    clip = clip_of()
    return [(*frame, clip.state()) for frame in clip.frames]


def test_frames_come_25_a_second_from_the_sounds_beginning_and_none_is_of_nobody(whole):
    assert [(index, time_s) for index, time_s, _, _ in whole] == [(i, Fraction(i, 25)) for i in range(8)]
    assert {(crop.shape, crop.dtype.name) for _, _, crop, _ in whole} == {((32, 32, 3), "uint8")}


def test_there_is_a_state_behind_the_last_frame_of_each_clip_alone(whole):
    states = [state for *_, state in whole]
    assert [index for index, state in enumerate(states) if state] == [2, 5, 7]
    assert [state.numbers["clip"] for state in states if state] == [1, 2, 3]
    assert all(state.arrays["motion"].shape == (1, 3, 32, 32) for state in states if state)


@pytest.mark.parametrize("clips", [1, 2])
def test_a_video_that_was_left_goes_on_with_the_very_same_frames(clip_of, whole, clips):
    clip = clip_of(state=whole[clips * FRAMES - 1][-1])
    rest = list(clip.frames)
    assert [index for index, *_ in rest] == list(range(clips * FRAMES, 8))
    for (_, time_s, crop), (_, expected_s, expected, _) in zip(rest, whole[clips * FRAMES :], strict=True):
        assert time_s == expected_s
        np.testing.assert_array_equal(crop, expected)


def test_nothing_is_left_to_make_behind_the_last_clip(clip_of, whole):
    assert list(clip_of(state=whole[-1][-1]).frames) == []


def test_a_state_goes_through_the_store_and_another_models_is_refused():
    state = ChainState(clip=4, motion=np.zeros((1, 3, 8, 8), np.float32), words=77)
    again = chain_state(loop_state(state))
    assert (again.clip, again.words) == (4, 77) and again.motion is state.motion and again.latents is None
    joined = replace(state, latents=np.ones((2, 4, 1, 1), np.float32))
    assert chain_state(loop_state(joined)).latents is joined.latents
    for wrong in (LoopState(), LoopState(arrays={"latents": state.motion}, numbers={"clip": 1, "words": 2})):
        with pytest.raises(InputError, match="this model goes on from motion, clip, words; begin anew with --restart"):
            chain_state(wrong)


def test_a_state_of_other_pictures_is_refused(clip_of):
    state = LoopState(arrays={"motion": np.zeros((2, 3, 32, 32), np.float32)}, numbers={"clip": 1, "words": 0})
    with pytest.raises(InputError, match=r"has motion frames \(2, 3, 32, 32\), this portrait and bundle need \(1, 3,"):
        clip_of(state=state)


@pytest.mark.parametrize("stage", ["denoise", "decode"])
def test_a_video_is_called_off_between_two_pieces_of_work(runtime, who, stage):
    stop = threading.Event()

    def listen(event):
        if event.stage == stage and event.kind == "unit":
            stop.set()

    frames = runtime.talk(who, SOUND, steps=2, stages=Stages(listen, cancel=stop))
    with pytest.raises(Cancelled, match="was cancelled by who asked for it"):
        list(frames)
    assert len(list(runtime.talk(who, SOUND, steps=1))) == 8
