"""What `--begin` gives to a run whose latents are others: all networks as they are, but the two that know latents.

The autoencoder begins anew (`linear.py`). The UNet keeps its blocks, and its two ends are fitted by least squares: what
it is shown are the new latents' nearest likeness of the old ones, and what it says is the best that its last features
tell of the new ones.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from export.hunyuanportrait.architecture import Architecture
from export.hunyuanportrait.networks.unet import UNet
from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.training.clips import Clips, as_planes
from export.hunyuanportrait.training.denoiser import DenoiserPhase
from export.hunyuanportrait.training.recorded import RecordedClips
from export.weights.packed import channels_in
from export.weights.source import WeightsSource

_CLIPS, _FRAMES = 96, 4  # that the old latents are compared on
_BATCHES = 48  # that the last features are fitted on
_STEADY = 1e-3  # of the features' own loudness, added so that what is never seen stays near zero


def begun_architecture(architecture: Architecture, path: Path) -> Architecture:
    """`architecture`, with as many channels of latents as the weights of `path` have. Raises CheckpointError."""
    count = channels_in(path, "vae/decoder.conv_in.weight")
    if count == architecture.vae.latent_channels:
        return architecture
    unet, vae = architecture.unet, architecture.vae
    return replace(
        architecture,
        vae=replace(vae, latent_channels=count),
        unet=replace(unet, in_channels=2 * count, out_channels=count),
    )


@torch.no_grad()
def fitted_unet(
    unet: UNet, begun: WeightsSource, before: Architecture, phase: DenoiserPhase, clips: Clips | RecordedClips
) -> UNet:
    """`unet`, of the new latents, with the blocks of `begun`, an architecture `before`; its ends fitted to `phase`.

    `phase` holds `unet`, and what the new autoencoder made of `clips`.
    """
    known = begun.state("unet")
    likeness = _likeness(begun, before, phase, clips)  # (new, old)
    state = {key: value.float() for key, value in known.items() if not key.startswith(("conv_in.", "conv_out."))}
    for name in ("conv_in", "conv_out"):
        state |= {f"{name}.{part}": value.clone() for part, value in unet.get_submodule(name).state_dict().items()}
    noisy, beside = known["conv_in.weight"].float().chunk(2, dim=1)
    state["conv_in.weight"] = torch.cat(
        [torch.einsum("no,kohw->knhw", likeness, part) for part in (noisy, beside)], dim=1
    )
    state["conv_in.bias"] = known["conv_in.bias"].float()
    unet.load_state_dict(state)
    _fit_last(unet, phase)
    return unet


def _likeness(begun: WeightsSource, before: Architecture, phase: DenoiserPhase, clips: Clips | RecordedClips) -> Tensor:
    """(new, old): which sum of the new latents of a cell is most like each old one of it, by least squares."""
    vae = cast(VAE, before.load("vae", begun.state("vae"))).to(phase.device)
    olds, news = [], []
    rng = np.random.default_rng(0)
    for i in rng.choice(len(phase.latents), min(_CLIPS, len(phase.latents)), replace=False):
        pictures = clips.load(phase.numbers[i]).pictures
        frames = np.sort(rng.choice(len(pictures), min(_FRAMES, len(pictures)), replace=False))
        old = vae.encode(as_planes(pictures[frames], phase.device) * 2 - 1)[:, : vae.config.latent_channels]
        olds.append(_cells(old.float() * vae.config.scaling_factor))
        news.append(_cells(torch.from_numpy(phase.latents[i][frames].astype(np.float32)).to(phase.device)))
    return _least_squares(torch.cat(news), torch.cat(olds))


def _cells(latents: Tensor) -> Tensor:
    """(N, C, h, w) -> (N h w, C)."""
    return latents.permute(0, 2, 3, 1).flatten(0, 2)


def _fit_last(unet: UNet, phase: DenoiserPhase) -> None:
    """The last convolution, on what the features before it are in the first steps of `phase`."""
    last = cast(nn.Conv2d, unet.conv_out)
    seen: list[Tensor] = []
    watched = last.register_forward_hook(lambda _, given, made: seen.append(given[0]))
    width = last.in_channels * 9 + 1
    squares, products = torch.zeros(width, width).double(), torch.zeros(width, last.out_channels).double()
    for step in range(_BATCHES):
        asked = phase.drawn(step, np.random.default_rng([0, step]))
        phase.predict(asked.noisy, asked.sigma, [row.portrait for row in asked.rows], asked.rows)
        features = nn.functional.unfold(seen.pop().float(), 3, padding=1).transpose(1, 2).flatten(0, 1)
        told = torch.cat([features, torch.ones(len(features), 1, device=features.device)], dim=1).double().cpu()
        squares += told.T @ told
        products += told.T @ _cells(asked.velocity.flatten(0, 1)).double().cpu()
    watched.remove()
    fitted = _solved(squares, products).float().to(last.weight.device)
    last.weight.copy_(fitted[:-1].T.reshape(last.weight.shape))
    assert last.bias is not None
    last.bias.copy_(fitted[-1])


def _least_squares(told: Tensor, wanted: Tensor) -> Tensor:
    """(k, m), from (n, k) to (n, m)."""
    told, wanted = told.double(), wanted.double()
    return _solved(told.T @ told, told.T @ wanted).float()


def _solved(squares: Tensor, products: Tensor) -> Tensor:
    steady = _STEADY * squares.diagonal().mean() * torch.eye(len(squares), dtype=squares.dtype)
    return torch.linalg.solve(squares + steady.to(squares.device), products)
