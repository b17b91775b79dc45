"""The judge's network: a plain small CNN that finds points by soft-argmax and reads parameters beside them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hp_trt.metrics.judge import JUDGE_PX


class JudgeNetwork(nn.Module):
    """(n, 3, 128, 128) in [0, 1] -> landmarks (n, K, 2) in pixels and parameters (n, P)."""

    def __init__(self, points: int, middles: Tensor, spreads: Tensor, width: int = 24) -> None:
        """`middles`, `spreads` (P,): the parameters' means and standard deviations, so that outputs are of size one."""
        super().__init__()
        w = width
        self.to_64 = _conv(3, w // 2 + 4, stride=2)
        self.to_32 = nn.Sequential(_conv(w // 2 + 4, w, stride=2), _conv(w, w + w // 3))
        self.to_16 = nn.Sequential(_conv(w + w // 3, 2 * w, stride=2), _conv(2 * w, 2 * w))
        self.to_8 = nn.Sequential(_conv(2 * w, 3 * w, stride=2), _conv(3 * w, 3 * w))
        self.up_16 = _conv(5 * w, 2 * w)
        self.up_32 = _conv(2 * w + w + w // 3, w + w // 3)
        self.heat = nn.Conv2d(w + w // 3, points, 1)
        # Details round the eyes and the mouth, where they are in the picture.
        self.squeeze = nn.Sequential(_conv(w + w // 3, 16, stride=2), _conv(16, 12, stride=2))
        self.parameters_of = nn.Sequential(
            nn.Linear(12 * 8 * 8 + 2 * points, 128), nn.ReLU(), nn.Linear(128, len(middles))
        )
        self.register_buffer("middles", middles)
        self.register_buffer("spreads", spreads)
        self.register_buffer("cells", (torch.arange(32) + 0.5) * (JUDGE_PX / 32) - 0.5)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        at_32 = self.to_32(self.to_64(pictures - 0.5))
        at_16 = self.to_16(at_32)
        at_8 = self.to_8(at_16)
        at_16 = self.up_16(torch.cat([_twice(at_8), at_16], dim=1))
        fine = self.up_32(torch.cat([_twice(at_16), at_32], dim=1))
        heat = self.heat(fine).flatten(2).softmax(dim=2).unflatten(2, (32, 32))
        points = torch.stack([heat.sum(dim=2) @ self.cells, heat.sum(dim=3) @ self.cells], dim=2)
        known = torch.cat([self.squeeze(fine).flatten(1), (points / (JUDGE_PX / 2) - 1).flatten(1)], dim=1)
        return points, self.parameters_of(known) * self.spreads + self.middles


def _conv(channels: int, out: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    )


def _twice(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2, mode="nearest")
