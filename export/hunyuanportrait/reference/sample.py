"""The sampling loop as released: every step, every window, every guidance row, one after the other.

Source: SPEC 8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from export.hunyuanportrait.reference import schedule
from export.hunyuanportrait.reference.unet import ReferenceUNet
from export.hunyuanportrait.reference.vae import decode, encode
from export.hunyuanportrait.reference.windows import coverage, shifts, window_frames, window_starts

# (executed step, window, what the window saw and gave): see `denoise_window` for the tensors.
Observer = Callable[[int, int, Mapping[str, torch.Tensor]], None]


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The numbers of a run, by the names of the golden cases; the defaults are the released ones (SPEC 10)."""

    window: int = 25
    overlap: int = 3
    shift_offset: int = 3
    num_inference_steps: int = 25
    strength: float = 1.0
    guidance_appearance: tuple[float, float] = (2.0, 2.0)  # first and last executed step, linear between
    guidance_motion: tuple[float, float] = (2.0, 2.0)
    noise_aug_strength: float = 0.0
    decode_chunk_size: int = 8
    fps: float = 12.5
    motion_bucket_id: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.window:
            raise ValueError(f"need 0 <= overlap < window, got {self.overlap} and {self.window}; lower the overlap")
        if not (0 < self.strength <= 1 and int(self.num_inference_steps * self.strength) >= 1):
            raise ValueError(
                f"strength {self.strength} of {self.num_inference_steps} steps executes none; "
                "needed are a strength in (0, 1] and at least one step: raise either"
            )
        if self.decode_chunk_size < 1:
            raise ValueError(f"decode_chunk_size is {self.decode_chunk_size}, needed is at least 1")


@dataclass(frozen=True, kw_only=True)
class LoopResult:
    """What the loop gives, by the names of the golden outputs. S executed steps, T frames, k windows of W."""

    window_starts: torch.Tensor  # (S, k) int64
    window_frames: torch.Tensor  # (S, k, W) int64
    timesteps: torch.Tensor  # (S)
    added_time_ids: torch.Tensor  # (3)
    image_tokens: torch.Tensor  # (n, D)
    image_latents: torch.Tensor  # (4, h, w) mode of the noise-augmented image, unscaled
    reference_latents_scaled: torch.Tensor  # (4, h, w) scaling_factor * mean of the plain image
    pose_features: torch.Tensor  # (T, C0, h, w)
    latents_after_step: torch.Tensor  # (S, T, 4, h, w)
    final_latents: torch.Tensor  # (T, 4, h, w)
    decoded: torch.Tensor  # (T, 3, H, W) raw decoder output


