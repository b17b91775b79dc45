"""The judge's network: a small CNN that finds points by soft-argmax, then looks closely at the eyes and the mouth."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from hp_trt.measure.metrics.judge import JUDGE_PX
from procedural.landmarks import POINTS

_CELLS = 32  # of the heat maps, along a side
_EYE_LINE = [POINTS.index("left eye"), POINTS.index("right eye")]
_EYE, _MOUTH = (16, 24), (28, 40)  # height and width in pixels of what is looked at closely
_LEFT, _RIGHT, _LIPS = (
    [POINTS.index(name) for name in names]
    for names in (
        ("left eye's left corner", "left eye's right corner"),
        ("right eye's left corner", "right eye's right corner"),
        ("left mouth corner", "right mouth corner", "upper lip", "lower lip"),
    )
)


class JudgeNetwork(nn.Module):
    """(n, 3, 128, 128) in [0, 1] -> landmarks (n, K, 2) in pixels and parameters (n, P)."""

    def __init__(self, middles: Tensor, spreads: Tensor, width: int = 24) -> None:
        """`middles`, `spreads` (P,): the parameters' means and standard deviations, so that outputs are of size one."""
        super().__init__()
        first, fine, points = width // 2 + 4, width + width // 3, len(POINTS)
        self.to_64 = _conv(3, first, stride=2)
        self.to_32 = nn.Sequential(_conv(first, width, stride=2), _conv(width, fine))
        self.to_16 = nn.Sequential(_conv(fine, 2 * width, stride=2), _conv(2 * width, 2 * width))
        self.to_8 = nn.Sequential(_conv(2 * width, 3 * width, stride=2), _conv(3 * width, 3 * width))
        self.up_16 = _conv(5 * width, 2 * width)
        self.up_32 = _conv(2 * width + fine, fine)
        self.heat = nn.Conv2d(fine, points, 1)
        self.squeeze = nn.Sequential(_conv(fine, 16, stride=2), _conv(16, 8, stride=2))
        self.eye, self.mouth = _closely(_EYE), _closely(_MOUTH)
        self.parameters_of = nn.Sequential(
            nn.Linear(8 * 8 * 8 + 2 * points + 3 * 32, 96), nn.ReLU(), nn.Linear(96, len(middles))
        )
        self.register_buffer("middles", middles)
        self.register_buffer("spreads", spreads)
        self.register_buffer("cells", (torch.arange(_CELLS) + 0.5) * (JUDGE_PX / _CELLS) - 0.5)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        pictures = pictures - 0.5
        at_32 = self.to_32(self.to_64(pictures))
        at_16 = self.to_16(at_32)
        at_8 = self.to_8(at_16)
        at_16 = self.up_16(torch.cat([_twice(at_8), at_16], dim=1))
        fine = self.up_32(torch.cat([_twice(at_16), at_32], dim=1))
        heat = self.heat(fine).flatten(2).softmax(dim=2).unflatten(2, (_CELLS, _CELLS))
        points = torch.stack([heat.sum(dim=2) @ self.cells, heat.sum(dim=3) @ self.cells], dim=2)
        found = points.detach()  # where to look is no parameter's business: points learn from points alone
        known = [
            self.squeeze(fine).flatten(1),
            (points / (JUDGE_PX / 2) - 1).flatten(1),
            self.eye(close_look(pictures, found, _LEFT, _EYE)),
            self.eye(close_look(pictures, found, _RIGHT, _EYE)),
            self.mouth(close_look(pictures, found, _LIPS, _MOUTH)),
        ]
        return points, self.parameters_of(torch.cat(known, dim=1)) * self.spreads + self.middles


def close_look(pictures: Tensor, points: Tensor, middle_of: list[int], size: tuple[int, int]) -> Tensor:
    """(n, 3, *size): pixel by pixel round the middle of some points, turned upright by the line of the eyes."""
    height, width = size
    left, right = (points[:, eye] for eye in _EYE_LINE)
    across = (right - left) / (right - left).norm(dim=1, keepdim=True).clamp(min=1.0)
    down = torch.stack([-across[:, 1], across[:, 0]], dim=1)
    x = torch.arange(width, dtype=torch.float32) - (width - 1) / 2
    y = torch.arange(height, dtype=torch.float32) - (height - 1) / 2
    places = (
        points[:, middle_of].mean(dim=1)[:, None, None]
        + x[None, None, :, None] * across[:, None, None]
        + y[None, :, None, None] * down[:, None, None]
    )
    return grid_sample(pictures, (places + 0.5) * (2 / JUDGE_PX) - 1, align_corners=False)


def _closely(size: tuple[int, int]) -> nn.Sequential:
    """A close look of that height and width -> (n, 32)."""
    cells = (size[0] // 4) * (size[1] // 4)
    return nn.Sequential(
        _conv(3, 12),
        _conv(12, 20, stride=2),
        _conv(20, 24, stride=2),
        nn.Flatten(),
        nn.Linear(24 * cells, 32),
        nn.ReLU(),
    )


def _conv(channels: int, out: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    )


def _twice(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")
