"""The order in which frames become final: the bits of all windows step by step, and nothing that grows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.errors import InputError
from runtime import schedule
from runtime.decode import chunks
from runtime.hunyuanportrait.denoise import ClipLoop
from runtime.hunyuanportrait.noise import ClipNoise, initial_noise
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.wave import Wave, layouts_of, windows_run
from runtime.hunyuanportrait.wave_state import WaveState
from runtime.hunyuanportrait.windows import Windows, coverage
from runtime.hunyuanportrait.work import held_frames
from runtime.streams import Beside
from tests.fakes import FakeBackend
from tests.runtime.hunyuanportrait.fake_networks import CHANNELS, H, W, fake_clip, fake_sessions, identity_of
from tests.runtime.hunyuanportrait.test_estimate import two_parts

SIDE_PX = 24
RAMPS = {"guidance_appearance": (1.0, 3.0), "guidance_motion": (3.0, 1.0)}
SHORT = Sampling(steps=3, window=5, overlap=1, shift=2, pad_frames=3, decode_chunk=4)
CASES = {
    "three steps": (60, SHORT),
    "rows that change": (23, replace(SHORT, steps=5, **RAMPS)),
    "a late start": (23, replace(SHORT, steps=6, strength=0.6)),
    "last steps left out": (23, replace(SHORT, steps=6, skip_last=2)),
    "guidance of some steps": (23, replace(SHORT, steps=5, guidance_interval=(0.05, 50))),
    "frames of many windows": (23, replace(SHORT, overlap=4)),
    "no overlap": (23, replace(SHORT, overlap=0)),
    "no padding": (23, replace(SHORT, pad_frames=0)),
    "a clip of one frame": (1, replace(SHORT, pad_frames=0)),
    "shorter than its window": (3, replace(SHORT, pad_frames=0, overlap=2)),
    "one chunk": (9, replace(SHORT, decode_chunk=100)),
    "shared deep features": (41, replace(SHORT, steps=6, deep_every=2)),
    "shared deep features, rows that change": (41, replace(SHORT, steps=9, deep_every=3, **RAMPS)),
    "shared deep features, frames of many windows": (23, replace(SHORT, steps=6, deep_every=3, overlap=3)),
}


def sessions_of(backend, sampling):
    deep = sampling.deep_every > 1
    return two_parts(backend, window=sampling.window) if deep else fake_sessions(backend, window=sampling.window)


def clip_of(frames, sampling):
    padded = frames + 2 * sampling.pad_frames
    noise = initial_noise(sampling.seed, (padded, CHANNELS, H, W), SIDE_PX, SIDE_PX)
    return dict(fake_clip(padded)) | {"noise": noise}


def all_at_once(frames, sampling):
    """All windows of a step, then the next step, over dense arrays: the released order, in the loop's arithmetic."""
    backend = FakeBackend()
    clip, sessions = clip_of(frames, sampling), sessions_of(backend, sampling)
    formulas = {name: session.formula for name, session in sessions.items()}
    sigmas, padded = sampling.sigmas(), len(clip["noise"])
    a, b = schedule.euler_coefficients(sigmas)
    c_in = schedule.input_scales(sigmas)
    told = np.array([sampling.fps, sampling.motion_bucket_id, sampling.noise_aug_strength], np.float32)
    embeddings = formulas["step_embedding"](timesteps=schedule.timesteps(sigmas), added_time_ids=told)["embeddings"]
    x = np.float32(sampling.scaling_factor) * clip["start_latents"] + sigmas[0] * clip["noise"]
    deep: dict[int, np.ndarray] = {}
    for step, guided in enumerate(sampling.guidance()):
        shift = step * sampling.shift % sampling.window
        layout = [
            [(start - shift + i) % padded for i in range(sampling.window)]
            for start in range(0, padded, sampling.window - sampling.overlap)
        ]
        portrait = np.array([row.sees_portrait for row in guided.rows], np.float32)
        moves = np.array([row.sees_motion for row in guided.rows], np.float32)
        velocities: list[np.ndarray] = []
        made: dict[int, np.ndarray] = {}
        for frames_of in layout:
            inputs = {
                "latents": x[frames_of],
                "c_in": c_in[step : step + 1],
                "step_embedding": embeddings[step : step + 1],
                "image_latents": portrait[:, None, None, None] * clip["image_latents"],
                "image_tokens": portrait[:, None, None] * clip["image_tokens"],
                "motion_tokens": moves[:, None, None, None] * clip["motion_tokens"][frames_of][None],
            }
            if "inner" in formulas and sampling.fresh()[step]:
                inputs["deep_features"] = formulas["inner"](**inputs)["deep_features"]
                made.update(zip(frames_of, inputs["deep_features"], strict=True))  # of two windows: the later one's
            elif "inner" in formulas:
                inputs["deep_features"] = np.stack([deep[t] for t in frames_of])
            velocities.append(formulas["denoiser"](**inputs, row_weights=guided.weights)["velocity"])
        deep = made or deep
        counts, mean = coverage(padded, layout), np.zeros_like(x)
        for frames_of, velocity in zip(layout, velocities, strict=True):
            for i, t in enumerate(frames_of):
                mean[t] += np.float32(1 / counts[t]) * velocity[i]
        x = (a[step] * x + b[step] * mean).astype(np.float32)
    return x


