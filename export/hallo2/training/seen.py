"""What the last phase learns from: every clip as the frozen networks see and hear it, so that they need not look again.

A clip of N frames is cut into windows of F, each behind m motion frames. Motion frames are kept with pixels dropped, as
the application drops them; which ones is decided once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from export.hallo2.networks.vae import VAE
from export.hallo2.training.drawn import Sentence, TalkingClip
from export.hallo2.training.speech import tokens_of
from export.training.phase import Modules
from runtime.hallo2.motion_frames import drop

DROPPED = 0.25  # of a motion frame's pixels outside of the face, as released
_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How clips are cut into windows."""

    frames: int  # of a clip
    window: int  # F
    motion_frames: int  # m

    @property
    def starts(self) -> range:
        """First frame of each window."""
        return range(self.motion_frames, self.frames - self.window + 1, self.window)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Scaled latents of a clip, (..., 4, h, w) float16."""

    frames: np.ndarray  # (N, ...)
    portrait: np.ndarray  # (1, ...)
    dropped_portrait: np.ndarray  # (1, ...): as the first clip's motion frames
    nothing: np.ndarray  # (1, ...): of a picture without content
    motion: np.ndarray  # (windows, m, ...): dropped

    @classmethod
    def of(cls, array: np.ndarray, cut: Cut) -> Seen:
        """From what `look` made."""
        parts = np.split(array, np.cumsum([cut.frames, 1, 1, 1]))
        motion = parts[4].reshape(len(cut.starts), cut.motion_frames, *array.shape[1:])
        return cls(frames=parts[0], portrait=parts[1], dropped_portrait=parts[2], nothing=parts[3], motion=motion)


@torch.no_grad()
def look(clip: TalkingClip, vae: VAE, cut: Cut, *, seed: int, device: torch.device) -> np.ndarray:
    """All that `Seen` has of a clip, one behind the other: (n, 4, h, w) float16."""
    rng = np.random.default_rng([seed, 93])
    frames, portrait = planes(clip.pictures), planes(clip.portrait[None])
    region = np.repeat(clip.face_region[None], 3, axis=0)

    def dropped(pictures: np.ndarray) -> np.ndarray:
        return drop(pictures, region, rng.uniform(size=region.shape[1:]).astype(np.float32), DROPPED)

    motion = [dropped(frames[start - cut.motion_frames : start]) for start in cut.starts]
    pictures = np.concatenate([frames, portrait, dropped(portrait), np.zeros_like(portrait), *motion])
    latents = []
    for part in np.array_split(pictures, -(-len(pictures) // _AT_ONCE)):
        mean = vae.encode(torch.from_numpy(part).to(device))[:, : vae.config.latent_channels]
        latents.append((mean * vae.config.scaling_factor).cpu().numpy().astype(np.float16))
    return np.concatenate(latents)


@torch.no_grad()
def hear(sentence: Sentence, modules: Modules, device: torch.device) -> np.ndarray:
    """Audio tokens (T, k, Da) float16 of a whole sentence."""
    wave = sentence.samples.astype(np.float32) / 32768
    return tokens_of(modules, wave, len(sentence.lips), device).cpu().numpy().astype(np.float16)


def planes(pictures: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [-1, 1]."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(127.5) - np.float32(1)
