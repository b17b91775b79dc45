"""The autoencoder's shapes."""

from __future__ import annotations

import torch

from export.blocks import VAEConfig
from export.hallo2.networks.vae import VAE


def test_an_autoencoder_has_as_many_groups_as_its_config_says_however_few_channels_it_has():
    vae = VAE(VAEConfig(block_out_channels=(12, 24), norm_groups=4))
    assert {m.num_groups for m in vae.modules() if isinstance(m, torch.nn.GroupNorm)} == {4}
    assert vae.encode(torch.zeros(1, 3, 16, 16)).shape == (1, 8, 8, 8)
    assert vae.decode(torch.zeros(1, 4, 8, 8)).shape == (1, 3, 16, 16)
