"""The decoder's second schooling: the very frames that were made, and an encoder that stays."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from export.blocks import VAEConfig
from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.training.decoder import DecoderPhase
from export.hunyuanportrait.training.initial_weights import with_initial_weights


class Grey:
    """Clips whose frame k of clip i is of one grey, 40 i + k of 255."""

    def load(self, number):
        levels = (40 * number + np.arange(12)).astype(np.uint8)
        return SimpleNamespace(pictures=np.broadcast_to(levels[:, None, None, None], (12, 16, 16, 3)))


class Plain(nn.Module):
    """Latents that say the grey are decoded to it."""

    def __init__(self):
        super().__init__()
        self.encoder, self.quant_conv = nn.Linear(1, 1), nn.Linear(1, 1)
        self.config = VAEConfig(scaling_factor=0.5)

    def decode(self, latents):
        return latents[:, :1].expand(-1, 3, -1, -1)


def grey(number, frames):
    """float16 latents scaled by 0.5: a grey of n of 255 is at 2 n / 255 - 1."""
    levels = 2 * (40 * number + np.arange(frames)) / 255 - 1
    return np.broadcast_to((0.5 * levels)[:, None, None, None], (frames, 4, 16, 16)).astype(np.float16)


def phase(vae, made):
    return DecoderPhase(
        vae,
        clips=Grey(),
        latents=[grey(i, 12) for i in (3, 5)],
        made=made,
        numbers=[3, 5],
        steps=10,
        device=torch.device("cpu"),
    )


def test_made_and_encoded_chunks_are_compared_with_their_own_frames():
    learns = phase(Plain(), made=[grey(i, 10) for i in (3, 5)])  # made are the first frames alone
    kinds = set()
    for seed in range(30):
        losses = learns.loss(0, np.random.default_rng(seed))
        assert losses["loss"].item() < 1e-6  # half precision; a frame beside would be 6e-5
        kinds |= set(losses)
    assert kinds == set(learns.curves)


def test_the_loss_is_the_mean_squared_error_and_the_psnr_its_decibels():
    learns = phase(Plain(), made=[grey(i, 10) + np.float16(0.1) for i in (3, 5)])  # 0.2 of a range of 2
    losses = next(x for x in (learns.loss(0, np.random.default_rng(s)) for s in range(30)) if "psnr" in x)
    assert losses["loss"].item() == pytest.approx(0.04, rel=0.02)  # half precision
    assert losses["psnr"].item() == pytest.approx(20, abs=0.1)


def test_the_encoder_stays_as_the_denoiser_knows_it():
    torch.manual_seed(0)
    vae = with_initial_weights(VAE(VAEConfig(block_out_channels=(32, 32))))
    learns = phase(vae, made=[np.zeros((10, 4, 8, 8), np.float16)] * 2)
    learns.latents = learns.made
    learns.loss(0, np.random.default_rng(0))["loss"].backward()
    names = {name for name, parameter in vae.named_parameters() if parameter.grad is not None}
    assert names and all(name.startswith("decoder.") for name in names)
