"""Stand-ins for the networks: small, non-linear, and sensitive to everything a network sees.

The same formula serves the fake graphs of the loop and the plain loop that judges it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from runtime.hunyuanportrait.memory_bank import Identity
from tests.fakes import FakeBackend, FakeSession, spec

H = W = 3
CHANNELS = 4
TOKENS, FEATURES, EMBEDDING, POSE_CHANNELS = 2, 5, 6, 2


def velocity(x, image_latents, image_tokens, motion_tokens, embedding, pose=None):
    """One row's v (F, 4, h, w): each frame sees its motion, the window's mean motion, its place in the window."""
    frames = len(x)
    mean_motion = motion_tokens.mean()
    own = motion_tokens.mean((1, 2)).reshape(frames, 1, 1, 1)
    index = np.arange(frames).reshape(frames, 1, 1, 1)
    seen = 0.3 * image_latents + 0.2 * image_tokens.mean() + 0.5 * own + 0.1 * mean_motion
    if pose is not None:
        seen = seen + pose.mean(1, keepdims=True)
    neighbours = np.roll(x, 1, axis=0)
    return np.tanh(x + 0.5 * neighbours + seen + 0.05 * index) + 0.1 * embedding.mean()


def embed(timesteps, added_time_ids):
    """(steps, E) from (steps,) and (3,)."""
    k = np.arange(1, EMBEDDING + 1)
    return np.cos(timesteps[:, None] * k) + 0.01 * added_time_ids.sum()


def fake_sessions(
    backend: FakeBackend, *, window: int, token_dtype: str = "float32", pose: bool = False, most: int = 1000
) -> dict[str, FakeSession]:
    """The loop's three graphs, named and shaped as in a bundle."""

    def denoiser(
        latents, c_in, step_embedding, image_latents, image_tokens, motion_tokens, row_weights, pose_features=None
    ):
        total = np.zeros_like(latents)
        for r, weight in enumerate(row_weights):
            contexts = (image_latents[r], image_tokens[r].astype("f4"), motion_tokens[r].astype("f4"))
            total += weight * velocity(latents * c_in, *contexts, step_embedding, pose_features)
        return {"velocity": total.astype(np.float32)}

    def stitch(latents, velocities, slots, weights, a, b):
        mean = (weights[:, :, None, None, None] * velocities[slots]).sum(1)
        return {"next_latents": (a * latents + b * mean).astype(np.float32)}

    cell = (CHANNELS, H, W)
    tokens = {"image_tokens": token_dtype, "motion_tokens": token_dtype}
    inputs = {
        "latents": (window, *cell),
        "c_in": (1,),
        "step_embedding": (1, EMBEDDING),
        "image_latents": ("rows", *cell),
        "image_tokens": ("rows", TOKENS, FEATURES),
        "motion_tokens": ("rows", window, TOKENS, FEATURES),
        "row_weights": ("rows",),
    }
    if pose:
        inputs["pose_features"] = (window, POSE_CHANNELS, H, W)
    return {
        "denoiser": backend.session(
            spec("denoiser", inputs, {"velocity": (window, *cell)}, dtypes=tokens, most=3, repeated=True), denoiser
        ),
        "stitch": backend.session(
            spec(
                "stitch",
                {
                    "latents": (window, *cell),
                    "velocities": ("total", *cell),
                    "slots": (window, "held"),
                    "weights": (window, "held"),
                    "a": (1,),
                    "b": (1,),
                },
                {"next_latents": (window, *cell)},
                dtypes={"slots": "int64"},
                most=most,
            ),
            stitch,
        ),
        "step_embedding": backend.session(
            spec(
                "step_embedding",
                {"timesteps": ("steps",), "added_time_ids": (3,)},
                {"embeddings": ("steps", EMBEDDING)},
            ),
            lambda timesteps, added_time_ids: {"embeddings": embed(timesteps, added_time_ids).astype(np.float32)},
        ),
    }


def fake_clip(frames: int, *, token_dtype: str = "float32") -> Mapping[str, np.ndarray]:
    """What a clip is made from, as host arrays."""
    rng = np.random.default_rng(frames)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    return {
        "start_latents": normal(1, CHANNELS, H, W),
        "image_latents": normal(1, CHANNELS, H, W),
        "image_tokens": normal(1, TOKENS, FEATURES).astype(token_dtype),
        "motion_tokens": normal(frames, TOKENS, FEATURES).astype(token_dtype),
        "pose_features": normal(frames, POSE_CHANNELS, H, W),
        "noise": normal(frames, CHANNELS, H, W),
    }


def identity_of(backend: FakeBackend, clip: Mapping[str, np.ndarray]) -> Identity:
    return Identity(
        image_tokens=backend.upload(clip["image_tokens"]),
        image_latents=backend.upload(clip["image_latents"]),
        start_latents=clip["start_latents"],
    )
