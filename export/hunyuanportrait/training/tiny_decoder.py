"""The tiny decoder, distilled from the VAE's, on latents as the denoiser makes them and on encoded ones.

Of made latents it learns the full decoder's frames and the true pictures in equal parts: the first have less chance in
them, the second no error. Of encoded ones it learns the pictures. The loss is the squared error, of which the mean of
what may be there is the least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from export.hunyuanportrait.networks.tiny_decoder import TinyDecoder
from export.hunyuanportrait.training.clips import Clips, as_planes
from export.hunyuanportrait.training.recorded import RecordedClips
from export.training.phase import Modules

CHUNK = 8  # frames
_ENCODED = 0.25  # of the chunks


class TinyDecoderPhase:
    """Of each of `numbers`, clips: latents (N, 4, h, w) float16 of its frames. Of the first of them, what was `made` of
    their first frames (F, 4, h, w) float16, and what the full decoder made of that, `decoded` (F', H, W, 3) uint8.

    Latents are scaled as the loop's.
    """

    name = "tiny_decoder"
    curves: tuple[str, ...] = ("loss", "psnr", "psnr_encoded", "psnr_decoder")
    batches = 1
    learning_rate = 2e-3
    faster: Mapping[str, float] = {}

    def __init__(
        self,
        decoder: TinyDecoder,
        *,
        clips: Clips | RecordedClips,
        latents: Sequence[np.ndarray],
        made: Sequence[np.ndarray],
        decoded: Sequence[np.ndarray],
        numbers: Sequence[int],
        steps: int,
        device: torch.device,
    ) -> None:
        self.decoder, self.clips, self.numbers = decoder, clips, numbers
        self.latents, self.made, self.decoded = latents, made, decoded
        self.steps, self.device = steps, device
        self.modules: Modules = {"tiny_decoder": decoder}

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        encoded = rng.uniform() < _ENCODED
        i = int(rng.integers(len(self.latents if encoded else self.made)))
        first = int(rng.integers(len(self.latents[i] if encoded else self.decoded[i]) - CHUNK + 1))
        frames = slice(first, first + CHUNK)
        latents = (self.latents if encoded else self.made)[i][frames].astype(np.float32)
        pictures = as_planes(np.array(self.clips.load(self.numbers[i]).pictures[frames]), self.device) * 2 - 1
        made = self.decoder(torch.from_numpy(latents).to(self.device)).float()
        losses = {"psnr_encoded" if encoded else "psnr": psnr(made.detach(), pictures)}
        wanted = pictures
        if not encoded:
            decoded = as_planes(self.decoded[i][frames], self.device) * 2 - 1
            losses["psnr_decoder"] = psnr(made.detach(), decoded)
            wanted = (pictures + decoded) / 2
        return {"loss": (made - wanted).square().mean(), **losses}

    def finish(self, modules: Modules) -> None:
        """The averaged decoder is what is kept; nothing else to do."""


def psnr(made: Tensor, true: Tensor) -> Tensor:
    """dB, of frames in [-1, 1]."""
    return -10 * torch.log10((made - true).square().mean() / 4)
