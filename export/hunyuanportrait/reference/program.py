"""The whole released program between the crops and the paste-back, in plain torch.

Takes prepared images (the crops are `hp_trt`'s work), gives the square video.

Source: SPEC 0, 7.4, 7.5, 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from export.hunyuanportrait.reference.motion import chunk_motion_tokens, motion_ids, pad_motion
from export.hunyuanportrait.reference.sample import LoopResult, Observer, SamplingOptions, sample


@dataclass(frozen=True, kw_only=True)
class ProgramResult:
    """By the names of the golden outputs."""

    motion_ids: torch.Tensor  # (chunks, 2) int64: head, expression
    motion_tokens: torch.Tensor  # (T, m, D) padded
    video: torch.Tensor  # (N, 3, S, S) in [0, 1], padding removed
    loop: LoopResult


@torch.no_grad()
def run_program(
    networks: Mapping[str, Any],
    options: SamplingOptions,
    *,
    pad_frames: int,
    reference_image: torch.Tensor,
    transformed_image: torch.Tensor,
    id_embedding: torch.Tensor,
    face_images: torch.Tensor,
    pose_images: torch.Tensor,
    landmarks: torch.Tensor,
    noise_aug: torch.Tensor,
    initial_noise: torch.Tensor,
    observe: Observer | None = None,
) -> ProgramResult:
    """reference_image (3, S, S) in [-1, 1], transformed_image (3, s, s) ImageNet-normalised, id_embedding (id_dim),
    face_images and pose_images (N, 3, P, P) in [0, 1], landmarks (N, 5, 2) in pixels of the driving frames,
    noise_aug (3, S, S), initial_noise (N + 2 pad_frames, 4, S/8, S/8)."""
    frames = face_images.shape[0]
    ids, tokens = [], []
    for start in range(0, frames, options.window):
        part = slice(start, start + options.window)
        ids.append(motion_ids(landmarks[part]))
        tokens.append(
            chunk_motion_tokens(
                networks["expression"],
                networks["motion_refiner"],
                networks["head_pose"],
                face_images[part],
                pose_images[part],
                ids[-1],
            )
        )
    motion_tokens = pad_motion(torch.cat(tokens), pad_frames)
    loop = sample(
        networks,
        options,
        reference_image=reference_image,
        transformed_image=transformed_image,
        id_embedding=id_embedding,
        motion_tokens=motion_tokens,
        noise_aug=noise_aug,
        initial_noise=initial_noise,
        pose_images=reference_image.new_zeros(frames + 2 * pad_frames, *reference_image.shape),  # always black
        observe=observe,
    )
    video = (loop.decoded * 0.5 + 0.5).clamp(0, 1)[pad_frames : pad_frames + frames]
    return ProgramResult(motion_ids=torch.tensor(ids), motion_tokens=motion_tokens, video=video, loop=loop)
