"""The networks of a clip, as training runs them: the reference net, then the denoising net, in one piece.

The application runs the same networks as graphs one after the other; which row sees which tokens is decided there
(`runtime/hallo2/conditions.py`) and asked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from export.blocks import sinusoids
from export.hallo2.networks.denoising_unet import Conditions, DenoisingUNet
from export.hallo2.networks.reference_unet import ReferenceUNet
from export.training.phase import Modules
from runtime.hallo2.conditions import motion_sets, portrait_sets


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a clip of F frames is made from. Latents are scaled as the loop's."""

    portrait: Tensor  # (1, 4, h, w)
    motion: Tensor  # (m, 4, h, w)
    audio_tokens: Tensor  # (F, k, Da)
    identity: Tensor  # (1, 512)
    face_region: Tensor  # (1, 3, H, W)
    masks: Sequence[Tensor]  # (3, L_i) for each level
    mood: Tensor  # (1, moods): how much of each, zeros where it is dropped


class Talker:
    """Of the networks `reference_unet`, `denoising_unet`, `face_locator` and `imageproj`."""

    def __init__(self, modules: Modules) -> None:
        self.reference = cast(ReferenceUNet, modules["reference_unet"])
        self.denoiser = cast(DenoisingUNet, modules["denoising_unet"])
        self.locator, self.projection = modules["face_locator"], modules["imageproj"]

    def conditions(self, told: Told, *, both: bool = False) -> Conditions:
        """What the denoising net sees, of `both` halves or of the conditional one alone."""
        image_tokens = self.projection(torch.cat([torch.zeros_like(told.identity), told.identity]))
        banks = self._banks(told, image_tokens, both=both)
        keys, values = [], []
        for bank, places in zip(banks, self.denoiser.config.banks, strict=True):
            seen = [self._attention(place.name) for place in places]
            keys.append(torch.stack([a.to_k(bank[i, :2]) for i, a in enumerate(seen)]))
            values.append(torch.stack([a.to_v(bank[i, :2]) for i, a in enumerate(seen)]))
        return Conditions(
            image_tokens=self.denoiser.with_mood(image_tokens if both else image_tokens[1:], told.mood),
            audio_tokens=told.audio_tokens,
            face_features=self.locator(told.face_region)[0],
            masks=told.masks,
            keys=keys,
            values=values,
            motion=[bank[:, 2:] for bank in banks],
            motion_scale=torch.ones(3, device=told.portrait.device),
        )

    def _banks(self, told: Told, image_tokens: Tensor, *, both: bool) -> Sequence[Tensor]:
        """Of the portrait's two rows and of the motion frames' m, or 2m: each picture once for each set of tokens."""
        m = len(told.motion)
        sets = torch.tensor((*portrait_sets(m), *motion_sets(m, both=both)))
        of = torch.tensor([0, 0, *range(1, m + 1), *(range(1, m + 1) if both else ())])
        if not told.identity.any():
            sets = torch.zeros_like(sets)  # both sets are those of nobody
        rows, back = torch.unique(torch.stack([of, sets]), dim=1, return_inverse=True)
        pictures = torch.cat([told.portrait, told.motion])
        banks = self.reference(pictures[rows[0]], image_tokens[rows[1]])
        return [bank[:, back] for bank in banks]

    def velocity(self, noisy: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """v (R*F, 4, h, w) of latents (F, 4, h, w) at a timestep (1,), half after half."""
        embedding = self.denoiser.time_embedding(sinusoids(timestep, self.denoiser.config.channels[0]))
        return self.denoiser(noisy, embedding, conditions)

    def _attention(self, name: str) -> Any:
        block: Any = self.denoiser.get_submodule(name).transformer_blocks
        return block[0].attn1
