"""Reuse of deep features against the rule written out plainly: frame by frame, row by row, in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.errors import InputError
from runtime import schedule
from runtime.hunyuanportrait.live import LiveLoop
from runtime.hunyuanportrait.noise import NoiseStream
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.windows import Windows, shift_at
from runtime.live_windows import LiveWindows
from tests.fakes import FakeBackend, spec
from tests.runtime.hunyuanportrait.fake_networks import (
    CHANNELS,
    EMBEDDING,
    FEATURES,
    TOKENS,
    H,
    W,
    embed,
    fake_clip,
    fake_sessions,
    identity_of,
)
from tests.runtime.hunyuanportrait.released_order import denoise

ONE_ROW = {"guidance_appearance": (1, 1), "guidance_motion": (1, 1)}
DEEP = 2  # channels of the deep features


def deep_of(x, image_latents, motion, embedding):
    """(2, h, w) of one frame: x (4, h, w) scaled, motion (m, D)."""
    seen = np.tanh(x + 0.3 * image_latents + 0.5 * motion.mean())
    return np.stack([seen.mean(0), seen.max(0)]) + 0.1 * embedding.mean()


def velocity_of(x, deep):
    return np.tanh(0.5 * x + deep[:1] - 0.3 * deep[1:])


def two_parts(backend: FakeBackend, *, live: bool = False, window: int = 5):
    def inner(latents, c_in, step_embedding, image_latents, image_tokens, motion_tokens):
        deep = [
            [
                deep_of(c_in * x, image_latents[r], motion_tokens[r, f], step_embedding)
                for r in range(len(image_latents))
            ]
            for f, x in enumerate(latents)
        ]
        return {"deep_features": np.array(deep, np.float32)}

    def outer(latents, c_in, row_weights, deep_features, **seen):
        made = [sum(w * velocity_of(c_in * x, d) for w, d in zip(row_weights, deep, strict=True))
                for x, deep in zip(latents, deep_features, strict=True)]  # fmt: skip
        return {"velocity": np.array(made, np.float32)}

    cell = (CHANNELS, H, W)
    seen = {
        "latents": ("frames", *cell),
        "c_in": (1,),
        "step_embedding": (1, EMBEDDING),
        "image_latents": ("rows", *cell),
        "image_tokens": ("rows", TOKENS, FEATURES),
        "motion_tokens": ("rows", "frames", TOKENS, FEATURES),
    }
    deep = {"deep_features": ("frames", "rows", DEEP, H, W)}
    sessions = fake_sessions(backend, window=window)
    if live:
        stitch = {"latents": ("frames", *cell), "velocities": ("frames", *cell), "matrix": ("frames", "frames")}
        sessions["stitch"] = backend.session(
            spec("stitch", {**stitch, "a": (1,), "b": (1,)}, {"next_latents": ("frames", *cell)}),
            lambda latents, velocities, matrix, a, b: {
                "next_latents": (a * latents + b * np.einsum("ij,jchw->ichw", matrix, velocities)).astype(np.float32)
            },
        )
    return sessions | {
        "inner": backend.session(spec("inner", seen, deep), inner),
        "denoiser": backend.session(
            spec("outer", {**seen, "row_weights": ("rows",), **deep}, {"velocity": ("frames", *cell)}), outer
        ),
    }


def plainly(clip, s: Sampling, fresh: list[bool]):
    """The loop of one row that sees all, in float64; a frame's deep features are those of its last window."""
    clip = {name: array.astype(np.float64) for name, array in clip.items()}
    sigmas = s.sigmas().astype(np.float64)
    a, b = schedule.euler_coefficients(s.sigmas())
    embeddings = embed(schedule.timesteps(s.sigmas()), np.array([s.fps, s.motion_bucket_id, s.noise_aug_strength]))
    x = s.scaling_factor * clip["start_latents"] + sigmas[0] * clip["noise"]
    deep: dict[int, np.ndarray] = {}
    for step in range(s.executed_steps):
        c_in = 1 / np.sqrt(sigmas[step] ** 2 + 1)
        layout = Windows(len(x), size=s.window, overlap=s.overlap, shift=shift_at(step, shift=s.shift, size=s.window))
        total, count, made = np.zeros_like(x), np.zeros((len(x), 1, 1, 1)), {}
        for frames in layout:
            for f in frames:
                if fresh[step]:
                    made[f] = deep_of(c_in * x[f], clip["image_latents"][0], clip["motion_tokens"][f], embeddings[step])
                total[f] += velocity_of(c_in * x[f], (made if fresh[step] else deep)[f])
                count[f] += 1
        deep = made or deep
        x = a[step] * x + b[step] * total / count
    return x


