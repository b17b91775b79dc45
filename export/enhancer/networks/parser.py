"""The parser, ParseNet: which of 19 kinds each pixel of a face is of. Parameter names are the published ones.

Every convolution is padded by reflection. What draws the face once more, `out_img_conv`, is stored and never used.

Source: SPEC 9.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from export.enhancer.networks.config import ParserConfig

SLOPE = 0.2
Scale = Literal["same", "down", "up"]


class _Norm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class Convolution(nn.Module):
    """3x3, on a picture that is padded by reflection, and halved or doubled; a batch norm takes the bias' place."""

    def __init__(self, channels_in: int, channels_out: int, *, scale: Scale = "same", norm: bool = False) -> None:
        super().__init__()
        self.up = scale == "up"
        stride = 2 if scale == "down" else 1
        self.conv2d = nn.Conv2d(channels_in, channels_out, 3, stride=stride, bias=not norm)
        if norm:
            self.norm = _Norm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        return self.norm(x) if hasattr(self, "norm") else x


class ResidualBlock(nn.Module):
    """Two convolutions with batch norms: the first doubles the sides where they are doubled, the second halves them."""

    def __init__(self, channels_in: int, channels_out: int, *, scale: Scale = "same") -> None:
        super().__init__()
        if channels_in != channels_out or scale != "same":
            self.shortcut_func = Convolution(channels_in, channels_out, scale=scale)
        self.conv1 = Convolution(channels_in, channels_out, scale="up" if scale == "up" else "same", norm=True)
        self.conv2 = Convolution(channels_out, channels_out, scale="down" if scale == "down" else "same", norm=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut_func(x) if hasattr(self, "shortcut_func") else x
        return shortcut + self.conv2(F.leaky_relu(self.conv1(x), SLOPE))


class Parser(nn.Module):
    """(B, 3, H, W) RGB in [-1, 1], sides multiples of 16 -> (B, classes, H, W) logits."""

    def __init__(self, config: ParserConfig) -> None:
        super().__init__()
        channels = config.channels
        down = [ResidualBlock(a, b, scale="down") for a, b in pairwise(channels)]
        up = [ResidualBlock(a, b, scale="up") for a, b in pairwise(_coarse_to_fine(channels))]
        self.encoder = nn.Sequential(Convolution(3, channels[0]), *down)
        self.body = nn.Sequential(*(ResidualBlock(channels[-1], channels[-1]) for _ in range(config.blocks)))
        self.decoder = nn.Sequential(*up)
        self.out_img_conv = Convolution(channels[0], 3)
        self.out_mask_conv = Convolution(channels[0], config.classes)

    def forward(self, face: Tensor) -> Tensor:
        x = self.encoder(face)
        return self.out_mask_conv(self.decoder(x + self.body(x)))


def _coarse_to_fine(channels: tuple[int, ...]) -> tuple[int, ...]:
    """256 -> 256 -> 256 -> 128 -> 64 at full size: what the decoder's blocks go through."""
    return channels[::-1]
