"""The first phase: the VAE, on pictures, then its layers along time, on chunks of a clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from export.blocks import SpatialResBlock
from export.hunyuanportrait.networks.blocks import SpatioTemporalResBlock
from export.hunyuanportrait.networks.vae import VAE, Decoder
from export.hunyuanportrait.training.clips import NOWHERE, Clips, as_planes
from export.hunyuanportrait.training.recorded import RecordedClips
from export.training.phase import Modules
from export.training.pictures import Pictures

_BATCH = 8
_WHOLE = 0.2  # of the steps: whole pictures, and not parts
_TIME = 0.15  # of the steps at the end: the layers along time learn, on chunks as the decoder will get them
# Latents keep what is worth its bits: nats of a latent against squared error of a pixel.
_KL = 1e-5
_ALONG_TIME = ("temporal_res_block", "time_mixer", "time_conv_out")


class Autoencoder:
    """Pictures in [-1, 1] to latents and back."""

    name = "autoencoder"
    curves: tuple[str, ...] = ("loss", "psnr", "kl", "latent_std")
    batches = 1
    learning_rate = 2e-3
    faster: Mapping[str, float] = {}

    def __init__(
        self,
        vae: VAE,
        clips: Clips | RecordedClips,
        numbers: list[int],
        steps: int,
        device: torch.device,
        *,
        pictures: float = 0.0,
        times: int = 1,
    ) -> None:
        """`pictures`: the share of unrelated frames that are no faces; `times`: as many in a batch as are usual."""
        self.others, self.share, self.rows = Pictures() if pictures else None, pictures, times * _BATCH
        self.vae, self.clips, self.numbers, self.steps, self.device = vae, clips, numbers, steps, device
        self.modules: Modules = {"vae": vae}

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        chunked = step >= self.steps * (1 - _TIME)
        for name, parameter in self.vae.named_parameters():
            if any(part in name for part in _ALONG_TIME):
                parameter.requires_grad_(chunked)
        pictures, points = self._chunk(rng) if chunked else self._pictures(rng)
        if rng.uniform() > _WHOLE:
            pictures, points = self._cut(rng, pictures, points)
        elif not chunked:
            pictures, points = pictures[: self.rows // 2], points[: self.rows // 2]
        target = as_planes(pictures, self.device) * 2 - 1
        mean, log_variance = self.vae.encode(target).float().chunk(2, dim=1)
        log_variance = log_variance.clamp(-20, 10)
        latents = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        with nullcontext() if chunked else space_only(self.vae.decoder):
            made = self.vae.decode(latents).float()
        weight = near(torch.from_numpy(points).to(self.device), target.shape[-1], reach=4.0)[:, None]
        error = made - target
        squared, absolute = (weight * error.square()).mean(), (weight * error.abs()).mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return {
            "loss": squared + 0.1 * absolute + _KL * kl,
            "psnr": -10 * torch.log10(error.square().mean() / 4),
            "kl": kl,
            "latent_std": mean.std(),
        }

    def cut_pictures(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Parts of unrelated frames (N, P/2, P/2, 3) uint8, and their landmarks (N, K, 2)."""
        return self._cut(rng, *self._pictures(rng))

    def _pictures(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Unrelated frames, mirrored and recoloured at random."""
        pictures, points = [], []
        for _ in range(self.rows):
            clip = self.clips.load(int(rng.choice(self.numbers)))
            if self.others is not None and rng.uniform() < self.share:
                pictures.append(self.others.draw(rng, clip.pictures.shape[1]))
                points.append(np.full_like(clip.points[0], NOWHERE))
                continue
            frame = int(rng.integers(len(clip.pictures)))
            picture, places = clip.pictures[frame], np.array(clip.points[frame])
            if rng.uniform() < 0.5:
                picture, places = picture[:, ::-1], places * (-1, 1) + (picture.shape[1] - 1, 0)
            if rng.uniform() < 0.3:
                picture = picture[..., rng.permutation(3)]
            pictures.append(picture)
            points.append(places)
        return np.stack(pictures), np.stack(points).astype(np.float32)

    def _chunk(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Neighbouring frames of one clip, mostly a whole chunk of them."""
        clip = self.clips.load(int(rng.choice(self.numbers)))
        length = _BATCH if rng.uniform() < 0.8 else int(rng.integers(1, _BATCH))
        first = int(rng.integers(len(clip.pictures) - length + 1))
        return np.array(clip.pictures[first : first + length]), np.array(clip.points[first : first + length])

    def _cut(self, rng: np.random.Generator, pictures: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A square of half the side of every picture, the same of all, often where landmarks are.

        Steps that see a quarter of the pixels take a quarter of the time and teach convolutions nearly as much.
        """
        side = pictures.shape[1] // 2
        middle = rng.uniform(0, 2 * side, 2)
        if rng.uniform() < 0.5:
            middle = points[rng.integers(len(points)), rng.integers(points.shape[1])] + rng.normal(0, side / 4, 2)
            if middle[0] < NOWHERE / 2:  # no face
                middle = rng.uniform(0, 2 * side, 2)
        x, y = (int(v) for v in np.clip(middle - side / 2, 0, side))
        return pictures[:, y : y + side, x : x + side], points - np.array([x, y], np.float32)

    @torch.no_grad()
    def finish(self, modules: Modules) -> None:
        """Scale the latents so that the loop's, which are `scaling_factor` times as large, have a deviation of one."""
        vae = modules["vae"]
        assert isinstance(vae, VAE)
        rng = np.random.default_rng(0)
        means = []
        for _ in range(32):
            means.append(
                vae.encode(as_planes(self._pictures(rng)[0], self.device) * 2 - 1)[:, : vae.config.latent_channels]
            )
        deviation = torch.cat(means).std(dim=(0, 2, 3))
        factor = 1 / (deviation * vae.config.scaling_factor)
        vae.quant_conv.weight[: len(factor)] *= factor[:, None, None, None]
        assert vae.quant_conv.bias is not None
        vae.quant_conv.bias[: len(factor)] *= factor
        vae.decoder.conv_in.weight /= factor[None, :, None, None]


@contextmanager
def space_only(decoder: Decoder) -> Iterator[None]:
    """Without the layers along time: for frames that do not belong together, and a third faster."""
    blocks = [block for block in decoder.modules() if isinstance(block, SpatioTemporalResBlock)]
    forwards = [(block, block.spatial_res_block) for block in blocks]
    for block, spatial in forwards:
        block.forward = partial(_in_space, spatial)  # type: ignore[method-assign]  # hides the class's own, for a while
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def _in_space(spatial: SpatialResBlock, x: Tensor, frames: int, emb: Tensor | None = None) -> Tensor:
    return spatial(x, emb)


def near(points: Tensor, side: int, *, reach: float) -> Tensor:
    """How much each cell of a picture matters: (N, side, side), 1 far from the landmarks and up to 4 at them.

    points (N, K, 2) in cells of that picture; `reach` in cells. A mouth is a few cells of many, and is what people
    look at.
    """
    cells = torch.arange(side, device=points.device, dtype=points.dtype)
    x = torch.exp(-0.5 * ((cells - points[..., :1]) / reach).square())  # (N, K, side)
    y = torch.exp(-0.5 * ((cells - points[..., 1:]) / reach).square())
    return 1 + 3 * F.hardtanh(torch.einsum("nky,nkx->nyx", y, x), 0, 1)
