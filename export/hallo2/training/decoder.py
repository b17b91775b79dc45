"""The last phase: the decoder once more, on clips as both nets make them.

Where the nets are not sure they make the mean of what may be there, and a decoder that only ever saw encoded pictures
draws the picture that has such latents. A mouth is a few cells of latents: how far its corners are drawn up is told by
little, and a decoder made for whole faces does not read it. So pixels at the mouth, and at lids and brows, where moods
are, count several times here. The encoder stays as it is, because the nets know its latents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from export.hallo2.training.talk import TalkWindows, made_latents
from export.training.phase import Modules

_ENCODED = 0.2  # of the windows are encoded pictures, so that these stay what they were
_AT_MOUTH, _AT_EYES = 10.0, 5.0  # how many times a pixel there counts


@torch.no_grad()
def spoken(windows: TalkWindows, i: int) -> np.ndarray:
    """Of a clip what both nets make of it, in one step each: its windows, round and round, twice.

    (2 windows, F, 4, h, w) float16, scaled as the loop's. Each goes on from the one before; the first begins a video.
    """
    rng = np.random.default_rng([windows.numbers[i], 98])
    count, told, made = len(windows.cut.starts), windows.beginning(i), []
    for k in range(2 * count):
        latents = made_latents(windows.talker, told, windows.noise(told, rng), steps=1)
        made.append(latents.cpu().numpy().astype(np.float16))
        told = windows.going_on(i, (k + 1) % count, windows.again(i, latents, rng))
    return np.stack(made)


class DecoderPhase:
    """Of each of the windows' clips: `made`, as `spoken` made it. Trains the windows' own autoencoder.

    The loss is the squared error, of which the mean of what may be there is the least.
    """

    name = "decoder"
    curves: tuple[str, ...] = ("loss", "psnr", "psnr_mouth", "psnr_encoded")
    batches = 2
    learning_rate = 5e-4
    faster: Mapping[str, float] = {}

    def __init__(self, windows: TalkWindows, made: Sequence[np.ndarray], steps: int) -> None:
        windows.vae.train()
        for part in (windows.vae.decoder, windows.vae.post_quant_conv):
            part.requires_grad_(True)
        self.vae = windows.vae
        self.windows, self.made, self.steps = windows, made, steps
        self.modules: Modules = {"vae": windows.vae}

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        windows = self.windows
        i, k = int(rng.integers(len(self.made))), int(rng.integers(len(self.made[0])))
        encoded = rng.uniform() < _ENCODED
        window = k % len(windows.cut.starts)
        latents = windows.target(i, window) if encoded else windows.tensor(self.made[i][k])
        target = windows.pictures(i, window)
        error = (self.vae.decode(latents / self.vae.config.scaling_factor).float() - target).square()
        mouth, eyes = (near(i, window, side=target.shape[-1]) for near in (windows.mouth, windows.eyes))
        losses = {"loss": (error * (1 + (_AT_MOUTH - 1) * mouth + (_AT_EYES - 1) * eyes)).mean()}
        if encoded:
            return losses | {"psnr_encoded": _psnr(error.mean())}
        return losses | {
            "psnr": _psnr(error.mean()),
            "psnr_mouth": _psnr((error * mouth).sum() / (mouth.sum() * target.shape[1])),
        }

    def finish(self, modules: Modules) -> None:
        """The averaged decoder is what is kept; nothing else to do."""


def _psnr(error: Tensor) -> Tensor:
    """Of pixels in [-1, 1]."""
    return -10 * torch.log10(error / 4)
