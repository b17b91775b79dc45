"""Causal windows against the same thing written out plainly: window by window, step by step, with nothing shared."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import BundleError, InputError, NonFiniteError
from runtime.hunyuanportrait.live import LiveLoop
from runtime.hunyuanportrait.noise import initial_noise
from runtime.hunyuanportrait.sampling import Sampling
from runtime.live_windows import LiveWindows
from tests.fakes import FakeBackend, spec
from tests.runtime.hunyuanportrait.fake_networks import (
    CHANNELS,
    H,
    W,
    embed,
    fake_clip,
    fake_sessions,
    identity_of,
    velocity,
)

SIDE_PX = 8
RAMPS = {"guidance_appearance": (1.5, 2.5), "guidance_motion": (2.0, 3.0)}


def live_sessions(backend: FakeBackend, size: int):
    """The loop's graphs, for one window at a time."""

    def stitch(latents, velocities, matrix, a, b):
        mean = np.einsum("tf,fchd->tchd", matrix, velocities)
        return {"next_latents": (a * latents + b * mean).astype(np.float32)}

    window = ("frames", CHANNELS, H, W)
    inputs = {"latents": window, "velocities": window, "matrix": ("frames", "frames"), "a": (1,), "b": (1,)}
    return {
        **fake_sessions(backend, window=size),
        "stitch": backend.session(spec("stitch", inputs, {"next_latents": window}), stitch),
    }


def make_loop(clip, s: Sampling, windows: LiveWindows):
    backend = FakeBackend()
    sessions = live_sessions(backend, windows.size)
    identity = identity_of(backend, clip)
    loop = LiveLoop(backend, sessions, identity=identity, sampling=s, windows=windows, side_px=SIDE_PX)
    return backend, sessions, loop


def run(clip, s: Sampling, windows: LiveWindows, groups):
    """Every frame's latents; `groups`: how many new frames each window gets."""
    backend, _, loop = make_loop(clip, s, windows)
    tokens, made, at = clip["motion_tokens"], [], 0
    for count in groups:
        latents = loop.window(backend.upload(tokens[at : at + count]))
        made.append(backend.download(latents))
        at += count
    assert at == len(tokens)
    return np.concatenate(made)


def plainly(clip, s: Sampling, windows: LiveWindows, groups):
    """Float64; a window's frames are looked up by their place in the stream, made-up ones included."""
    clip = {name: array.astype(np.float64) for name, array in clip.items()}
    steps = s.executed_steps
    sigmas = s.sigmas().astype(np.float64)
    g1, g2 = np.linspace(*s.guidance_appearance, steps), np.linspace(*s.guidance_motion, steps)
    embeddings = embed(0.25 * np.log(sigmas[:-1]), np.array([s.fps, s.motion_bucket_id, s.noise_aug_strength]))
    lead, z, image = windows.lead_in, clip["image_latents"], clip["image_tokens"][0]
    made_up = [i / lead * clip["motion_tokens"][0] for i in range(lead)]
    motion = np.stack([*made_up, *clip["motion_tokens"]])  # of the stream
    draws = initial_noise(s.seed, (1000, *clip["noise"].shape[1:]), SIDE_PX, SIDE_PX)
    seen: dict[int, np.ndarray] = {}  # place in the stream -> its latents before each step, and at the end
    drawn, out, at = 0, [], lead  # `at`: the first new frame's place
    for number, count in enumerate(groups):
        places = list(range(at - (windows.overlap if number else lead), at + count))
        extended = places + [places[-1]] * (windows.size - len(places))  # the last one stands still
        tied = [p for p in places if p < at and number]
        fresh = windows.size - len(tied)
        noise = draws[drawn : drawn + fresh]
        drawn += fresh
        start = s.scaling_factor * clip["start_latents"] + sigmas[0] * noise
        x = np.concatenate([*(seen[p][0][None] for p in tied), start])
        track = [x.copy()]
        for i in range(steps):
            scaled = x / np.sqrt(sigmas[i] ** 2 + 1)
            m = motion[extended]
            v_u = velocity(scaled, 0 * z, 0 * image, 0 * m, embeddings[i])
            v_d = velocity(scaled, z, image, 0 * m, embeddings[i])
            v_c = velocity(scaled, z, image, m, embeddings[i])
            v = v_u + g1[i] * (v_d - v_u) + g2[i] * (v_c - v_d)
            x0 = -sigmas[i] / np.sqrt(sigmas[i] ** 2 + 1) * v + x / (sigmas[i] ** 2 + 1)
            x = x + (x - x0) / sigmas[i] * (sigmas[i + 1] - sigmas[i])
            if i == steps - 1 and tied:  # the new frames join where the window before ended
                new = windows.size - len(tied)
                missed = seen[tied[-1]][steps] - x[len(tied) - 1]
                for t in range(1, new + 1):
                    x[len(tied) - 1 + t] += (1 - t / (new + 1)) * missed
            for k, p in enumerate(tied):
                x[k] = seen[p][i + 1]
            track.append(x.copy())
        for k, p in enumerate(places):
            seen[p] = np.stack([moment[k] for moment in track])
        out.append(x[len(places) - count : len(places)])
        at += count
    return np.concatenate(out)