def run(clip, sampling: Sampling):
    backend = FakeBackend()
    sessions = two_parts(backend, window=sampling.window)
    final = denoise(
        backend,
        sessions,
        identity=identity_of(backend, clip),
        motion_tokens=backend.upload(clip["motion_tokens"]),
        noise=clip["noise"],
        sampling=sampling,
    )
    return backend.download(final), sessions


@pytest.mark.parametrize("frames", [3, 5, 12])  # shorter than its window, as long, longer
@pytest.mark.parametrize("deep_every", [1, 2, 3])
def test_windows_that_slide_take_every_frames_own_deep_features(frames, deep_every):
    sampling = Sampling(steps=5, window=5, overlap=1, shift=2, deep_every=deep_every, **ONE_ROW)
    clip = fake_clip(frames)
    fresh = [step % deep_every == 0 for step in range(5)]
    ours, sessions = run(clip, sampling)
    plain = plainly(clip, sampling, fresh)
    # As in test_denoise: float32 latents of some hundreds, a few roundings a step.
    assert np.abs(ours - plain).max() <= 2e-6 * max(np.abs(plain).max(), 1)
    layout = len(Windows(frames, size=5, overlap=1))
    assert len(sessions["inner"].runs) == layout * sum(fresh)
    assert len(sessions["denoiser"].runs) == layout * 5


def test_the_plain_rule_notices_stale_features():
    """The judge above is worth something: one step's features differ from the next one's by far more than its limit."""
    sampling = Sampling(steps=5, window=5, overlap=1, shift=2, **ONE_ROW)
    clip = fake_clip(12)
    fresh, stale = plainly(clip, sampling, [True] * 5), plainly(clip, sampling, [True, False, True, False, True])
    assert np.abs(fresh - stale).max() > 1e-3 * np.abs(fresh).max()


def test_features_are_made_anew_where_the_rows_change():
    guided = {"guidance_appearance": (2, 2), "guidance_motion": (2, 2)}
    sigmas = Sampling(steps=6).sigmas()
    inside = Sampling(steps=6, deep_every=3, guidance_interval=(float(sigmas[4]), float(sigmas[1])), **guided)
    assert inside.fresh() == [True, True, False, False, True, True]
    assert Sampling(steps=6, deep_every=3, **guided).fresh() == [True, False, False, True, False, False]
    assert Sampling(steps=6, deep_every=4, skip_last=1).fresh() == [True, False, False, False, True]


def test_rows_may_come_and_go():
    """Two rows at first, then one: the buffers follow."""
    sigmas = Sampling(steps=4).sigmas()
    sampling = Sampling(
        steps=4, window=5, overlap=1, shift=2, deep_every=2, guidance_interval=(float(sigmas[1]), float(sigmas[0]))
    )
    ours, sessions = run(fake_clip(12), sampling)
    assert [len(sessions["inner"].runs), len(sessions["denoiser"].runs)] == [6, 12]
    assert [shapes["image_latents"][0] for shapes in sessions["denoiser"].runs] == [2] * 6 + [1] * 6
    assert np.isfinite(ours).all()


def test_a_live_window_keeps_its_own_and_makes_them_anew_in_the_next():
    sampling = Sampling(steps=4, deep_every=2, window=5, **ONE_ROW)
    backend, clip = FakeBackend(), fake_clip(10)
    sessions = two_parts(backend, live=True)
    loop = LiveLoop(
        backend,
        sessions,
        identity=identity_of(backend, clip),
        sampling=sampling,
        windows=LiveWindows(size=5, overlap=0, lead_in=0),
        side_px=8 * H,
    )
    noise = NoiseStream(sampling.seed, 8 * H, 8 * W)
    alone = replace(sampling, overlap=0, shift=0)  # a clip of one window that stays where it is
    for start in (0, 5):
        tokens = clip["motion_tokens"][start : start + 5]
        made = backend.download(loop.window(backend.upload(tokens)))
        window = {**clip, "motion_tokens": tokens, "noise": noise.draw((5, CHANNELS, H, W))}
        plain = plainly(window, alone, [True, False, True, False])
        assert np.abs(made - plain).max() <= 2e-6 * max(np.abs(plain).max(), 1)
    assert [len(sessions["inner"].runs), len(sessions["denoiser"].runs)] == [2 * 2, 2 * 4]


def test_a_denoiser_in_one_part_cannot_reuse():
    backend, clip = FakeBackend(), fake_clip(9)
    with pytest.raises(InputError, match="deep_every 2 needs the denoiser in two parts"):
        denoise(
            backend,
            fake_sessions(backend, window=4),
            identity=identity_of(backend, clip),
            motion_tokens=backend.upload(clip["motion_tokens"]),
            noise=clip["noise"],
            sampling=Sampling(steps=3, window=4, overlap=1, deep_every=2),
        )
