"""A portrait is encoded once; only the condition sees the noise."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import NonFiniteError
from runtime.hunyuanportrait.encode import encode_motion, encode_portrait
from runtime.hunyuanportrait.memory_bank import MotionBank
from runtime.hunyuanportrait.noise import initial_noise, noise_aug
from tests.fakes import FakeBackend, spec

SIZE = 16


def sessions(backend):
    appearance = spec("appearance", {"image": (1, 3, 8, 8), "id_embedding": (1, 512)}, {"image_tokens": (1, 2, 5)})
    encoder = spec("vae_encoder", {"image": (1, 3, SIZE, SIZE)}, {"mean": (1, 4, 2, 2)})
    motion = spec(
        "motion",
        {"face_images": ("frames", 3, 8, 8), "pose_images": ("frames", 3, 8, 8), "head_id": (1,), "exp_id": (1,)},
        {"motion_tokens": ("frames", 2, 5)},
        dtypes={"head_id": "int64", "exp_id": "int64"},
    )

    def tokens(face_images, pose_images, head_id, exp_id):
        numbers = face_images.mean((1, 2, 3)) + 10 * head_id + 100 * exp_id
        return {"motion_tokens": np.tile(numbers[:, None, None], (1, 2, 5)).astype(np.float32)}

    return {
        "appearance": backend.session(
            appearance, lambda image, id_embedding: {"image_tokens": np.full((1, 2, 5), image.sum(), np.float32)}
        ),
        "vae_encoder": backend.session(encoder, lambda image: {"mean": image[:, [0, 1, 2, 0], ::8, ::8]}),
        "motion": backend.session(motion, tokens),
    }


def portrait(backend, graphs, **options):
    return encode_portrait(
        backend,
        graphs,
        image=np.full((1, 3, SIZE, SIZE), 0.5, np.float32),
        appearance_image=np.ones((1, 3, 8, 8), np.float32),
        id_embedding=np.zeros((1, 512), np.float32),
        **options,
    )


def test_without_noise_one_encoding_serves_both_uses():
    backend = FakeBackend()
    graphs = sessions(backend)
    identity = portrait(backend, graphs)
    assert len(graphs["vae_encoder"].runs) == 1
    np.testing.assert_array_equal(backend.download(identity.image_latents), identity.start_latents)
    assert (identity.start_latents == 0.5).all()  # not scaled by 0.18215
    assert (backend.download(identity.image_tokens) == 192).all()


def test_noise_reaches_the_condition_only():
    backend = FakeBackend()
    noise = noise_aug(7, SIZE, SIZE)
    identity = portrait(backend, sessions(backend), noise_aug=noise, noise_aug_strength=0.1)
    assert (identity.start_latents == 0.5).all()
    expected = 0.5 + np.float32(0.1) * noise[:, [0, 1, 2, 0], ::8, ::8]
    np.testing.assert_allclose(backend.download(identity.image_latents), expected, rtol=1e-6)  # one rounding


def test_a_group_of_frames_shares_its_intensities():
    backend = FakeBackend()
    images = np.zeros((3, 3, 8, 8), np.float32)
    tokens = encode_motion(
        backend, sessions(backend)["motion"], face_images=images, pose_images=images, head_id=2, exp_id=3
    )
    assert (backend.download(tokens) == 320).all()
    assert tokens.shape == (3, 2, 5)


def test_a_nan_names_its_driving_frames():
    backend = FakeBackend()
    images = np.full((3, 3, 8, 8), np.nan, np.float32)
    options = {"face_images": images, "pose_images": images, "head_id": 0, "exp_id": 0, "first_frame": 25}
    with pytest.raises(NonFiniteError, match="motion: tokens of driving frames 25 to 27: 30 of 30 values"):
        encode_motion(backend, sessions(backend)["motion"], **options)


def test_with_the_banks_guard_a_nan_is_found_by_the_next_group_or_at_the_end():
    backend = FakeBackend()
    session, bank = sessions(backend)["motion"], MotionBank(backend)

    def group(value):
        images = np.full((3, 3, 8, 8), value, np.float32)
        frames = {"face_images": images, "pose_images": images, "first_frame": len(bank)}
        bank.append(encode_motion(backend, session, **frames, head_id=0, exp_id=0, guard=bank.guard))

    group(0.5)
    group(np.nan)
    with pytest.raises(NonFiniteError, match="motion: tokens of driving frames 3 to 5: 30 of 30 values"):
        group(0.5)
    group(np.nan)
    with pytest.raises(NonFiniteError, match="motion: tokens of driving frames 6 to 8"):
        bank.finish(2)


def test_the_portraits_noise_is_drawn_before_the_clips():
    generator = np.random.Generator(np.random.PCG64(7))
    np.testing.assert_array_equal(noise_aug(7, 16, 24), generator.standard_normal((1, 3, 16, 24), np.float32))
    np.testing.assert_array_equal(
        initial_noise(7, (5, 4, 2, 3), 16, 24), generator.standard_normal((5, 4, 2, 3), np.float32)
    )
