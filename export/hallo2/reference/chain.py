"""Clip after clip as released: each starts from the last decoded frames of the clip before.

Source: SPEC 0.3, 0.6, 0.7, 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from export.hallo2.reference.audio_plan import audio_windows
from export.hallo2.reference.autoencoder import decode, encode
from export.hallo2.reference.schedule import scheduler
from export.hallo2.reference.unets import Conditions, reference_banks
from export.hallo2.reference.weights import Networks
from runtime.hallo2.presets import NEUTRAL


@dataclass(frozen=True, kw_only=True)
class Options:
    """The numbers of a run, by the names of the golden cases; the defaults are the released ones (SPEC 8)."""

    frames_per_clip: int = 16
    motion_frames: int = 2
    num_inference_steps: int = 40
    guidance_scale: float = 3.5
    motion_scale: tuple[float, float, float] = (1.0, 1.0, 1.0)  # pose, face, lip
    mask_rate: float = 0.25
    eta: float = 0.0
    bank_dtype: str = "float32"  # released: "float16", to which the banks are rounded whatever the rest is
    size: int = 512
    fps: int = 25
    sample_rate: int = 16000
    audio_piece_seconds: int = 60
    clips_per_segment: int = 60
    mood: tuple[float, ...] | None = None  # of a net that knows moods: how much of each; None: neutral
    face_expand_ratio: float = 1.2
    lip_expand_ratio: float = 2.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        """From the options of a golden case."""
        return cls(**{name: options[name] for name in cls.__dataclass_fields__ if name in options})


@dataclass(frozen=True, kw_only=True)
class ChainResult:
    """By the names of the golden outputs; S steps."""

    audio_tokens: torch.Tensor  # (clips, F, k, Da)
    timesteps: torch.Tensor  # (S) int64
    image_tokens: torch.Tensor  # (2, n, D)
    face_features: torch.Tensor  # (C0, h, w)
    pictures: torch.Tensor  # (clips, 1+m, 3, S, S): what the reference net sees
    reference_latents: torch.Tensor  # (clips, 1+m, 4, h, w) scaled
    latents_after_step: torch.Tensor  # (clips, S, 4, F, h, w)
    frames: torch.Tensor  # (clips F, 3, S, S) in [0, 1]
    first_v: torch.Tensor  # (clips, 2, 4, F, h, w): both halves at the first step


@torch.no_grad()
def run_chain(
    networks: Networks,
    options: Options,
    *,
    source_picture: torch.Tensor,
    face_region: torch.Tensor,
    embedding: torch.Tensor,
    audio_features: torch.Tensor,
    masks: Mapping[str, Sequence[torch.Tensor]],
    noise: torch.Tensor,
    fields: torch.Tensor,
) -> ChainResult:
    """source_picture (3, S, S) in [-1, 1], face_region (3, S, S) in [0, 1], embedding (512) raw, audio_features
    (T, layers, channels), masks full, face, lip -> (L_i) of every level, noise (clips, 4, F, h, w), fields
    (clips, S, S). As many clips as the features fill."""
    size, m = options.frames_per_clip, options.motion_frames
    if audio_features.shape[0] < size:
        raise ValueError(
            f"the audio features have {audio_features.shape[0]} frames and a clip has {size}; pad the track to one clip"
        )
    tokens = networks.audioproj(audio_windows(audio_features))
    image_tokens = torch.cat([networks.imageproj(e[None]) for e in (torch.zeros_like(embedding), embedding)])
    motion = source_picture.repeat(m, 1, 1, 1)
    clips: list[Clip] = []
    for number in range(audio_features.shape[0] // size):
        motion = drop(motion, face_region, fields[number], rate=options.mask_rate)
        clips.append(
            run_clip(
                networks,
                options,
                pictures=torch.cat([source_picture[None], motion]),
                face_region=face_region,
                image_tokens=image_tokens,
                audio_tokens=tokens[number * size : (number + 1) * size],
                masks=masks,
                noise=noise[number],
            )
        )
        motion = clips[-1].frames[-m:] * 2 - 1
    return ChainResult(
        audio_tokens=tokens[: len(clips) * size].unflatten(0, (len(clips), size)),
        timesteps=scheduler(options.num_inference_steps).timesteps,
        image_tokens=image_tokens,
        face_features=clips[0].face_features,
        pictures=torch.stack([clip.pictures for clip in clips]),
        reference_latents=torch.stack([clip.reference_latents for clip in clips]),
        latents_after_step=torch.stack([clip.latents_after_step for clip in clips]),
        frames=torch.cat([clip.frames for clip in clips]),
        first_v=torch.stack([clip.first_v for clip in clips]),
    )


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip's part of `ChainResult`."""

    face_features: torch.Tensor
    pictures: torch.Tensor
    reference_latents: torch.Tensor
    latents_after_step: torch.Tensor
    frames: torch.Tensor
    first_v: torch.Tensor


