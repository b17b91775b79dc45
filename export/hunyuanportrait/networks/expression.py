"""Expression encoder: a ResNet-50 whose norms are GroupNorm with one group.

One group means that a norm mixes all channels and positions of a frame, unlike the usual
ResNet: a padded or cropped frame changes everywhere. Runs in fp32 in the released program.

Source: SPEC 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

EXPANSION = 4  # a bottleneck's output is this many times wider than its 3x3 convolution


class Bottleneck(nn.Module):
    """1x1, 3x3 (it carries the stride), 1x1, and a projected shortcut where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int, norm_groups: int) -> None:
        super().__init__()
        out_channels = channels * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.gn1 = nn.GroupNorm(norm_groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.gn2 = nn.GroupNorm(norm_groups, channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.gn3 = nn.GroupNorm(norm_groups, out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.GroupNorm(norm_groups, out_channels),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.gn1(self.conv1(x)))
        x = F.relu(self.gn2(self.conv2(x)))
        return F.relu(self.gn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """Stem, one level per entry of `blocks` (each twice as wide as the last), global mean, linear."""

    def __init__(self, out_dim: int, blocks: Sequence[int], norm_groups: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.gn1 = nn.GroupNorm(norm_groups, width)
        self.levels = [f"layer{i + 1}" for i in range(len(blocks))]
        in_channels = width
        for i, (name, count) in enumerate(zip(self.levels, blocks, strict=True)):
            channels = width * 2**i
            level = nn.Sequential()
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                level.append(Bottleneck(in_channels, channels, stride, norm_groups))
                in_channels = channels * EXPANSION
            self.add_module(name, level)
        self.fc = nn.Linear(in_channels, out_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.gn1(self.conv1(x))), 3, stride=2, padding=1)
        for name in self.levels:
            x = self.get_submodule(name)(x)
        return self.fc(x.mean(dim=(2, 3)))


class Expression(nn.Module):
    """Face images to expression features, each frame by itself."""

    def __init__(self, *, out_dim: int, blocks: Sequence[int], norm_groups: int, width: int = 64) -> None:
        super().__init__()
        self.resnet50 = ResNet(out_dim, blocks, norm_groups, width)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, out_dim)."""
        return self.resnet50(image)
