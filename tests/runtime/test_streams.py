"""The loop on a device where everything happens later: the same bits, nothing unordered, nothing that grows."""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from engines import cuda_memory
from engines.cuda_order import Mark, Stream
from engines.errors import NonFiniteError
from engines.families import TENSORRT
from engines.trt_backend import TrtBackend
from runtime.decode import chunks, decode
from runtime.finite import require_finite
from runtime.hunyuanportrait.denoise import ClipLoop
from runtime.hunyuanportrait.memory_bank import MotionBank
from runtime.hunyuanportrait.sampling import Sampling
from runtime.streams import Beside, Guard, ReadAhead
from tests.engines.fake_cuda import FakeDriver, Race
from tests.engines.fake_trt import FakePlan, fake_trt
from tests.fakes import FakeBackend, spec
from tests.runtime.hunyuanportrait.fake_networks import CHANNELS, H, W, fake_clip, fake_sessions, identity_of

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
RAMPS = {"guidance_appearance": (1.0, 3.0), "guidance_motion": (3.0, 1.0)}  # two rows, three rows, two rows


def graphs(backend, *, window):
    """The loop's three graphs and a decoder that mixes the frames of a chunk, on the fake numpy backend."""

    def decoded(latents):
        padded = np.pad(latents, ((1, 1), (0, 0), (0, 0), (0, 0)))
        mixed = padded[:-2] + 2 * padded[1:-1] + 3 * padded[2:]
        return {"frames": mixed[:, :3].repeat(8, axis=2).repeat(8, axis=3)}

    decoder = spec(
        "vae_decoder",
        {"latents": ("chunk", CHANNELS, H, W)},
        {"frames": ("chunk", 3, 8 * H, 8 * W)},
        lane="decode",
        repeated=True,
    )
    return {**fake_sessions(backend, window=window), "vae_decoder": backend.session(decoder, decoded)}


class Device:
    """A TrtBackend over fakes, with the graphs of a FakeBackend as its plans, captured where they promise it."""

    def __init__(self, folder, *, window=4, captured=True, **options):
        self.driver = FakeDriver()
        trt = fake_trt(self.driver)
        self.backend = TrtBackend(TENSORRT, trt, self.driver, device="fake GPU", **options)
        self.plain = graphs(FakeBackend(), window=window)
        self.sessions = {}
        for i, (name, session) in enumerate(self.plain.items()):
            # Through the session, so that a test may replace its formula.
            plan = FakePlan(
                spec=session.spec, formula=partial(_formula, session), arena_bytes=4096 * (i + 1), weight_bytes=2048
            )
            path = trt.write_plan(folder / f"{name}.plan", plan)
            promised = replace(session.spec, repeated=captured and session.spec.repeated)
            self.sessions[name] = self.backend.load(promised, path)


def _formula(session, **inputs):
    return session.formula(**inputs)


@contextmanager
def device(folder, **options):
    opened = Device(folder, **options)
    with opened.backend:
        yield opened
    gc.collect()
    opened.driver.require_clean()


def animate(backend, sessions, frames, sampling, *, on_step=None):
    """Motion bank, loop and decoder: every step's latents, every frame."""
    clip = fake_clip(frames + 2 * sampling.pad_frames)
    bank = MotionBank(backend, pad_frames=sampling.pad_frames, expected=frames)
    motion = clip["motion_tokens"][:frames]
    for start in range(0, frames, sampling.window):
        tokens = backend.upload(motion[start : start + sampling.window])
        bank.guard.settle()
        bank.guard.watch(tokens, partial(require_finite, what="motion"))
        bank.append(tokens)
    steps = []
    numbers = {"pad_frames": sampling.pad_frames, "chunk": sampling.decode_chunk}
    padded = len(clip["noise"])
    parts = chunks(padded, **numbers)
    loop = ClipLoop(
        backend,
        sessions,
        identity=identity_of(backend, clip),
        motion_tokens=bank.finish(sampling.pad_frames),
        noise=lambda frames: clip["noise"][list(frames)],
        sampling=sampling,
        wanted=range(parts[0].start, parts[-1].stop),
        on_step=on_step or (lambda step, frames, array: steps.append(((step, *frames), array.copy()))),
    )
    decoded = decode(backend, sessions["vae_decoder"], loop.finish, frames=padded, **numbers)
    return steps, [(i, frame.copy()) for i, frame in decoded]