CASES = {
    "one step": (Sampling(steps=1, **RAMPS), LiveWindows(size=5, overlap=1, lead_in=2), (3, 4, 4)),
    "three steps, the released rows": (Sampling(steps=3), LiveWindows(size=6, overlap=2, lead_in=0), (6, 4, 4, 4)),
    "no overlap": (Sampling(steps=2), LiveWindows(size=4, overlap=0, lead_in=1), (3, 4, 4)),
    "a stream that pauses": (Sampling(steps=2, **RAMPS), LiveWindows(size=6, overlap=2, lead_in=1), (5, 2, 4, 1, 4)),
    "fewer new frames than overlap": (Sampling(steps=2), LiveWindows(size=6, overlap=3, lead_in=2), (4, 1, 3)),
    "the last level left out": (Sampling(steps=3, skip_last=1), LiveWindows(size=5, overlap=2, lead_in=2), (3, 3)),
}


@pytest.mark.parametrize(("s", "windows", "groups"), CASES.values(), ids=CASES)
def test_tied_windows_are_the_plain_algorithm(s, windows, groups):
    clip = fake_clip(sum(groups))
    made = run(clip, s, windows, groups)
    # float32 against float64 through at most three steps of a tanh network, latents near one in the end.
    np.testing.assert_allclose(made, plainly(clip, s, windows, groups), atol=2e-4)


def test_what_windows_differ_by_as_a_whole_is_spread_over_the_later_ones_frames():
    """A network that makes 0 of every frame in the first window, and -1 in the second."""
    clip, windows = fake_clip(9), LiveWindows(size=5, overlap=1, lead_in=0)
    backend, sessions, loop = make_loop(clip, Sampling(steps=1), windows)
    made = []
    for at, count, says in ((0, 5, 0.0), (5, 4, 1.0)):
        sessions["denoiser"].formula = lambda says=says, **seen: {"velocity": np.full_like(seen["latents"], says)}
        made.append(backend.download(loop.window(backend.upload(clip["motion_tokens"][at : at + count]))))
    means = np.concatenate(made).mean(axis=(1, 2, 3))
    # One step from 700 leaves 1/700 of the noise: the mean of 36 numbers of that size.
    np.testing.assert_allclose(means, [0, 0, 0, 0, 0, -1 / 5, -2 / 5, -3 / 5, -4 / 5], atol=2e-3)


