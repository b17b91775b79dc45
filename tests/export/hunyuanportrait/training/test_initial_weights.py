"""Where training starts: plain answers laid along the residual streams."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from export.blocks import VAEConfig
from export.hunyuanportrait.networks.unet import Context, StepEmbedding
from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.presets import POCKET
from export.hunyuanportrait.training.initial_weights import ADDED_IDS, with_initial_weights


@pytest.fixture(scope="module")
def picture():
    """Large soft shapes in strong colours: (1, 3, 64, 64) in [-1, 1]."""
    torch.manual_seed(0)
    return F.interpolate(torch.rand(1, 3, 4, 4) * 2 - 1, size=64, mode="bicubic").clamp(-1, 1)


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return with_initial_weights(POCKET.architecture.build("unet", device="cpu"))


def test_the_autoencoder_begins_as_a_picture_made_smaller_and_larger_again(picture):
    torch.manual_seed(0)
    vae = with_initial_weights(VAE(POCKET.architecture.vae))
    with torch.no_grad():
        made = vae.decode(vae.encode(picture)[:, :4])
        plain = F.interpolate(F.avg_pool2d(picture, 8), size=64, mode="bilinear")
    for colour in range(3):
        pair = torch.stack([made[0, colour].flatten(), plain[0, colour].flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.95  # another kernel than bilinear, and a norm's gain between
    assert (made - picture).square().mean() < 0.15 * picture.square().mean()


def test_the_unet_begins_as_the_portrait_that_does_not_move(unet):
    torch.manual_seed(0)
    portrait = F.interpolate(torch.randn(1, 4, 4, 4), size=16, mode="bicubic")
    condition = (portrait / VAEConfig().scaling_factor).expand(5, -1, -1, -1)
    sample = torch.cat([torch.randn(5, 4, 16, 16), condition], dim=1)
    with torch.no_grad():
        v = unet(sample, torch.randn(1, 256), Context(torch.randn(1, 8, 64), torch.randn(1, 5, 8, 64)), 5)
    x0 = -v  # at high noise
    pair = torch.stack([x0.flatten(), portrait.expand(5, -1, -1, -1).flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.95  # the norm's gain follows the latents a little


def test_the_refiner_begins_by_repeating_what_it_is_told():
    """All of the features can be read from the mean of a frame's tokens, by one linear layer."""
    torch.manual_seed(0)
    refiner = with_initial_weights(POCKET.architecture.build("motion_refiner", device="cpu"))
    features = torch.zeros(400, 32)
    features[:, :16] = torch.randn(400, 16)
    with torch.no_grad():
        tokens = refiner(features, torch.tensor([40]), torch.tensor([60])).mean(dim=1)
    beside = torch.cat([tokens, torch.ones(400, 1)], dim=1).double()
    read = torch.linalg.lstsq(beside[:200], features[:200].double()).solution
    error = (beside[200:] @ read - features[200:]).square().mean(dim=0)[:16]
    assert (error < 0.02).all()  # of a variance of 1: norms make it a little crooked


def test_the_layers_along_time_begin_as_the_identity(unet):
    torch.manual_seed(0)
    sample, context = torch.randn(3, 8, 16, 16), Context(torch.randn(1, 8, 64), torch.randn(1, 3, 8, 64))
    step = torch.randn(1, 256)
    with torch.no_grad():
        with_time = unet(sample, step, context, 3)
        without_time = copy.deepcopy(unet)
        for module in without_time.modules():
            if hasattr(module, "along_time"):
                module.along_time = False
        without = without_time(sample, step, context, 3)
    assert torch.allclose(with_time, without, atol=1e-5)  # x = a x + (1 - a) x


@pytest.mark.parametrize(("sigma", "passes"), [(0.2, 0.5), (1.0, 0.5), (20.0, 0.1), (700.0, 0.1)])
def test_the_unet_begins_with_the_noise_let_through_where_there_is_little(unet, sigma, passes):
    """How much of the noisy latents is in v: most of them at low levels, nearly nothing at high ones."""
    torch.manual_seed(0)
    noisy, portrait = torch.randn(2, 1, 4, 16, 16)
    embedding = StepEmbedding(unet)(torch.tensor([0.25]) * np.log(sigma), torch.tensor(ADDED_IDS))
    with torch.no_grad():
        sample = torch.cat([noisy, portrait / VAEConfig().scaling_factor], dim=1)
        v = unet(sample, embedding, Context(torch.randn(1, 8, 64), torch.randn(1, 1, 8, 64)), 1)
    gain = (v * noisy).mean() / noisy.square().mean()
    assert gain > passes if sigma < 5 else abs(gain) < passes