def decode_all(backend, session, latents, **numbers):
    """Of latents that are all there."""

    def part(frames):
        return backend.view(latents, frames.start, frames.stop)

    return decode(backend, session, part, frames=latents.shape[0], **numbers)


def same(ours, plain):
    for one, other in zip(ours, plain, strict=True):
        assert [i for i, _ in one] == [i for i, _ in other]
        for (i, a), (_, b) in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=str(i))


@pytest.mark.parametrize("options", [{}, {"overlap_decode": True}, {"captured": False}, {"trace": True}])
def test_clips_of_many_lengths_have_the_bits_of_the_plain_backend(tmp_path, options):
    sampling = Sampling(steps=4, window=4, overlap=1, shift=3, pad_frames=2, decode_chunk=3, **RAMPS)
    with device(tmp_path, **options) as d:
        plain = FakeBackend()
        sessions = graphs(plain, window=4)
        for frames in (1, 5, 9, 9, 20, 5):
            ours = animate(d.backend, d.sessions, frames, sampling)
            same(ours, animate(plain, sessions, frames, sampling))


def test_the_memory_of_the_device_does_not_grow_with_the_number_of_clips(tmp_path):
    sampling = Sampling(steps=3, window=4, overlap=1, pad_frames=2, decode_chunk=4)
    with device(tmp_path) as d:
        held = []
        for _ in range(8):  # what a clip holds grows while it begins, and small pieces find their places by and by
            for frames in (9, 30, 3, 17):
                animate(d.backend, d.sessions, frames, sampling)
            gc.collect()
            held.append((d.backend.pool.held_bytes, d.driver.peak_bytes, d.driver.pinned_bytes))
        assert held[-2] == held[-1]


@pytest.mark.parametrize("overlap", [False, True])
def test_from_the_seventh_clip_of_a_length_on_nothing_is_allocated_and_nothing_freed(tmp_path, monkeypatch, overlap):
    """Small pieces would be shared by tensors of all sizes, which those of a real size do not do."""
    monkeypatch.setattr(cuda_memory, "_SMALL", 512)
    sampling = Sampling(steps=3, window=4, overlap=1, pad_frames=2, decode_chunk=4)
    with device(tmp_path, overlap_decode=overlap) as d:
        kinds = ("malloc", "free", "host_alloc", "host_free", "event_create", "stream_create", "graph_instantiate")
        counted = []
        for _ in range(8):  # what is idle after one clip lies elsewhere than after none
            animate(d.backend, d.sessions, 30, sampling)
            counted.append([d.driver.calls[kind] for kind in kinds])
        assert counted[6:] == [counted[5]] * 2


def test_clips_of_two_lengths_in_turn_allocate_nothing_once_both_were_there_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(cuda_memory, "_SMALL", 512)
    sampling = Sampling(steps=3, window=4, overlap=1, pad_frames=2, decode_chunk=4)
    with device(tmp_path) as d:
        counted = []
        for frames in (9, 30) * 5:
            animate(d.backend, d.sessions, frames, sampling)
            counted.append([d.driver.calls[kind] for kind in ("malloc", "free", "host_alloc", "host_free")])
        assert counted[4:] == [counted[3]] * 6


def test_graphs_are_captured_once_a_shape_and_launched_from_then_on(tmp_path):
    sampling = Sampling(steps=5, window=4, overlap=1, pad_frames=2, decode_chunk=4, **RAMPS)
    with device(tmp_path) as d:
        animate(d.backend, d.sessions, 9, sampling)
        runs = {}
        for clip in range(2):
            before = d.driver.calls["capture_begin"], d.driver.calls["graph_launch"]
            animate(d.backend, d.sessions, 9, sampling)
            now = d.driver.calls["capture_begin"], d.driver.calls["graph_launch"]
            runs[clip] = (now[0] - before[0], now[1] - before[1])
        windows = 5 * 5  # steps, windows of 13 frames: none is of padding alone
        decoded = len(chunks(13, chunk=4, pad_frames=2))
        assert runs[1] == (0, windows + decoded)
        assert d.driver.calls["capture_begin"] <= 2 + 1  # two and three rows; the decoder's one chunk length