def by_chunks(frames, sampling, *, backend=None, sessions=None, state=None, first=0, beside=None):
    """The loop as a clip uses it: its latents chunk by chunk, and which padded frames those are."""
    backend = backend or FakeBackend()
    sessions = sessions or sessions_of(backend, sampling)
    clip = clip_of(frames, sampling)
    parts = chunks(len(clip["noise"]), chunk=sampling.decode_chunk, pad_frames=sampling.pad_frames)
    loop = ClipLoop(
        backend,
        sessions,
        identity=identity_of(backend, clip),
        motion_tokens=backend.upload(clip["motion_tokens"]),
        noise=ClipNoise(sampling.seed, (CHANNELS, H, W), SIDE_PX, SIDE_PX),
        sampling=sampling,
        wanted=range(parts[0].start, parts[-1].stop),
        state=state,
        beside=beside,
    )
    for part in parts[first:]:
        yield range(part.start, part.stop), backend.download(loop.finish(range(part.start, part.stop))), loop


@pytest.mark.parametrize("name", CASES)
def test_every_frame_has_the_bits_of_the_released_order(name):
    frames, sampling = CASES[name]
    plain = all_at_once(frames, sampling)
    for part, latents, _ in by_chunks(frames, sampling):
        np.testing.assert_array_equal(latents, plain[part.start : part.stop], err_msg=str(part))


@pytest.mark.parametrize("name", CASES)
def test_every_frame_has_the_same_bits_where_windows_run_beside_one_another(name):
    frames, sampling = CASES[name]
    plain, beside = all_at_once(frames, sampling), Beside(2)
    try:
        for part, latents, _ in by_chunks(frames, sampling, beside=beside):
            np.testing.assert_array_equal(latents, plain[part.start : part.stop], err_msg=str(part))
    finally:
        beside.close()


@pytest.mark.parametrize("frames", range(1, 40))
def test_clips_of_every_length_have_the_bits_of_the_released_order(frames):
    plain = all_at_once(frames, SHORT)
    for part, latents, _ in by_chunks(frames, SHORT):
        np.testing.assert_array_equal(latents, plain[part.start : part.stop], err_msg=str(part))


@pytest.mark.parametrize("name", CASES)
def test_no_window_is_run_twice_and_only_windows_of_padding_are_left_out(name):
    frames, sampling = CASES[name]
    backend = FakeBackend()
    sessions = sessions_of(backend, sampling)
    padded = frames + 2 * sampling.pad_frames
    parts = [part for part, *_ in by_chunks(frames, sampling, backend=backend, sessions=sessions)]
    counts = windows_run(layouts_of(sampling, padded), range(parts[0].start, parts[-1].stop))
    assert len(sessions["denoiser"].runs) == sum(counts)
    if sampling.pad_frames == 0:
        assert sum(counts) == len(layouts_of(sampling, padded)[0]) * sampling.executed_steps


def first_windows(frames, sampling):
    part = chunks(frames + 2 * sampling.pad_frames, chunk=sampling.decode_chunk, pad_frames=sampling.pad_frames)[0]
    return len(Wave(layouts_of(sampling, frames + 2 * sampling.pad_frames)).needed(range(part.start, part.stop)))


