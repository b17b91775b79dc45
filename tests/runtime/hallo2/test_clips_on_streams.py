"""The chain on a device where everything happens later: the same bits, nothing unordered, nothing that grows."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from engines.cuda_order import Stream
from engines.families import RTX, TENSORRT
from engines.trt_backend import TrtBackend
from runtime.hallo2.clips import chain
from runtime.hallo2.conditions import encode_conditions
from runtime.hallo2.sampling import Sampling
from runtime.hallo2.speech import audio_tokens
from tests.engines.fake_cuda import FakeDriver, Race
from tests.engines.fake_trt import FakePlan, fake_trt
from tests.fakes import FakeBackend, spec
from tests.runtime.hallo2 import fake_networks as fake
from tests.runtime.hallo2.fake_speech import project, speech_sessions

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
FRAMES, M = 5, 2
PIECE = 960_000  # samples that are heard at a time
SAMPLING = Sampling(steps=3, decode_chunk=2)


@contextmanager
def device(folder, *, captured=True, rtx=False, token_dtype="float32", **options):
    """A TrtBackend over fakes, with the graphs of a FakeBackend as its plans, captured where they promise it."""
    driver = FakeDriver()
    trt = fake_trt(driver, rtx=rtx)
    backend = TrtBackend(RTX if rtx else TENSORRT, trt, driver, device="fake GPU", **options)
    sessions = {}
    for i, (role, session) in enumerate(graphs(FakeBackend(), token_dtype).items()):
        arena = {"arena_bytes": 4096 * (i + 1), "weight_bytes": 2048}
        path = trt.write_plan(
            folder / f"{role}.plan", FakePlan(spec=session.spec, formula=partial(_run, session), **arena)
        )
        sessions[role] = backend.load(replace(session.spec, repeated=captured and session.spec.repeated), path)
    with backend:
        yield backend, sessions, driver
    gc.collect()
    driver.require_clean()


def graphs(backend, token_dtype="float32"):
    """Those of the chain and of the speech before it, whose tokens here are as many as the chain's."""
    speech = speech_sessions(backend, token_dtype=token_dtype)
    windows = {t.name: t.dims for t in speech["audio_tokens"].spec.inputs}
    tokens = {"tokens": ("frames", fake.AUDIO_TOKENS, fake.AUDIO_FEATURES)}

    def project_more(windows):
        made = np.concatenate([project(windows), project(windows[:, ::-1])[:, :1]], axis=1)
        return {"tokens": made.astype(token_dtype)}

    promise = spec("audio_tokens", windows, tokens, dtypes={"tokens": token_dtype}, most=64, unit="frames")
    speech["audio_tokens"] = backend.session(promise, project_more)
    return speech | fake.fake_sessions(backend, frames=FRAMES, motion_frames=M, token_dtype=token_dtype)


def _run(session, **inputs):
    return session.formula(**inputs)


def begin(backend, sessions, clips):
    return begin_with(backend, sessions, (backend.upload(tokens) for tokens in fake.fake_speech(clips, FRAMES)))


def begin_with(backend, sessions, tokens):
    conditions = encode_conditions(backend, sessions, **fake.fake_portrait(), scaling_factor=SAMPLING.scaling_factor)
    return chain(backend, sessions, conditions=conditions, audio_tokens=tokens, sampling=SAMPLING)


def spoken(backend, sessions, samples):
    """From the samples on, a piece of a minute and what is behind it."""
    pieces = (samples[start : start + PIECE] for start in range(0, len(samples), PIECE))
    return begin_with(backend, sessions, audio_tokens(backend, sessions, pieces, clip=FRAMES))


def frames_of(made):
    return [np.stack([frame.copy() for frame in clip.frames]) for clip in made]


@pytest.mark.parametrize("options", [{}, {"overlap_decode": True}, {"captured": False}, {"trace": True}])
def test_a_chain_has_the_bits_of_the_plain_backend(tmp_path, options):
    plain = FakeBackend()
    expected = frames_of(begin(plain, graphs(plain), 4))
    with device(tmp_path, **options) as (backend, sessions, _):
        for ours, other in zip(frames_of(begin(backend, sessions, 4)), expected, strict=True):
            np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize("rtx", [False, True])
def test_a_sound_in_half_precision_has_the_bits_of_the_plain_backend_on_either_family(tmp_path, rtx):
    """The speech encoder's plan has two free sizes, and positions that are whole numbers."""
    samples = np.random.default_rng(0).standard_normal(13 * 640, np.float32)  # three clips, the last one filled up
    plain = FakeBackend()
    expected = frames_of(spoken(plain, graphs(plain, "float16"), samples))
    assert len(expected) == 3
    with device(tmp_path, rtx=rtx, token_dtype="float16") as (backend, sessions, _):
        for ours, other in zip(frames_of(spoken(backend, sessions, samples)), expected, strict=True):
            np.testing.assert_array_equal(ours, other)


def test_nothing_is_allocated_any_more_however_many_clips_there_are(tmp_path):
    with device(tmp_path) as (backend, sessions, driver):
        gc.disable()  # memory that waits for somebody to look for garbage would be memory that grows
        try:
            held = []
            for clip in begin(backend, sessions, 30):
                for _ in clip.frames:
                    pass
                calls = [driver.calls[kind] for kind in ("malloc", "free", "host_alloc", "host_free")]
                held.append((backend.pool.held_bytes, driver.peak_bytes, driver.pinned_bytes, *calls))
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