@torch.no_grad()
def sample(
    networks: Mapping[str, Any],
    options: SamplingOptions,
    *,
    reference_image: torch.Tensor,
    transformed_image: torch.Tensor,
    id_embedding: torch.Tensor,
    motion_tokens: torch.Tensor,
    noise_aug: torch.Tensor,
    initial_noise: torch.Tensor,
    pose_images: torch.Tensor,
    observe: Observer | None = None,
) -> LoopResult:
    """reference_image (3, H, W) in [-1, 1], transformed_image (3, s, s) ImageNet-normalised, id_embedding (id_dim),
    motion_tokens (T, m, D) padded, noise_aug (3, H, W), initial_noise (T, 4, h, w), pose_images (T, 3, H, W)."""
    vae, frames, device = networks["vae"], motion_tokens.shape[0], motion_tokens.device
    image_tokens = networks["image_proj"](networks["appearance"](transformed_image[None], id_embedding[None]))[0]
    pose_features = torch.cat([networks["pose_guider"](image[None]) for image in pose_images])
    augmented = reference_image + options.noise_aug_strength * noise_aug
    image_latents = encode(vae, augmented[None])[0][0]
    reference_latents = vae.config.scaling_factor * encode(vae, reference_image[None])[0][0]

    sigmas = schedule.sigmas(options.num_inference_steps)
    timesteps = schedule.timesteps(sigmas)
    first = schedule.first_step(options.num_inference_steps, options.strength)
    executed = range(first, options.num_inference_steps)
    added_time_ids = torch.tensor([options.fps, options.motion_bucket_id, options.noise_aug_strength])
    added_time_ids = added_time_ids.to(device)
    guidance = zip(
        torch.linspace(*options.guidance_appearance, len(executed)),
        torch.linspace(*options.guidance_motion, len(executed)),
        strict=True,
    )
    moved = shifts(len(executed), window=options.window, shift_offset=options.shift_offset)
    starts = [window_starts(frames, window=options.window, overlap=options.overlap, shift=shift) for shift in moved]
    windows = [[window_frames(s, frames=frames, window=options.window) for s in step] for step in starts]

    x = schedule.add_noise(reference_latents, initial_noise, sigmas[first])
    after_step = []
    for i, (step, (g1, g2)) in enumerate(zip(executed, guidance, strict=True)):
        total = torch.zeros_like(x)
        for w, frame_ids in enumerate(windows[i]):
            seen = denoise_window(
                networks["unet"],
                x[frame_ids],
                image_latents=image_latents,
                sigma=sigmas[step],
                sigma_next=sigmas[step + 1],
                timestep=timesteps[step],
                added_time_ids=added_time_ids,
                image_tokens=image_tokens,
                motion_tokens=motion_tokens[frame_ids],
                pose_features=pose_features[frame_ids],
                guidance=(g1, g2),
            )
            total.index_add_(
                0, torch.tensor(frame_ids, device=device), seen["window_latents"]
            )  # a repeated frame counts each time
            if observe is not None:
                observe(i, w, seen)
        x = total / coverage(windows[i], frames).to(device)[:, None, None, None]
        after_step.append(x)

    return LoopResult(
        window_starts=torch.tensor(starts),
        window_frames=torch.tensor(windows),
        timesteps=timesteps[first:],
        added_time_ids=added_time_ids,
        image_tokens=image_tokens,
        image_latents=image_latents,
        reference_latents_scaled=reference_latents,
        pose_features=pose_features,
        latents_after_step=torch.stack(after_step),
        final_latents=x,
        decoded=decode(vae, x / vae.config.scaling_factor, chunk=options.decode_chunk_size),
    )


def denoise_window(
    unet: ReferenceUNet,
    latents: torch.Tensor,
    *,
    image_latents: torch.Tensor,
    sigma: torch.Tensor,
    sigma_next: torch.Tensor,
    timestep: torch.Tensor,
    added_time_ids: torch.Tensor,
    image_tokens: torch.Tensor,
    motion_tokens: torch.Tensor,
    pose_features: torch.Tensor,
    guidance: tuple[torch.Tensor, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """One window's step: latents (W, 4, h, w), unscaled -> its tensors by name.

    `sample` (3, W, 8, h, w), `motion_tokens` (3, W, m, D) and `v` (3, W, 4, h, w) hold the rows unconditional,
    drop-motion, conditional; `window_prediction` is the guided v and `window_latents` the stepped latents.
    """
    frames = latents.shape[0]
    scaled = schedule.scale_input(latents, sigma)
    image_latents = image_latents.expand(frames, -1, -1, -1)
    image_tokens = image_tokens.expand(frames, -1, -1)
    rows = [
        (torch.zeros_like(image_latents), torch.zeros_like(image_tokens), torch.zeros_like(motion_tokens)),
        (image_latents, image_tokens, torch.zeros_like(motion_tokens)),
        (image_latents, image_tokens, motion_tokens),
    ]
    samples = [torch.cat([scaled, row_latents], dim=1) for row_latents, _, _ in rows]
    v = [
        unet.velocity(
            sample[None], timestep, added_time_ids[None], row_tokens[None], row_motion[None], pose_features[None]
        )[0]
        for sample, (_, row_tokens, row_motion) in zip(samples, rows, strict=True)
    ]
    g1, g2 = guidance
    guided = v[0] + g1 * (v[1] - v[0]) + g2 * (v[2] - v[1])
    return {
        "sample": torch.stack(samples),
        "motion_tokens": torch.stack([row_motion for _, _, row_motion in rows]),
        "v": torch.stack(v),
        "window_prediction": guided,
        "window_latents": schedule.euler_step(latents, guided, sigma, sigma_next),
    }
