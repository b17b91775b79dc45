"""Our VAE against diffusers' on configurations of their own, and what its chunks mean."""

from __future__ import annotations

import pytest
import torch

from export.blocks import VAEConfig
from export.graphs.autoencoder import VaeDecoder, VaeEncoder
from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.reference.vae import build_vae, decode, encode
from export.weights.random import load_random

# Two deep networks in float32; diffusers' decoder in float32 is itself 9e-6 off float64 at rms 0.7 (golden README).
TOLERANCE = 4e-5

CONFIGS = {
    "two levels": VAEConfig(block_out_channels=(32, 64), layers_per_block=1),
    "three levels, other latents": VAEConfig(
        block_out_channels=(32, 32, 64), layers_per_block=2, latent_channels=3, scaling_factor=0.5
    ),
}


def make(config: VAEConfig):
    ours = load_random(VAE(config))
    released = build_vae(**config.to_diffusers())
    released.load_state_dict(ours.state_dict(), strict=True)
    return ours, released.eval()


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_encoder_equals_diffusers(name):
    config = CONFIGS[name]
    ours, released = make(config)
    image = random(2, 3, 8 * config.downscale, 4 * config.downscale)
    mean, logvar = encode(released, image)
    torch.testing.assert_close(ours.encode(image), torch.cat([mean, logvar], dim=1), rtol=0, atol=TOLERANCE)
    # The graph computes the mean alone.
    torch.testing.assert_close(VaeEncoder(ours)(image), mean, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("frames", [1, 2, 5])
@torch.no_grad()
def test_decoder_equals_diffusers(name, frames):
    config = CONFIGS[name]
    ours, released = make(config)
    latents = random(frames, config.latent_channels, 4, 6)
    expected = decode(released, latents, chunk=frames)
    torch.testing.assert_close(ours.decode(latents), expected, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(VaeDecoder(ours)(latents * config.scaling_factor), expected, rtol=0, atol=TOLERANCE)


@torch.no_grad()
def test_a_chunk_is_decoded_as_if_there_were_nothing_beyond_it():
    """Why chunks must fall where the release's fall, and why one that holds only padding changes nothing else."""
    ours, _ = make(CONFIGS["two levels"])
    latents = random(6, 4, 4, 4)
    whole, second = ours.decode(latents), ours.decode(latents[3:])
    assert (whole[3] - second[0]).abs().max() > 1e-2
    changed = latents.clone()
    changed[:3] += 1  # of another chunk
    assert torch.equal(ours.decode(changed[3:]), second)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_survives_diffusers_form(name):
    assert VAEConfig.from_diffusers(CONFIGS[name].to_diffusers()) == CONFIGS[name]


def test_a_latent_cell_covers_eight_pixels_at_full_size():
    assert VAEConfig().downscale == 8
