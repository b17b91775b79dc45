"""From pictures to tokens: a portrait once, a driving video in groups of frames."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from engines.backend import Backend, Buffer, Session
from runtime.finite import require_finite
from runtime.hunyuanportrait.memory_bank import Identity
from runtime.stages import Stages
from runtime.streams import Guard


def encode_portrait(
    backend: Backend,
    sessions: Mapping[str, Session],
    *,
    image: np.ndarray,
    appearance_image: np.ndarray,
    id_embedding: np.ndarray,
    noise_aug: np.ndarray | None = None,
    noise_aug_strength: float = 0.0,
    stages: Stages | None = None,
) -> Identity:
    """Run `appearance` and `vae_encoder` on one portrait.

    image (1, 3, H, W) float32 in [-1, 1]; appearance_image (1, 3, Ha, Wa) float32, ImageNet-normalised;
    id_embedding (1, 512) float32, of length 1 or all zeros; noise_aug (1, 3, H, W) unit normal, needed only for a
    strength above 0. Only the condition is made from the noisy image (SPEC 8, step 2). Raises NonFiniteError.
    """
    stages = stages or Stages()
    stages.begin("portrait", total=2)
    with stages.unit("portrait"):
        tokens = sessions["appearance"].run(
            {"image": backend.upload(appearance_image), "id_embedding": backend.upload(id_embedding)}
        )["image_tokens"]
        require_finite(backend.download(tokens), "appearance: image tokens")
    with stages.unit("portrait"):
        start = _mean(backend, sessions, image)
        condition = start
        if noise_aug_strength:
            assert noise_aug is not None, "a noise_aug_strength above 0 needs its noise"
            condition = _mean(backend, sessions, image + np.float32(noise_aug_strength) * noise_aug)
    stages.end("portrait")
    return Identity(image_tokens=tokens, image_latents=backend.upload(condition), start_latents=start)


def encode_motion(
    backend: Backend,
    session: Session,
    *,
    face_images: np.ndarray,
    pose_images: np.ndarray,
    head_id: int,
    exp_id: int,
    first_frame: int = 0,
    guard: Guard | None = None,
) -> Buffer:
    """Run `motion` on one group of n driving frames: tokens (n, m, D), for a `MotionBank`.

    face_images, pose_images (n, 3, P, P) float32 in [0, 1]; head_id, exp_id in 0..127, the group's motion
    intensities (SPEC 7.4). `first_frame` is only for the message of the NonFiniteError this may raise. With a `guard`,
    whoever settles it raises it, such as `MotionBank.append` of the next group, and this returns before the tokens are
    made.
    """
    tokens = session.run(
        {
            "face_images": backend.upload(face_images),
            "pose_images": backend.upload(pose_images),
            "head_id": backend.upload(np.array([head_id], np.int64)),
            "exp_id": backend.upload(np.array([exp_id], np.int64)),
        }
    )["motion_tokens"]
    last_frame = first_frame + len(face_images) - 1
    what = f"motion: tokens of driving frames {first_frame} to {last_frame}"
    if guard is None:
        require_finite(backend.download(tokens), what)
    else:
        guard.watch(tokens, partial(require_finite, what=what))
    return tokens


def _mean(backend: Backend, sessions: Mapping[str, Session], image: np.ndarray) -> np.ndarray:
    output = sessions["vae_encoder"].run({"image": backend.upload(image)})["mean"]
    return require_finite(backend.download(output), "vae_encoder: portrait latents")
