"""The detector, RetinaFace on a ResNet-50: boxes, scores and five points at three levels, as offsets that are not yet
decoded. Parameter names are the published ones.

Source: SPEC 9; Deng et al. 2019, "RetinaFace"; He et al. 2015, "Deep Residual Learning", table 1, with the stride in
the 3x3 convolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.enhancer.networks.config import DetectorConfig

ANCHORS = 2  # at every place
STRIDES = (8, 16, 32)  # pixels between places, level by level
_WIDER = 4  # times as many channels come out of a bottleneck as are in it


def _conv(channels_in: int, channels_out: int, side: int, *, relu: bool, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, a batch norm, and a ReLU or none."""
    conv = nn.Conv2d(channels_in, channels_out, side, stride=stride, padding=side // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), *([nn.ReLU()] if relu else []))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1, each with a batch norm, and a shortcut."""

    def __init__(self, channels_in: int, channels: int, *, stride: int) -> None:
        super().__init__()
        wide = _WIDER * channels
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        if stride != 1 or channels_in != wide:
            self.downsample = _conv(channels_in, wide, 1, relu=False, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(shortcut + self.bn3(self.conv3(x)))


class Body(nn.Module):
    """The ResNet without its head: what its layers 2, 3 and 4 make, at an 8th, 16th and 32nd of the side."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, config.stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.stem)
        channels_in = config.stem
        for i, blocks in enumerate(config.layers):
            channels = config.stem << i
            made = []
            for k in range(blocks):
                made.append(Bottleneck(channels_in, channels, stride=2 if i and not k else 1))
                channels_in = _WIDER * channels
            self.add_module(f"layer{i + 1}", nn.Sequential(*made))

    def forward(self, picture: Tensor) -> list[Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(picture))), 3, stride=2, padding=1)
        made = []
        for i in range(4):
            x = self.get_submodule(f"layer{i + 1}")(x)
            made.append(x)
        return made[1:]


class Pyramid(nn.Module):
    """The same width at every level, and what a coarser level saw added to the finer ones."""

    def __init__(self, channels: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_conv(c, width, 1, relu=True) for c in channels)
        self.merge1, self.merge2 = (_conv(width, width, 3, relu=True) for _ in range(2))

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = self.output1(levels[0]), self.output2(levels[1]), self.output3(levels[2])
        middle = self.merge2(middle + _enlarged(coarse, middle))
        fine = self.merge1(fine + _enlarged(middle, fine))
        return [fine, middle, coarse]


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=[like.shape[2], like.shape[3]], mode="nearest")


class Context(nn.Module):
    """What stands round a place, seen through windows of 3, 5 and 7."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.conv3X3 = _conv(width, half, 3, relu=False)
        self.conv5X5_1 = _conv(width, quarter, 3, relu=True)
        self.conv5X5_2 = _conv(quarter, quarter, 3, relu=False)
        self.conv7X7_2 = _conv(quarter, quarter, 3, relu=True)
        self.conv7x7_3 = _conv(quarter, quarter, 3, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.conv5X5_1(x)
        wider = self.conv7x7_3(self.conv7X7_2(seen))
        return F.relu(torch.cat([self.conv3X3(x), self.conv5X5_2(seen), wider], dim=1))


class Head(nn.Module):
    """`numbers` of every anchor: (1, C, h, w) -> (1, h*w*ANCHORS, numbers), row by row."""

    def __init__(self, width: int, numbers: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.conv1x1 = nn.Conv2d(width, ANCHORS * numbers, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1x1(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.numbers)


class Detector(nn.Module):
    """(1, 3, H, W) BGR in 0..255 minus (104, 117, 123) -> boxes (1, N, 4), class logits (1, N, 2), points (1, N, 10).

    N: the anchors of the levels, 8 to 32 pixels apart; of a level row by row, of a place its two anchors (SPEC 9).
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.body = Body(config)
        channels = (_WIDER * (config.stem << 1), _WIDER * (config.stem << 2), _WIDER * (config.stem << 3))
        self.fpn = Pyramid(channels, config.width)
        self.ssh1, self.ssh2, self.ssh3 = (Context(config.width) for _ in STRIDES)
        for name, numbers in (("ClassHead", 2), ("BboxHead", 4), ("LandmarkHead", 10)):
            self.add_module(name, nn.ModuleList(Head(config.width, numbers) for _ in STRIDES))

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels = self.fpn(self.body(picture))
        seen = [context(level) for context, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]
        loc, confidence, points = (
            torch.cat([head(level) for head, level in zip(self.get_submodule(name).children(), seen, strict=True)], 1)
            for name in ("BboxHead", "ClassHead", "LandmarkHead")
        )
        return loc, confidence, points
