"""The sync judge's networks: five pictures of a mouth, and the sound with them, to unit vectors of one space."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from hp_trt.measure.metrics.sound_features import BANDS
from hp_trt.measure.metrics.sync import WINDOW
from hp_trt.measure.metrics.sync_judge import MOUTH_PX, ROWS

VECTOR = 64


class PictureNetwork(nn.Module):
    """(n, 15, 32, 40) in [0, 1] -> (n, 64) of length 1."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        cells = (MOUTH_PX[0] // 8) * (MOUTH_PX[1] // 8)
        self.layers = _layers((WINDOW * 3, width, width + width // 2, 2 * width), cells)

    def forward(self, pictures: Tensor) -> Tensor:
        return normalize(self.layers(pictures - 0.5), dim=1)


class SoundNetwork(nn.Module):
    """(n, 20, bands) -> (n, 64) of length 1."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        cells = -(-ROWS // 8) * (BANDS // 8)
        self.layers = _layers((1, width, width + width // 2, 2 * width), cells)

    def forward(self, sound: Tensor) -> Tensor:
        return normalize(self.layers(sound[:, None]), dim=1)


class SyncNetworks(nn.Module):
    """Both, and how sharply their likeness decides."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures, self.sound = PictureNetwork(), SoundNetwork()
        self.sharpness = nn.Parameter(torch.tensor(2.3))  # as a logarithm


def contrast(pictures: Tensor, sound: Tensor, sharpness: Tensor) -> Tensor:
    """The loss of clips (B, T, D), (B, T, D): of a clip's T sounds each picture's own should be nearest, and back."""
    likeness = sharpness.exp() * pictures @ sound.transpose(1, 2)  # (B, T, T)
    own = torch.arange(likeness.shape[1]).expand(likeness.shape[:2])
    of_pictures, of_sounds = (nn.functional.cross_entropy(table, own) for table in (likeness, likeness.transpose(1, 2)))
    return (of_pictures + of_sounds) / 2


def _layers(channels: tuple[int, ...], cells: int) -> nn.Sequential:
    convolutions = [
        nn.Sequential(nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
        for i, o in pairwise(channels)
    ]
    head = nn.Sequential(nn.Flatten(), nn.Linear(channels[-1] * cells, 128), nn.ReLU(), nn.Linear(128, VECTOR))
    return nn.Sequential(*convolutions, head)
