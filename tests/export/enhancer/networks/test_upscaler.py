"""The upscaler's first convolution, which an exported graph applies to pixels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from export.enhancer.networks.config import UpscalerConfig
from export.enhancer.networks.upscaler import Upscaler, first_on_pixels
from export.weights.random import load_random


@pytest.mark.parametrize("size", [(2, 2), (6, 10)])
@torch.no_grad()
def test_the_first_convolution_on_pixels_is_that_behind_the_unshuffling(size):
    network = Upscaler(UpscalerConfig(features=5, blocks=1, growth=3))
    load_random(network)
    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    weight, bias = first_on_pixels(network.conv_first)
    made = F.conv2d(picture, weight, bias, stride=2, padding=2)
    torch.testing.assert_close(made, network.conv_first(F.pixel_unshuffle(picture, 2)), rtol=1e-5, atol=1e-6)
