"""The chain on a device where everything happens later: the same bits, nothing unordered, nothing that grows."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from engines.cuda_order import Stream
from engines.families import TENSORRT
from engines.trt_backend import TrtBackend
from runtime.hallo2.clips import chain
from runtime.hallo2.conditions import encode_conditions
from runtime.hallo2.sampling import Sampling
from tests.engines.fake_cuda import FakeDriver, Race
from tests.engines.fake_trt import FakePlan, fake_trt
from tests.fakes import FakeBackend
from tests.runtime.hallo2 import fake_networks as fake

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
FRAMES, M = 5, 2
SAMPLING = Sampling(steps=3, decode_chunk=2)


@contextmanager
def device(folder, *, captured=True, **options):
    """A TrtBackend over fakes, with the graphs of a FakeBackend as its plans, captured where they promise it."""
    driver = FakeDriver()
    trt = fake_trt(driver)
    backend = TrtBackend(TENSORRT, trt, driver, device="fake GPU", **options)
    sessions = {}
    for i, (role, session) in enumerate(fake.fake_sessions(FakeBackend(), frames=FRAMES, motion_frames=M).items()):
        arena = {"arena_bytes": 4096 * (i + 1), "weight_bytes": 2048}
        path = trt.write_plan(
            folder / f"{role}.plan", FakePlan(spec=session.spec, formula=partial(_run, session), **arena)
        )
        sessions[role] = backend.load(replace(session.spec, repeated=captured and session.spec.repeated), path)
    with backend:
        yield backend, sessions, driver
    gc.collect()
    driver.require_clean()


def _run(session, **inputs):
    return session.formula(**inputs)


def begin(backend, sessions, clips):
    conditions = encode_conditions(backend, sessions, **fake.fake_portrait(), scaling_factor=SAMPLING.scaling_factor)
    sound = (backend.upload(tokens) for tokens in fake.fake_speech(clips, FRAMES))
    return chain(backend, sessions, conditions=conditions, audio_tokens=sound, sampling=SAMPLING)


def frames_of(made):
    return [np.stack([frame.copy() for frame in clip.frames]) for clip in made]


@pytest.mark.parametrize("options", [{}, {"overlap_decode": True}, {"captured": False}, {"trace": True}])
def test_a_chain_has_the_bits_of_the_plain_backend(tmp_path, options):
    plain = FakeBackend()
    expected = frames_of(begin(plain, fake.fake_sessions(plain, frames=FRAMES, motion_frames=M), 4))
    with device(tmp_path, **options) as (backend, sessions, _):
        for ours, other in zip(frames_of(begin(backend, sessions, 4)), expected, strict=True):
            np.testing.assert_array_equal(ours, other)


def test_the_memory_of_the_device_does_not_grow_with_the_number_of_clips(tmp_path):
    with device(tmp_path) as (backend, sessions, driver):
        gc.disable()  # memory that waits for somebody to look for garbage would be memory that grows
        try:
            held = []
            for clip in begin(backend, sessions, 30):
                for _ in clip.frames:
                    pass
                held.append((backend.pool.held_bytes, driver.peak_bytes, driver.pinned_bytes))
        finally:
            gc.enable()
        assert set(held[4:]) == {held[3]}


def test_without_order_between_streams_the_chain_is_a_race(tmp_path, monkeypatch):
    """What the bits prove hangs on the waits between streams: take them away, and the device objects."""
    with device(tmp_path) as (backend, sessions, _):
        monkeypatch.setattr(Stream, "after", lambda self, mark: None)
        with pytest.raises(Race):
            frames_of(begin(backend, sessions, 2))
        backend.synchronize()


def test_an_abandoned_chain_leaves_nothing_behind(tmp_path):
    with device(tmp_path) as (backend, sessions, _):
        made = begin(backend, sessions, 3)
        first = next(made)
        next(first.frames)
        next(first.frames)  # the next clip is under way
        del made, first
        frames_of(begin(backend, sessions, 2))