def test_the_first_frames_take_no_more_windows_in_a_long_clip():
    three = Sampling(steps=3)  # and the released window, overlap, shift, padding and chunk
    # As the layouts have it: 1, 2 and 3 windows at the three steps, up to three more where windows meet at the end.
    assert {first_windows(frames, three) for frames in (50, 800, 3000, 10_000)} == {6}
    assert max(first_windows(frames, three) for frames in range(100, 200)) == 9
    released = {frames: first_windows(frames, Sampling()) for frames in (800, 3000, 10_000)}
    assert len(set(released.values())) == 1 and released[800] < 25 * 38 // 2


def test_what_is_held_does_not_grow_with_the_clip():
    sampling = replace(SHORT, steps=4, deep_every=2)
    rows = {}
    for frames in (100, 300):
        for _, _, loop in by_chunks(frames, sampling):
            held = [loop._latents, loop._velocities, *loop._estimator.kept.values()]
        rows[frames] = [one.buffer.shape[0] for one in held]
    assert rows[100] == rows[300]


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_plan_knows_how_many_frames_are_held(steps):
    sampling = replace(SHORT, steps=steps)
    for frames in (3, 40, 333):
        most = max(len(loop._wave.levels) for _, _, loop in by_chunks(frames, sampling))
        assert held_frames(sampling, frames + 2 * sampling.pad_frames) == most


def test_a_window_runs_only_when_its_frames_are_there():
    wave = Wave([Windows(9, 4, 1, shift) for shift in (0, 1)])
    with pytest.raises(KeyError):
        wave.run(0, 0)
    wave.begin(wave.layouts[0][0])
    wave.run(0, 0)
    wave.begin(range(9))
    with pytest.raises(AssertionError, match="at level 0 in a window of step 1"):
        wave.run(1, 1)


def test_noise_in_any_order_is_that_of_the_whole_clip():
    whole = initial_noise(7, (200, 4, 2, 3), 16, 24)
    noise = ClipNoise(7, (4, 2, 3), 16, 24)
    for frames in ([0, 1, 2], [150, 199, 198], [3, 4, 40], [199, 0, 33, 32, 31, 100]):
        np.testing.assert_array_equal(noise(frames), whole[frames])


@pytest.mark.parametrize("name", ["three steps", "rows that change", "frames of many windows", "no padding",
                                  "shared deep features", "shared deep features, rows that change"])  # fmt: skip
def test_a_loop_that_is_left_behind_any_chunk_goes_on_with_the_same_bits(name):
    frames, sampling = CASES[name]
    whole = []
    for part, latents, loop in by_chunks(frames, sampling):
        state = loop.state()
        whole.append((part, latents, WaveState.of(state.arrays(), state.gone)))
    for left in range(len(whole) - 1):
        again = by_chunks(frames, sampling, state=whole[left][2], first=left + 1)
        for (part, latents, _), (expected, plain, _) in zip(again, whole[left + 1 :], strict=True):
            assert part == expected
            np.testing.assert_array_equal(latents, plain, err_msg=str(part))


@pytest.mark.parametrize(
    "change",
    [
        {"latents": np.zeros((2, 4, 3, 3), np.float32)},
        {"levels": lambda levels: levels + 9},
        {"frames": lambda frames: frames + 1000},
        {"frames": lambda frames: frames * 0},
        {"frames": lambda frames: frames.astype(np.int32)},
        {"latents": lambda latents: latents * np.nan},
        {"waiting": lambda waiting: waiting + np.array([0, 1, 0])},
        {"gone": 10**9},
    ],
)
def test_a_state_of_another_clip_is_refused_before_any_window_runs(change):
    state = next(iter(by_chunks(23, SHORT)))[2].state()
    assert len(state.waiting) > 0
    [(name, value)] = change.items()
    spoiled = replace(state, **{name: value(getattr(state, name)) if callable(value) else value})
    backend = FakeBackend()
    sessions = sessions_of(backend, SHORT)
    with pytest.raises(InputError, match="begin anew with --restart"):
        list(by_chunks(23, SHORT, backend=backend, sessions=sessions, state=spoiled, first=1))
    assert not sessions["denoiser"].runs


def test_a_state_with_other_names_is_refused():
    with pytest.raises(InputError, match="has a state of clip, motion: begin anew with --restart"):
        WaveState.of({"motion": np.zeros(1), "clip": np.zeros(1)}, 0)
