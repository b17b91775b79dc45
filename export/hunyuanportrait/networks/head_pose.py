"""Head pose: a ResNet-18 with GroupNorm that reads rotation and translation from a face.

Two upstream quirks live here. The images are in [0, 1] and the network is fed `2 * image + 1`,
which is [1, 3] and not the [-1, 1] one expects. And the norms are named bn* though they are
GroupNorms. The released program multiplies the translation by 0: see `motion.py`.

Source: SPEC 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (the first carries the stride), and a projected shortcut where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int, norm_groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.GroupNorm(norm_groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.GroupNorm(norm_groups, channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False),
                nn.GroupNorm(norm_groups, channels),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """Stem, one level per entry of `blocks` (each twice as wide as the last), global mean, linear."""

    def __init__(self, out_dim: int, blocks: Sequence[int], norm_groups: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.GroupNorm(norm_groups, width)
        self.levels = [f"layer{i + 1}" for i in range(len(blocks))]
        channels = width
        for i, (name, count) in enumerate(zip(self.levels, blocks, strict=True)):
            level = nn.Sequential()
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                level.append(BasicBlock(channels, width * 2**i, stride, norm_groups))
                channels = width * 2**i
            self.add_module(name, level)
        self.fc = nn.Linear(channels, out_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        for name in self.levels:
            x = self.get_submodule(name)(x)
        return self.fc(x.mean(dim=(2, 3)))


class HeadPose(nn.Module):
    """Pose images to `out_dim` logits: the first half rotation, the second half translation."""

    def __init__(self, *, out_dim: int, blocks: Sequence[int], norm_groups: int, width: int = 64) -> None:
        super().__init__()
        self.head_pose_net = ResNet(out_dim, blocks, norm_groups, width)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [0, 1] -> raw logits (B, out_dim)."""
        return self.head_pose_net(2 * image + 1)  # upstream feeds [1, 3]: keep


def rotation_deg(raw: torch.Tensor) -> torch.Tensor:
    """Logits (B, 2k) -> (B, k) angles in degrees, [-180, 180]."""
    return torch.sigmoid(raw[:, : raw.shape[1] // 2]) * 360 - 180


def translation(raw: torch.Tensor) -> torch.Tensor:
    """Logits (B, 2k) -> (B, k) in [-2, 2]. The released program never uses it."""
    return torch.sigmoid(raw[:, raw.shape[1] // 2 :]) * 4 - 2
