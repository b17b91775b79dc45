"""What stands around diffusers' autoencoder in the released program."""

from __future__ import annotations

import pytest
import torch

from export.hallo2.reference.autoencoder import decode, encode
from export.hallo2.reference.weights import random_network

FACTS = {"channels": (32, 32), "layers_per_block": 1, "groups": 32, "latent_channels": 4, "scaling_factor": 0.5}


@pytest.fixture(scope="module")
def vae():
    return random_network("vae", FACTS)


@pytest.fixture
def pictures():
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_pictures_without_a_negative_value_are_stretched_once_more(vae, pictures):
    mean = vae.encode(2 * pictures - 1).latent_dist.mean
    torch.testing.assert_close(encode(vae, pictures), 0.5 * mean)


@torch.no_grad()
def test_one_negative_value_keeps_all_pictures_as_they_are(vae, pictures):
    pictures[1, 0, 0, 0] = -0.1
    torch.testing.assert_close(encode(vae, pictures), 0.5 * vae.encode(pictures).latent_dist.mean)


@torch.no_grad()
def test_decoded_frames_are_brought_to_one_and_clamped(vae):
    latents = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    raw = vae.decode(latents / 0.5).sample
    assert raw.abs().max() > 1
    torch.testing.assert_close(decode(vae, latents), (raw / 2 + 0.5).clamp(0, 1), rtol=1e-4, atol=1e-5)