def test_each_window_says_how_many_frames_it_takes_and_gives_as_many():
    clip = fake_clip(13)
    backend, _, loop = make_loop(clip, Sampling(steps=1), LiveWindows(size=5, overlap=1, lead_in=3))
    wanted = []
    for at, count in ((0, 2), (2, 4), (6, 4)):
        wanted.append(loop.wanted)
        assert loop.window(backend.upload(clip["motion_tokens"][at : at + count])).shape[0] == count
    assert wanted == [2, 4, 4]
    with pytest.raises(ValueError, match="takes 1 to 4 new frames, got 5"):
        loop.window(backend.upload(clip["motion_tokens"][:5]))


def test_what_comes_later_changes_nothing_that_has_left():
    s, windows = Sampling(steps=2), LiveWindows(size=5, overlap=2, lead_in=1)
    clip = fake_clip(10)
    other = {**clip, "motion_tokens": clip["motion_tokens"].copy()}
    other["motion_tokens"][7:] += 1
    one, two = (run(c, s, windows, (4, 3, 3)) for c in (clip, other))
    np.testing.assert_array_equal(one[:7], two[:7])
    assert np.abs(one[7:] - two[7:]).max() > 0.01


def test_another_portrait_takes_over_with_the_next_window_and_owes_nothing_to_the_old_ones_latents():
    s, windows = Sampling(steps=2), LiveWindows(size=5, overlap=2, lead_in=2)
    clip, second = fake_clip(9), fake_clip(8)
    made = []
    for first in (clip, {**clip, "start_latents": clip["start_latents"] + 1}):
        backend, _, loop = make_loop(first, s, windows)
        loop.window(backend.upload(clip["motion_tokens"][:3]))
        loop.change_identity(identity_of(backend, second))
        made.append(backend.download(loop.window(backend.upload(clip["motion_tokens"][3:6]))))
    np.testing.assert_array_equal(*made)


def test_memory_does_not_grow_with_the_stream():
    clip = fake_clip(4)
    backend, sessions, loop = make_loop(clip, Sampling(steps=2), LiveWindows(size=5, overlap=1, lead_in=1))
    taken = []
    empty = backend.empty
    backend.empty = lambda *a: taken.append(a) or empty(*a)
    for _ in range(3):
        loop.window(backend.upload(clip["motion_tokens"]))
    after_three = len(taken)
    for _ in range(20):
        loop.window(backend.upload(clip["motion_tokens"]))
    assert len(taken) == after_three
    assert len(sessions["denoiser"].runs) == 2 * 23


def test_a_network_that_breaks_is_named_with_its_window():
    clip = fake_clip(8)
    clip["motion_tokens"][5] = np.nan
    with pytest.raises(NonFiniteError, match="live window 1"):
        run(clip, Sampling(steps=1), LiveWindows(size=5, overlap=1, lead_in=1), (4, 4))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 0}, "the live size needs a whole number of at least 1, got 0"),
        ({"overlap": -1}, "the live overlap needs a whole number of at least 0, got -1"),
        ({"size": 4, "overlap": 4}, "the live overlap must be shorter than the window, got 4 of 4; lower the overlap"),
        ({"size": 4, "lead_in": 5}, "the live lead_in must be shorter than the window, got 5 of 4"),
        ({"size": 2.5}, "whole number"),
    ],
)
def test_windows_that_cannot_be_are_refused_in_words(options, says):
    with pytest.raises(InputError, match=says):
        LiveWindows(**options)


def test_a_denoiser_of_another_window_is_refused():
    clip, backend = fake_clip(4), FakeBackend()
    sessions = live_sessions(backend, 6)
    with pytest.raises(BundleError, match="built for windows of 6 frames, asked for 5"):
        LiveLoop(
            backend, sessions, identity=identity_of(backend, clip), sampling=Sampling(), side_px=8,
            windows=LiveWindows(size=5),
        )  # fmt: skip


def test_joints_are_where_windows_begin():
    windows = LiveWindows(size=8, overlap=1, lead_in=2)
    assert windows.joints(28) == [6, 13, 20, 27]
    assert [windows.new_frames(w) for w in range(3)] == [6, 7, 7]
