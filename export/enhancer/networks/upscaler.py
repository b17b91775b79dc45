"""The upscaler, an RRDB network that doubles the sides of a picture. Parameter names are the published ones.

It works at half of the picture's side, a pixel's four being channels there, and comes back by two enlargements.

Source: SPEC 9; Wang et al. 2018, "ESRGAN", 3.1; Zhang et al. 2018, "Residual Dense Network", for the dense blocks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.enhancer.networks.config import UpscalerConfig

SHUFFLE = 2  # pixels along a side that become channels
SLOPE = 0.2
RESIDUAL = 0.2  # of what a block makes, before it is added to what it was given


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it made."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for i in range(4):
            self.add_module(f"conv{i + 1}", nn.Conv2d(features + i * growth, growth, 3, padding=1))
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for i in range(4):
            seen = torch.cat([seen, F.leaky_relu(self.get_submodule(f"conv{i + 1}")(seen), SLOPE)], dim=1)
        return RESIDUAL * self.conv5(seen) + x


class ResidualBlock(nn.Module):
    """Three dense blocks, and a residual round them."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(features, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return RESIDUAL * self.rdb3(self.rdb2(self.rdb1(x))) + x


class Upscaler(nn.Module):
    """(B, 3, H, W) RGB in [0, 1], H and W even -> (B, 3, 2H, 2W), not clamped."""

    def __init__(self, config: UpscalerConfig) -> None:
        super().__init__()
        features = config.features
        self.conv_first = nn.Conv2d(3 * SHUFFLE**2, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(features, config.growth) for _ in range(config.blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up2 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        return self.from_features(self.conv_first(F.pixel_unshuffle(picture, SHUFFLE)))

    def from_features(self, features: Tensor) -> Tensor:
        """What `conv_first` made, (B, features, H/2, W/2) -> (B, 3, 2H, 2W)."""
        x = features + self.conv_body(self.body(features))
        for conv in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")), SLOPE)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), SLOPE))


def first_on_pixels(conv_first: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """`conv_first` behind the unshuffling, as one convolution of pixels with stride 2 and padding 2: exactly the same
    sums, and sides that an exported graph leaves free. Weight (features, 3, 6, 6) and bias.

    Channel c*4 + dy*2 + dx of cell (y, x) is pixel (2y + dy, 2x + dx) of colour c (SPEC 9).
    """
    weight = conv_first.weight
    features, _, high, wide = weight.shape
    split = weight.reshape(features, 3, SHUFFLE, SHUFFLE, high, wide).permute(0, 1, 4, 2, 5, 3)
    bias = conv_first.bias
    assert bias is not None
    return split.reshape(features, 3, SHUFFLE * high, SHUFFLE * wide), bias
