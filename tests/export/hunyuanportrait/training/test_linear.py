"""The linear phase: principal components, and how they are laid into an autoencoder that has blocks and norms."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.presets import POCKET
from export.hunyuanportrait.training.autoencoder import Autoencoder, space_only
from export.hunyuanportrait.training.clips import Clips
from export.hunyuanportrait.training.initial_weights import with_initial_weights
from export.hunyuanportrait.training.linear import Chain, LinearPhase, lay, principal_components

CONFIG = replace(POCKET.architecture.vae, latent_channels=16)


def psnr(made: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(-10 * torch.log10((made - wanted).square().mean() / 4))


@pytest.fixture(scope="module")
def pictures():
    """Soft noise, (24, 3, 64, 64) in [-1, 1]: what a few components keep, but not all of it."""
    torch.manual_seed(0)
    coarse = torch.rand(24, 3, 16, 16) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=64, mode="bicubic").clamp(-1, 1)


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return with_initial_weights(VAE(CONFIG))


@pytest.fixture(scope="module")
def phase(tmp_path_factory, vae):
    clips = Clips(folder=tmp_path_factory.mktemp("clips"), count=2, frames=8, px=64, motion_px=16)
    list(clips.draw_missing())
    shown = Autoencoder(vae, clips, [0, 1], 10, torch.device("cpu"))
    return LinearPhase(vae, shown, 10, torch.device("cpu"))


def test_the_chain_begins_with_the_principal_components_of_blocks(pictures):
    """Sixteen of the 192 numbers of 8 x 8 pixels: as much of their variance as a plain singular value decomposition
    of the blocks keeps, but for what the second halving leaves out (32 of 48)."""
    torch.manual_seed(0)
    chain = Chain(CONFIG)
    principal_components(chain, pictures)
    blocks = pictures.reshape(24, 3, 8, 8, 8, 8).permute(0, 2, 4, 1, 3, 5).reshape(-1, 192)
    with torch.no_grad():
        latents = chain.encode(pictures).permute(0, 2, 3, 1).reshape(-1, 16)
    basis, _ = torch.linalg.qr(torch.linalg.lstsq(latents, blocks).solution.T)
    kept = (blocks @ basis).square().sum() / blocks.square().sum()
    best = torch.linalg.svdvals(blocks)[:16].square().sum() / blocks.square().sum()
    assert kept > 0.97 * best


def test_an_autoencoder_begins_as_the_chain_that_is_laid_into_it(pictures):
    torch.manual_seed(0)
    vae, chain = with_initial_weights(VAE(CONFIG)), Chain(CONFIG)
    principal_components(chain, pictures)
    optimizer = torch.optim.Adam(chain.parameters(), lr=4e-3)
    for _ in range(60):  # the way back begins at random
        optimizer.zero_grad()
        (chain(pictures) - pictures).square().mean().backward()
        optimizer.step()
    lay(chain, vae, pictures)
    with torch.no_grad(), space_only(vae.decoder):
        wanted = chain(pictures)
        latents = vae.encode(pictures)[:, :16]
        made = vae.decode(latents)
    assert psnr(made, wanted) > psnr(wanted, pictures) + 3  # the norms' gains differ from picture to picture
    spread = (latents * CONFIG.scaling_factor).std(dim=(0, 2, 3))
    assert torch.allclose(spread, torch.ones(16), atol=0.15)


def test_a_step_descends_on_the_pictures_that_the_autoencoder_is_shown(phase):
    losses = phase.loss(0, np.random.default_rng(0))
    losses["loss"].backward()
    assert losses["psnr"].item() == pytest.approx(-10 * np.log10(losses["loss"].item() / 4), abs=1e-3)
    assert all(p.grad is not None for p in phase.chain.parameters())
    assert all(p.grad is None for p in phase.vae.parameters())


def test_the_end_leaves_the_autoencoder(phase):
    before = phase.vae.encoder.conv_in.weight.clone()
    phase.finish(phase.modules)
    assert not torch.equal(phase.vae.encoder.conv_in.weight, before)
    assert torch.equal(phase.vae.encoder.conv_in.weight, phase.chain.conv_in.weight)