def test_a_window_waits_for_the_window_before_and_for_nothing_else(tmp_path):
    """While a window is queued the host stops for the guard alone, which looks at what the window before has left: its
    velocity and its latents."""
    sampling = Sampling(steps=6, window=4, overlap=1, pad_frames=2, decode_chunk=100)
    with device(tmp_path) as d:
        animate(d.backend, d.sessions, 20, sampling)
        waits, count = [], d.driver.calls
        animate(d.backend, d.sessions, 20, sampling, on_step=lambda *_: waits.append(count["event_synchronize"]))
        assert np.diff(waits).tolist() == [2] * 47


def test_the_next_chunk_is_queued_before_the_host_waits_for_this_one(tmp_path, monkeypatch):
    with device(tmp_path) as d:
        latents = d.backend.upload(np.random.default_rng(0).standard_normal((16, CHANNELS, H, W), np.float32))
        log = []
        session, wait = d.sessions["vae_decoder"], Mark.wait
        run = session.run
        monkeypatch.setattr(session, "run", lambda *a: (log.append("run"), run(*a))[1])
        monkeypatch.setattr(Mark, "wait", lambda mark: (log.append("wait"), wait(mark))[1])
        for i, _ in decode_all(d.backend, session, latents, pad_frames=0, chunk=4):
            if i % 4 == 0:
                log.append("frames")
        assert log[:3] == ["run", "run", "wait"]
        assert [e for e in log if e != "wait"] == ["run", "run", "frames", "run", "frames", "run", "frames", "frames"]


def test_decoding_does_not_wait_for_the_copy_of_the_chunk_before(tmp_path):
    """Two output buffers: chunk 1 may be decoded while chunk 0 is copied out."""
    with device(tmp_path, captured=False) as d:
        latents = d.backend.upload(np.zeros((16, CHANNELS, H, W), np.float32))
        d.backend.synchronize()
        frames = decode_all(d.backend, d.sessions["vae_decoder"], latents, pad_frames=0, chunk=4)
        streams = d.backend.streams
        before = d.driver.calls["event_synchronize"]
        next(frames)
        assert d.driver.calls["event_synchronize"] - before == 1
        assert not d.driver.waits_for(streams["decode"].handle, streams["copy_out"].handle)
        list(frames)
        assert d.driver.waits_for(streams["decode"].handle, streams["copy_out"].handle)


def test_an_abandoned_clip_leaves_nothing_behind(tmp_path):
    sampling = Sampling(steps=2, window=4, overlap=1, pad_frames=2, decode_chunk=4)
    with device(tmp_path) as d:
        latents = d.backend.upload(np.zeros((20, CHANNELS, H, W), np.float32))
        frames = decode_all(d.backend, d.sessions["vae_decoder"], latents, pad_frames=2, chunk=4)
        next(frames)
        frames.close()
        plain = FakeBackend()
        same(animate(d.backend, d.sessions, 9, sampling), animate(plain, graphs(plain, window=4), 9, sampling))


def test_without_order_between_streams_the_clip_is_a_race(tmp_path, monkeypatch):
    """What all of this proves hangs on the waits between streams: take them away, and the device objects."""
    sampling = Sampling(steps=2, window=4, overlap=1, pad_frames=2, decode_chunk=4)
    with device(tmp_path) as d:
        monkeypatch.setattr(Stream, "after", lambda self, mark: None)
        with pytest.raises(Race):
            animate(d.backend, d.sessions, 9, sampling)
        d.backend.synchronize()


