"""One window's inputs and a whole clip's, synthetic, the same for whoever computes with them. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.spec import NetworkSpec
from runtime import schedule
from runtime.hunyuanportrait.sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class ClipInputs:
    """What the loop needs of a portrait and a driving clip of T = N + 2 pad frames."""

    image_tokens: np.ndarray  # (1, n, D) float16
    image_latents: np.ndarray  # (1, 4, h, w) float32
    motion_tokens: np.ndarray  # (T, m, D) float16
    noise: np.ndarray  # (T, 4, h, w) float32

    @classmethod
    def of(cls, denoiser: NetworkSpec, sampling: Sampling, *, frames: int) -> ClipInputs:
        """Unit normal, by the shapes that `denoiser` promises."""
        generator = np.random.default_rng(0)
        padded = frames + 2 * sampling.pad_frames

        def normal(name: str, *lead: int) -> np.ndarray:
            dims = [int(d) for d in denoiser.input(name).dims if not isinstance(d, str)]
            tail = dims[1:] if name in ("latents", "motion_tokens") else dims
            return generator.standard_normal((*lead, *tail), dtype=np.float32).astype(denoiser.input(name).dtype)

        return cls(
            image_tokens=normal("image_tokens", 1),
            image_latents=normal("image_latents", 1),
            motion_tokens=normal("motion_tokens", padded),
            noise=normal("latents", padded),
        )

    def window(self, sampling: Sampling) -> dict[str, np.ndarray]:
        """The first window at the first step: latents (F, 4, h, w), c_in (1), timestep (1), added_time_ids (3),
        image_latents (1, 4, h, w), image_tokens (1, n, D), motion_tokens (F, m, D)."""
        sigmas = schedule.executed(schedule.sigmas(sampling.steps), sampling.executed_steps)
        frames = np.arange(sampling.window) % len(self.noise)
        return {
            "latents": np.float32(sigmas[0]) * self.noise[frames],
            "c_in": schedule.input_scales(sigmas)[:1],
            "timestep": schedule.timesteps(sigmas)[:1],
            "added_time_ids": np.array([sampling.fps, sampling.motion_bucket_id, sampling.noise_aug_strength], "f4"),
            "image_latents": self.image_latents,
            "image_tokens": self.image_tokens,
            "motion_tokens": self.motion_tokens[frames],
        }