def run_clip(
    networks: Networks,
    options: Options,
    *,
    pictures: torch.Tensor,
    face_region: torch.Tensor,
    image_tokens: torch.Tensor,
    audio_tokens: torch.Tensor,
    masks: Mapping[str, Sequence[torch.Tensor]],
    noise: torch.Tensor,
) -> Clip:
    """pictures (1+m, 3, S, S): the source and the motion frames after the drop; audio_tokens (F, k, Da); noise
    (4, F, h, w)."""
    reference_latents = encode(networks.vae, pictures)
    banks = reference_banks(
        networks.reference_unet, networks.config, reference_latents.repeat(2, 1, 1, 1), image_tokens
    )
    dtype = getattr(torch, options.bank_dtype)
    given = Conditions(
        image_tokens=with_mood(networks, image_tokens, options.mood),
        audio_tokens=torch.stack([torch.zeros_like(audio_tokens), audio_tokens]),
        masks=masks,
        motion_scale=options.motion_scale,
        banks={place: bank.to(dtype).float() for place, bank in banks.items()},
    )
    regions = face_region.repeat(noise.shape[1], 1, 1, 1)
    face_features = networks.face_locator(regions).transpose(0, 1)  # (C0, F, h, w), all frames alike
    both_features = torch.stack([torch.zeros_like(face_features), face_features])
    schedule = scheduler(options.num_inference_steps)
    latents = noise * schedule.init_noise_sigma
    velocities: list[torch.Tensor] = []
    after: list[torch.Tensor] = []
    for timestep in schedule.timesteps:
        v = networks.denoising_unet(latents.repeat(2, 1, 1, 1, 1), timestep, both_features, given)
        velocities.append(v)
        unconditional, conditional = v
        guided = unconditional + options.guidance_scale * (conditional - unconditional)
        latents = schedule.step(guided, timestep, latents, eta=options.eta).prev_sample
        after.append(latents)
    return Clip(
        face_features=face_features[:, 0],
        pictures=pictures,
        reference_latents=reference_latents,
        latents_after_step=torch.stack(after),
        frames=decode(networks.vae, latents.transpose(0, 1)),
        first_v=velocities[0],
    )


def with_mood(networks: Networks, image_tokens: torch.Tensor, mood: tuple[float, ...] | None) -> torch.Tensor:
    """What the denoising net is told of who is seen, image_tokens (2, n, D): where it knows moods, of the mood too."""
    if not networks.config.moods:
        return image_tokens
    return networks.denoising_unet.with_mood(image_tokens, mood or NEUTRAL)


def drop(motion: torch.Tensor, face_region: torch.Tensor, field: torch.Tensor, *, rate: float) -> torch.Tensor:
    """motion (m, 3, H, W), face_region (3, H, W), field (H, W) in [0, 1): a pixel stays where the field is above
    `rate` or the region is not 0, and is 0 elsewhere. One field for all motion frames."""
    kept = (field > rate) | (face_region != 0)
    return motion * kept