@pytest.mark.parametrize("captured", [False, True])
def test_a_nan_names_its_step_and_window_one_window_late(tmp_path, captured):
    sampling = Sampling(steps=4, window=4, overlap=1, pad_frames=0, decode_chunk=9)  # all in the released order
    with device(tmp_path, captured=captured) as d:
        session, runs, seen = d.plain["denoiser"], [], []
        formula = session.formula

        def broken(**inputs):
            runs.append(inputs)
            result = formula(**inputs)
            if len(runs) == 5:  # the second window of step 1
                result["velocity"][0, 0, 0, 0] = np.nan
            return result

        session.formula = broken
        with pytest.raises(NonFiniteError, match="denoiser: velocity at step 1, window 1: 1 of 144 values"):
            animate(d.backend, d.sessions, 9, sampling, on_step=lambda step, *_: seen.append(step))
        assert set(seen) == {0, 1}
        assert len(runs) == 6  # one window more was queued already
        d.backend.synchronize()


def test_a_nan_in_the_last_step_is_found_too(tmp_path):
    sampling = Sampling(steps=2, window=4, overlap=1, pad_frames=0)
    with device(tmp_path) as d:
        d.plain["stitch"].formula = lambda latents, **_: {"next_latents": np.full_like(latents, np.inf)}
        with pytest.raises(NonFiniteError, match="stitch: latents after step 0"):
            animate(d.backend, d.sessions, 9, sampling)
        with pytest.raises(NonFiniteError, match="stitch: latents after step 0"):
            animate(d.backend, d.sessions, 9, Sampling(steps=1, window=4, overlap=1, pad_frames=0))
        d.backend.synchronize()


def test_a_guard_looks_in_order_and_only_when_it_settles():
    backend, seen = FakeBackend(), []
    guard = Guard(backend)
    for number in range(3):
        guard.watch(backend.upload(np.full(2, number)), lambda array: seen.append(int(array[0])))
    assert seen == []
    guard.settle()
    guard.settle()
    assert seen == [0, 1, 2]


def test_a_guard_sees_what_was_there_when_it_was_told():
    backend, seen = FakeBackend(), []
    guard, buffer = Guard(backend), backend.upload(np.ones(2))
    guard.watch(buffer, seen.append)
    backend.array(buffer)[:] = 7
    guard.settle()
    np.testing.assert_array_equal(seen[0], np.ones(2))


@pytest.mark.parametrize(
    ("asynchronous", "order"),
    [(False, ["begin 0", "got 0", "begin 1", "got 1", "begin 2", "got 2"]),
     (True, ["begin 0", "begin 1", "got 0", "begin 2", "got 1", "got 2"])],
)  # fmt: skip
def test_results_are_begun_ahead_where_that_pays(asynchronous, order):
    backend, log = FakeBackend(), []
    backend.asynchronous = asynchronous

    def begin(item, slot):
        assert slot == item % ahead.slots
        log.append(f"begin {item}")
        return backend.fetch(backend.upload(np.array(item)))

    ahead = ReadAhead(backend, range(3), begin)
    for item in range(3):
        assert ahead.next() == item
        log.append(f"got {item}")
    assert log == order


def test_so_many_calls_run_at_one_time():
    beside, both = Beside(2), threading.Barrier(2, timeout=30)
    begun = [beside.begin(both.wait) for _ in range(2)]
    assert sorted(one.result() for one in begun) == [0, 1]
    beside.close()
    beside.close()


def test_one_at_a_time_is_done_when_it_has_begun_in_the_thread_that_began_it():
    assert Beside().begin(threading.current_thread).result() is threading.current_thread()


@pytest.mark.parametrize("calls", [1, 2])
def test_what_a_call_raises_reaches_whoever_asks_for_it(calls):
    beside = Beside(calls)
    with pytest.raises(ZeroDivisionError):
        beside.begin(lambda: 1 // 0).result()
    beside.close()


def test_calls_that_wait_for_their_turn_are_left_out_when_it_is_closed():
    beside, go, ran = Beside(2), threading.Event(), []
    for _ in range(2):
        beside.begin(lambda: go.wait(30))
    waits = beside.begin(lambda: ran.append(1))
    closing = threading.Thread(target=beside.close)
    closing.start()
    while not waits.cancelled():
        pass
    go.set()
    closing.join()
    assert ran == []
