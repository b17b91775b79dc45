"""The autoencoder once more, pocket's, for a face that speaks: what lips, brows and lids do must be in its latents.

Pocket's was made for whole faces. How far lip corners are drawn up is a pixel or two, which the mean over a picture
hardly sees: of the drawn truth, encoded and decoded by it, the judge reads half of it (docs/talk.md). Three things keep
it here. Pixels at the features count several times. The decoder reads latents that are off by noise, as those of a
denoiser are, so what it needs is said loudly. And a linear question asks each frame's latents at the mouth what lips
do; a denoiser that learns such latents learns that too.

The latents stay near pocket's, whose UNet both nets begin with.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from export.hallo2.networks.vae import VAE
from export.hallo2.training.drawn import TalkingClips
from export.hallo2.training.near import near
from export.hallo2.training.seen import planes
from export.training.phase import Modules
from export.training.pictures import Pictures
from procedural.landmarks import POINTS
from procedural.speech import MOUTH

_CLIPS, _FRAMES = 3, 2  # of a batch: so many frames of each of so many clips
_PART = 0.75  # of a side that is seen, of most batches: features are in it, and a step takes a little more than half
_WHOLE = 0.25  # of the batches see whole pictures, so that what is normalised over them stays right
_NOISY = 0.4  # what latents are off by, in deviations of a latent, at most
_AT_FEATURES = 10.0  # how many times a pixel there counts
_ASKED, _NEAR = 0.02, 0.02  # weights of the question, and of how far latents are from pocket's
_MOUTH_POINTS = ("left mouth corner", "right mouth corner", "upper lip", "lower lip")
_FEATURES = tuple(n for n, name in enumerate(POINTS) if not any(part in name for part in ("ear", "nose", "iris")))
_REACH_PX = 5.0  # of a feature
_NOWHERE = -1e4  # where the landmarks are of what is no face
_CELLS = 3  # along a side of what is asked, around the middle of the mouth


class AutoencoderPhase:
    """Trains `vae` on the frames of clips, half of them in a mood; `vae` begins as pocket's."""

    name = "vae"
    curves: tuple[str, ...] = ("loss", "psnr", "psnr_features", "asked", "away")
    batches = 2
    learning_rate = 1e-3
    faster: Mapping[str, float] = {}

    def __init__(
        self,
        vae: VAE,
        *,
        clips: TalkingClips,
        numbers: list[int],
        steps: int,
        device: torch.device,
        others: float = 0.0,
    ) -> None:
        """`others`: the share of pictures that are no faces; they have no features and no lips to ask for."""
        self.others, self.share = Pictures() if others else None, others
        torch.manual_seed(0)
        self.vae, self.clips, self.numbers, self.steps, self.device = vae, clips, numbers, steps, device
        self.before = copy.deepcopy(vae.encoder), copy.deepcopy(vae.quant_conv)
        channels = vae.config.latent_channels
        self.question = nn.Linear(channels * _CELLS**2, len(MOUTH)).to(device)
        vae.train().requires_grad_(True).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.modules: Modules = {"vae": vae, "question": self.question}
        lips = np.concatenate([clips.load(n).lips for n in numbers[:50]])
        self.middle, self.spread = lips.mean(axis=0), lips.std(axis=0) + 1e-3

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        pictures, points, lips = self._drawn(rng)
        channels, scale = self.vae.config.latent_channels, self.vae.config.scaling_factor
        latents = self.vae.encode(pictures)[:, :channels].float() * scale
        with torch.no_grad():
            encoder, quant = self.before
            known = quant(encoder(pictures))[:, :channels].float() * scale
        off = torch.rand(len(latents), 1, 1, 1, device=self.device) * _NOISY
        decoded = self.vae.decode((latents + off * torch.randn_like(latents)) / scale).float()
        error = (decoded - pictures).square() + 0.1 * (decoded - pictures).abs()
        side = pictures.shape[-1]
        features = near(points[:, list(_FEATURES)], side, reach=_REACH_PX)[:, None]
        asked = self._asked(self._at_mouth(latents, points, side), lips)
        away = (latents - known).square().mean()
        squared = (decoded - pictures).square()
        return {
            "loss": (error * (1 + (_AT_FEATURES - 1) * features)).mean() + _ASKED * asked + _NEAR * away,
            "psnr": -10 * torch.log10(squared.mean() / 4),
            "psnr_features": -10 * torch.log10((squared * features).sum() / (features.sum() * 3) / 4),
            "asked": asked,
            "away": away,
        }

    def finish(self, modules: Modules) -> None:
        """The averaged autoencoder is what is kept; nothing else to do."""

    def _drawn(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures (N, 3, P, P) in [-1, 1], their landmarks (N, K, 2), and what lips do (N, 4), normalised; of what is
        no face NaN."""
        pictures, points, lips = [], [], []
        cell = 2 ** (len(self.vae.config.block_out_channels) - 1)  # pixels
        side = self.clips.px if rng.uniform() < _WHOLE else round(_PART * self.clips.px / cell) * cell
        for number in rng.choice(self.numbers, _CLIPS):
            clip = self.clips.load(int(number))
            if self.others is not None and rng.uniform() < self.share:
                pictures.append(planes(np.stack([self.others.draw(rng, side) for _ in range(_FRAMES)])))
                points.append(np.full((_FRAMES, *clip.points.shape[1:]), _NOWHERE))
                lips.append(np.full((_FRAMES, clip.lips.shape[1]), np.nan))
                continue
            frames = rng.choice(len(clip.pictures), _FRAMES, replace=False)
            x, y = (cell * int(rng.integers((self.clips.px - side) // cell + 1)) for _ in range(2))
            pictures.append(planes(clip.pictures[frames, y : y + side, x : x + side]))
            points.append(clip.points[frames] - (x, y))
            lips.append((clip.lips[frames] - self.middle) / self.spread)
        arrays = [np.concatenate(parts).astype(np.float32) for parts in (pictures, points, lips)]
        shown, where, do = (torch.from_numpy(array).to(self.device) for array in arrays)
        return shown.contiguous(memory_format=torch.channels_last), where, do

    def _asked(self, seen: Tensor, lips: Tensor) -> Tensor:
        """The mean squared error of the question's answers, of those that are faces."""
        faces = torch.isfinite(lips)
        error = (self.question(seen) - torch.where(faces, lips, 0)).square()
        return torch.where(faces, error, 0).sum() / faces.sum().clamp(min=1)

    def _at_mouth(self, latents: Tensor, points: Tensor, side: int) -> Tensor:
        """The latents of cells around the middle of each mouth, (N, 4 x cells)."""
        cells = latents.shape[-1]
        middle = points[:, [POINTS.index(name) for name in _MOUTH_POINTS]].mean(dim=1)
        steps = torch.arange(_CELLS, device=latents.device) - _CELLS // 2
        at = (middle[:, None] + 0.5) / (side / cells) + steps[:, None].expand(-1, 2)  # (N, cells, 2), in cells
        grid_x, grid_y = at[:, None, :, 0].expand(-1, _CELLS, -1), at[:, :, None, 1].expand(-1, -1, _CELLS)
        grid = torch.stack([grid_x, grid_y], dim=-1) * (2 / cells) - 1
        return nn.functional.grid_sample(latents, grid, align_corners=False).flatten(1)
