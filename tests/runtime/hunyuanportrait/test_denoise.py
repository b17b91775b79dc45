"""The linear loop against the released algorithm, written out plainly: row by row, window by window, frame by frame."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engines.errors import BundleError, InputError, NonFiniteError
from runtime.hunyuanportrait.noise import initial_noise
from runtime.hunyuanportrait.sampling import Sampling
from runtime.stages import Stages
from tests.fakes import FakeBackend
from tests.runtime.hunyuanportrait.fake_networks import embed, fake_clip, fake_sessions, identity_of, velocity
from tests.runtime.hunyuanportrait.released_order import denoise


def released(clip, s: Sampling, *, pose=False):
    """SPEC 8 as it stands, in float64: every row is run, every window steps its own latents, frames are averaged."""
    clip = {name: array.astype(np.float64) for name, array in clip.items()}
    low, high, n = 0.002 ** (1 / 7), 700 ** (1 / 7), s.steps
    sigmas = [(high + (i / (n - 1) if n > 1 else 0) * (low - high)) ** 7 for i in range(n)] + [0.0]
    sigmas = sigmas[n - min(int(n * s.strength), n) :]
    steps = len(sigmas) - 1
    g1, g2 = np.linspace(*s.guidance_appearance, steps), np.linspace(*s.guidance_motion, steps)
    embeddings = embed(0.25 * np.log(sigmas[:-1]), np.array([s.fps, s.motion_bucket_id, s.noise_aug_strength]))

    frames = len(clip["motion_tokens"])
    x = s.scaling_factor * clip["start_latents"] + sigmas[0] * clip["noise"]
    z, image, motion = clip["image_latents"], clip["image_tokens"][0], clip["motion_tokens"]
    shift, after = 0, []
    for i in range(steps):
        sigma, following = sigmas[i], sigmas[i + 1]
        total, count = np.zeros_like(x), np.zeros((frames, 1, 1, 1))
        for start in range(0, frames, s.window - s.overlap):
            p = [(start - shift + k) % frames for k in range(s.window)]
            posed = clip["pose_features"][p] if pose else None
            scaled = x[p] / np.sqrt(sigma**2 + 1)
            v_u = velocity(scaled, 0 * z, 0 * image, 0 * motion[p], embeddings[i], posed)
            v_d = velocity(scaled, z, image, 0 * motion[p], embeddings[i], posed)
            v_c = velocity(scaled, z, image, motion[p], embeddings[i], posed)
            v = v_u + g1[i] * (v_d - v_u) + g2[i] * (v_c - v_d)
            x0 = -sigma / np.sqrt(sigma**2 + 1) * v + x[p] / (sigma**2 + 1)
            stepped = x[p] + (x[p] - x0) / sigma * (following - sigma)
            for k, frame in enumerate(p):
                total[frame] += stepped[k]
                count[frame] += 1
        x = total / count
        shift = (shift + s.shift) % s.window
        after.append(x)
    return after


def run(clip, s: Sampling, *, pose=False, token_dtype="float32", stages=None, sessions=None, backend=None):
    backend = backend or FakeBackend()
    sessions = sessions or fake_sessions(backend, window=s.window, pose=pose, token_dtype=token_dtype)
    after = []
    final = denoise(
        backend,
        sessions,
        identity=identity_of(backend, clip),
        motion_tokens=backend.upload(clip["motion_tokens"]),
        noise=clip["noise"],
        pose_features=backend.upload(clip["pose_features"]) if pose else None,
        sampling=s,
        stages=stages,
        on_step=lambda step, latents: after.append((step, latents)),
    )
    assert [step for step, _ in after] == list(range(s.executed_steps))
    np.testing.assert_array_equal(backend.download(final), after[-1][1])
    return [latents for _, latents in after]


RAMPS = {"guidance_appearance": (1.5, 2.5), "guidance_motion": (2.0, 3.0)}
CASES = {
    "default rows": (11, Sampling(steps=3, window=6, overlap=2, shift=2)),
    "clip shorter than its window": (5, Sampling(steps=3, window=6, overlap=2, shift=3)),
    "clip much shorter than its window": (2, Sampling(steps=4, window=7, overlap=1, shift=3, **RAMPS)),
    "one frame": (1, Sampling(steps=2, window=4, overlap=1)),
    "shift wraps round the window": (11, Sampling(steps=8, window=5, overlap=1, shift=2)),
    "shift longer than the window": (9, Sampling(steps=4, window=5, overlap=1, shift=12)),
    "ramps and late start": (9, Sampling(steps=4, window=4, overlap=1, shift=3, strength=0.7, **RAMPS)),
    "ramps that meet": (9, Sampling(steps=5, window=4, guidance_appearance=(1, 3), guidance_motion=(3, 1))),
    "no guidance": (9, Sampling(steps=3, window=4, guidance_appearance=(1, 1), guidance_motion=(1, 1))),
    "no motion": (9, Sampling(steps=3, window=4, guidance_appearance=(2, 2), guidance_motion=(0, 0))),
    "no overlap": (12, Sampling(steps=3, window=4, overlap=0, shift=1)),
    "one step": (7, Sampling(steps=1, window=4, overlap=1)),
    "other conditions": (7, Sampling(steps=2, window=4, fps=25, motion_bucket_id=7, scaling_factor=0.5)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_loop_is_the_released_algorithm(name):
    frames, sampling = CASES[name]
    clip = fake_clip(frames)
    for step, (ours, plain) in enumerate(zip(run(clip, sampling), released(clip, sampling), strict=True)):
        # float32 latents as large as sigma, a few roundings a step: 1e-6 of their size; v is of order 1
        assert np.abs(ours - plain).max() <= 2e-6 * max(np.abs(plain).max(), 1), f"step {step}"


def test_pose_features_are_gathered_with_their_window():
    sampling = Sampling(steps=3, window=4, overlap=1, shift=3, **RAMPS)
    clip = fake_clip(9)
    ours, plain = run(clip, sampling, pose=True)[-1], released(clip, sampling, pose=True)[-1]
    assert np.abs(ours - plain).max() <= 2e-6 * max(np.abs(plain).max(), 1)


def test_float16_tokens_stay_float16_on_the_way():
    sampling = Sampling(steps=2, window=4, overlap=1)
    clip = fake_clip(9, token_dtype="float16")
    ours, plain = run(clip, sampling, token_dtype="float16")[-1], released(clip, sampling)[-1]
    assert np.abs(ours - plain).max() <= 2e-6 * max(np.abs(plain).max(), 1)


def test_rows_of_no_weight_are_not_run():
    backend = FakeBackend()
    sampling = Sampling(steps=3, window=4, overlap=1, guidance_appearance=(1, 3), guidance_motion=(3, 1))
    sessions = fake_sessions(backend, window=4)
    run(fake_clip(9), sampling, backend=backend, sessions=sessions)
    rows = [shapes["row_weights"][0] for shapes in sessions["denoiser"].runs]
    assert rows == [2] * 3 + [2] * 3 + [3] * 3  # g1 = 1: no unconditional row; g1 = g2: no drop row; then all
    assert len(sessions["step_embedding"].runs) == 1
    assert len(sessions["stitch"].runs) == 9  # one a window


def test_the_same_seed_gives_the_same_bits():
    sampling = Sampling(steps=3, window=4, overlap=1, seed=7)

    def once(seed):
        clip = dict(fake_clip(9)) | {"noise": initial_noise(seed, (9, 4, 3, 3), 24, 24)}
        return run(clip, sampling)[-1].tobytes()

    assert once(7) == once(7)
    assert once(7) != once(8)


def test_the_host_sends_only_numbers_while_it_denoises():
    """Per window: which velocities a frame is the mean of. Latents, tokens and conditions stay on the device."""
    backend = FakeBackend()
    clip = fake_clip(9)
    sent = []
    sessions = fake_sessions(backend, window=4)
    denoise(
        backend,
        sessions,
        identity=identity_of(backend, clip),
        motion_tokens=backend.upload(clip["motion_tokens"]),
        noise=clip["noise"],
        sampling=Sampling(steps=3, window=4, overlap=1),
        on_step=lambda *_: sent.append(backend.uploaded_bytes),
    )
    # Of a window's four frames at most two velocities each, by a whole number and a weight; three windows a step.
    assert 0 < np.diff(sent).max() <= 3 * 4 * 2 * (8 + 4)


def test_progress_counts_every_window_of_every_step():
    events = []
    run(fake_clip(9), Sampling(steps=3, window=4, overlap=1), stages=Stages(events.append))
    kinds = Counter((e.stage, e.kind) for e in events)
    assert kinds[("denoise", "unit")] == 9
    assert kinds[("stitch", "unit")] == 9
    last = [e for e in events if e.stage == "denoise"][-1]
    assert (last.kind, last.done, last.total) == ("end", 9, 9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_nan_names_its_step_and_window(bad):
    backend = FakeBackend()
    sessions = fake_sessions(backend, window=4)
    formula = sessions["denoiser"].formula

    def broken(**inputs):
        result = formula(**inputs)
        if len(sessions["denoiser"].runs) == 5:  # the second window of step 1
            result["velocity"][0, 0, 0, 0] = bad
        return result

    sessions["denoiser"].formula = broken
    with pytest.raises(NonFiniteError, match="denoiser: velocity at step 1, window 1: 1 of 144 values"):
        run(fake_clip(9), Sampling(steps=3, window=4, overlap=1), backend=backend, sessions=sessions)


def test_a_window_the_bundle_was_not_built_for_says_which_it_was():
    backend = FakeBackend()
    sessions = fake_sessions(backend, window=6)
    with pytest.raises(BundleError, match="built for windows of 6 frames, asked for 4; use a window of 6"):
        run(fake_clip(9), Sampling(steps=3, window=4, overlap=1), backend=backend, sessions=sessions)


def test_windows_that_overlap_more_than_the_bundle_can_hold_are_refused_before_any_work():
    backend = FakeBackend()
    sessions = fake_sessions(backend, window=4, most=20)
    with pytest.raises(InputError, match=r"windows of 4 frames that overlap by 1, over 3 steps, .* at most 20: lower"):
        run(fake_clip(9), Sampling(steps=3, window=4, overlap=1), backend=backend, sessions=sessions)
    assert not sessions["denoiser"].runs
