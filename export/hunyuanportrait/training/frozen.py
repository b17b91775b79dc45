"""The networks that ended phases have left, and what they see of a run's clips: the data of the phases after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import nn

from engines.errors import InputError
from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose, rotation_deg
from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.presets import Preset
from export.hunyuanportrait.training.autoencoder import space_only
from export.hunyuanportrait.training.clips import Clips, DrivingClips, as_planes
from export.hunyuanportrait.training.denoiser import DenoiserPhase
from export.hunyuanportrait.training.recorded import RecordedClips
from export.training.phase import Modules, Tell
from export.training.run import Run
from runtime.hunyuanportrait.sampling import Sampling

# Phase -> the networks that it leaves frozen. The last one leaves the VAE once more: nothing is learnt after it.
LEAVES = {
    "autoencoder": ("vae",),
    "motion": ("expression", "head_pose"),
    "denoiser": ("appearance", "image_proj", "motion_refiner", "unet"),
}
_CHUNK = 8  # pictures that are encoded at once


class FrozenNetworks:
    """Of a `run` of `preset` on `clips`; its phases are those of LEAVES."""

    def __init__(self, preset: Preset, run: Run, clips: Clips | RecordedClips) -> None:
        self.preset, self.run, self.clips = preset, run, clips
        self._device = run.settings.device

    def network(self, phase: str, name: str) -> nn.Module:
        """One that a phase has left, where the run computes. Raises InputError before the phase's end."""
        return self.preset.architecture.load(name, self.run.end(phase)[name]).to(self._device)

    def networks(self, phase: str) -> Modules:
        """All that a phase has left, by name, on the CPU. Raises InputError before the phase's end."""
        return {name: self.preset.architecture.load(name, state) for name, state in self.run.end(phase).items()}

    def numbers(self) -> list[int]:
        """The clips that are there. Raises InputError where there is none."""
        return ready_numbers(self.clips)

    def latents(self, tell: Tell) -> None:
        """Keep every clip as the autoencoder encodes it."""
        vae = cast(VAE, self.network("autoencoder", "vae"))
        self.run.see("latents", "autoencoder", lambda number: self._encoded(number, vae), self.numbers(), tell)

    def features(self, tell: Tell) -> None:
        """Keep every clip as the motion networks see it: the features, then the three degrees."""
        expression = cast(Expression, self.network("motion", "expression"))
        head_pose = cast(HeadPose, self.network("motion", "head_pose"))
        self.run.see(
            "features", "motion", lambda number: self._watched(number, expression, head_pose), self.numbers(), tell
        )

    def seen_latents(self, numbers: Sequence[int]) -> list[np.ndarray]:
        """What `latents` kept of these clips. Raises InputError where one is missing."""
        return self.run.seen("latents", "autoencoder", numbers)

    def denoiser_phase(self, modules: Modules, steps: int, *, times: int = 1) -> DenoiserPhase:
        """Of these networks, on what the others see. Raises InputError where that is missing."""
        numbers, vae = self.numbers(), self.preset.architecture.vae
        return DenoiserPhase(
            modules,
            importance=self._importance() if vae.latent_channels > 4 else None,
            clips=self.clips,
            latents=self.seen_latents(numbers),
            features=self.run.seen("features", "motion", numbers) if self.run.has_ended("motion") else None,
            numbers=numbers,
            steps=steps,
            window=self.preset.frames,
            pad=Sampling.from_manifest(self.preset.sampling).pad_frames,
            scaling_factor=vae.scaling_factor,
            device=self._device,
            cell_px=vae.downscale,
            appearance_px=self.preset.architecture.appearance["image_hw"][0],
            times=times,
        )

    @torch.no_grad()
    def _importance(self) -> torch.Tensor:
        """(C,) with a mean of one: the root of how much of a picture is lost without a channel of its latents.

        Many channels are not of one kind: the first are the picture, and the last its grain.
        """
        vae = cast(VAE, self.network("autoencoder", "vae"))
        numbers = self.numbers()[:: max(1, len(self.numbers()) // _CHUNK)][:_CHUNK]
        latents = torch.from_numpy(np.stack([a[0] for a in self.seen_latents(numbers)]).astype(np.float32))
        scaled = latents.to(self._device) / vae.config.scaling_factor
        with space_only(vae.decoder):
            whole, lost = vae.decode(scaled), []
            for channel in range(scaled.shape[1]):
                without = scaled.clone()
                without[:, channel] = without[:, channel].mean()
                lost.append((vae.decode(without) - whole).square().mean())
        root = torch.stack(lost).sqrt()
        return root / root.mean()

    @torch.no_grad()
    def _encoded(self, number: int, vae: VAE) -> np.ndarray:
        """(N, 4, h, w) float16, scaled as the loop's."""
        pictures, settings = self.clips.load(number).pictures, self.run.settings
        latents = []
        for part in np.array_split(pictures, -(-len(pictures) // _CHUNK)):
            # An error of a hundredth of a deviation, which the denoiser's own hides, for half of the time.
            with torch.autocast(self._device.type, torch.bfloat16, enabled=settings.half):
                moments = vae.encode(as_planes(part, self._device) * 2 - 1)
            latents.append(moments[:, : vae.config.latent_channels].float() * vae.config.scaling_factor)
        return torch.cat(latents).cpu().numpy().astype(np.float16)

    @torch.no_grad()
    def _watched(self, number: int, expression: Expression, head_pose: HeadPose) -> np.ndarray:
        """(N, E + 3) float32."""
        clip = self.clips.load(number)
        features = expression(as_planes(clip.faces, self._device))
        degrees = rotation_deg(head_pose(as_planes(clip.poses, self._device)))
        return torch.cat([features, degrees], dim=1).cpu().numpy()


def ready_numbers(drawn: Clips | RecordedClips | DrivingClips) -> list[int]:
    """Those that are there, by number. Raises InputError where there is none."""
    numbers = drawn.ready()
    if not numbers:
        raise InputError(f"no {drawn.folder.name} are drawn in {drawn.folder} yet; begin with --stage clips")
    return numbers
