"""The last phase: the decoder once more, on latents as the denoiser makes them.

Where the denoiser is not sure it makes the mean of what may be there, and a decoder that only ever saw encoded pictures
draws the picture that has such latents: sharp, and in the wrong place. The encoder stays as it is, because the denoiser
knows its latents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.training.clips import Clips, as_planes
from export.hunyuanportrait.training.recorded import RecordedClips
from export.training.phase import Modules

_CHUNK = 8  # frames, as the runtime decodes them
_ENCODED = 0.2  # of the chunks are encoded pictures, so that these stay what they were


class DecoderPhase:
    """Of each of `numbers`, clips: latents (N, 4, h, w) float16 of its frames, and the first of them as they were made.

    Both are scaled as the loop's. The loss is the squared error, of which the mean of what may be there is the least.
    """

    name = "decoder"
    curves: tuple[str, ...] = ("loss", "psnr", "psnr_encoded")
    batches = 2
    learning_rate = 5e-4
    faster: Mapping[str, float] = {}

    def __init__(
        self,
        vae: VAE,
        *,
        clips: Clips | RecordedClips,
        latents: Sequence[np.ndarray],
        made: Sequence[np.ndarray],
        numbers: Sequence[int],
        steps: int,
        device: torch.device,
    ) -> None:
        for part in (vae.encoder, vae.quant_conv):
            part.requires_grad_(False)
        self.vae, self.clips, self.numbers = vae, clips, numbers
        self.latents, self.made = latents, made
        self.steps, self.device = steps, device
        self.modules: Modules = {"vae": vae}

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        i = int(rng.integers(len(self.numbers)))
        encoded = rng.uniform() < _ENCODED
        first = int(rng.integers(len(self.made[i]) - _CHUNK + 1))
        frames = slice(first, first + _CHUNK)
        latents = (self.latents if encoded else self.made)[i][frames].astype(np.float32)
        target = as_planes(self.clips.load(self.numbers[i]).pictures[frames], self.device) * 2 - 1
        scaled = torch.from_numpy(latents).to(self.device) / self.vae.config.scaling_factor
        error = (self.vae.decode(scaled).float() - target).square().mean()
        return {"loss": error, "psnr_encoded" if encoded else "psnr": -10 * torch.log10(error / 4)}

    def finish(self, modules: Modules) -> None:
        """The averaged decoder is what is kept; nothing else to do."""
