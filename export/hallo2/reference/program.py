"""The whole released program from picture, landmarks, embedding and speech to frames, without vocal separation.

Source: SPEC 7, 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from export.hallo2.reference.audio_plan import AudioPlan, audio_plan
from export.hallo2.reference.chain import ChainResult, Options, run_chain
from export.hallo2.reference.masks import PortraitMasks, portrait, portrait_masks
from export.hallo2.reference.speech import SpeechEncoder, encode_piece
from export.hallo2.reference.weights import Networks


@dataclass(frozen=True, kw_only=True)
class ProgramResult:
    """What was made on the way, and the video."""

    plan: AudioPlan
    masks: PortraitMasks
    audio_features: torch.Tensor  # (T, layers, hidden) with padding
    chain: ChainResult
    saved: np.ndarray  # (N, S, S, 3) uint8, cut to the track's length


@torch.no_grad()
def run_program(
    networks: Networks,
    options: Options,
    *,
    picture: np.ndarray,
    landmarks: np.ndarray,
    embedding: torch.Tensor,
    wave_pcm16: np.ndarray,
    noise: torch.Tensor,
    fields: torch.Tensor,
) -> ProgramResult:
    """picture (H, W, 3) uint8 RGB, landmarks (478, 2) in its pixels, embedding (512) raw, wave_pcm16 (n) int16 mono at
    the sample rate, noise (clips, 4, F, h, w), fields (clips, S, S)."""
    masks = portrait_masks(
        landmarks,
        height=picture.shape[0],
        width=picture.shape[1],
        size=options.size,
        levels=len(networks.config.channels),
        face_expand_ratio=options.face_expand_ratio,
        lip_expand_ratio=options.lip_expand_ratio,
    )
    plan = audio_plan(
        len(wave_pcm16),
        frames_per_clip=options.frames_per_clip,
        fps=options.fps,
        sample_rate=options.sample_rate,
        audio_piece_seconds=options.audio_piece_seconds,
        clips_per_segment=options.clips_per_segment,
    )
    features = track_features(networks.speech_encoder, plan, wave_pcm16)
    chain = run_chain(
        networks,
        options,
        source_picture=torch.from_numpy(portrait(picture, options.size)),
        face_region=torch.from_numpy(masks.face_region),
        embedding=embedding,
        audio_features=features,
        masks={name: [torch.from_numpy(mask) for mask in levels] for name, levels in masks.levels.items()},
        noise=noise,
        fields=fields,
    )
    return ProgramResult(
        plan=plan,
        masks=masks,
        audio_features=features,
        chain=chain,
        saved=to_saved(chain.frames)[: plan.audio_frames],
    )


def track_features(encoder: SpeechEncoder, plan: AudioPlan, wave_pcm16: np.ndarray) -> torch.Tensor:
    """(T, layers, hidden), piece by piece; the track is first cut or filled to whole milliseconds."""
    wave = np.zeros(plan.samples, np.float32)
    known = min(plan.samples, len(wave_pcm16))
    wave[:known] = wave_pcm16[:known].astype(np.float32) / 32768
    return torch.cat(
        [
            encode_piece(
                encoder,
                wave[piece.start : piece.start + piece.samples],
                frames=piece.frames,
                padding_frames=piece.padding_frames,
                padding_samples=piece.padding_samples,
            )
            for piece in plan.pieces
        ]
    )


def to_saved(frames: torch.Tensor) -> np.ndarray:
    """(N, 3, S, S) in [0, 1] -> (N, S, S, 3) uint8, truncated."""
    return (frames * 255).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
