"""What makes tokens for the UNets' cross-attention: of the face's embedding, and of speech features.

Source: SPEC 1.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from export.hallo2.networks.config import AudioTokensConfig, FaceTokensConfig


class ImageProjection(nn.Module):
    """Embedding (N, 512), raw and not of length 1, -> image tokens (N, n, D). Zeros make tokens that are not zero."""

    def __init__(self, config: FaceTokensConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FaceTokensConfig()
        self.proj = nn.Linear(config.embedding, config.tokens * config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, embedding: Tensor) -> Tensor:
        return self.norm(self.proj(embedding).reshape(-1, self.config.tokens, self.config.width))


class AudioProjection(nn.Module):
    """Windows of speech features (N, window, layers, channels), flattened in that order, -> audio tokens (N, k, Da)."""

    def __init__(self, config: AudioTokensConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AudioTokensConfig()
        self.proj1 = nn.Linear(config.window * config.layers * config.channels, config.hidden)
        self.proj2 = nn.Linear(config.hidden, config.hidden)
        self.proj3 = nn.Linear(config.hidden, config.tokens * config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, windows: Tensor) -> Tensor:
        x = F.relu(self.proj1(windows.flatten(1)))
        x = self.proj3(F.relu(self.proj2(x)))
        return self.norm(x.reshape(-1, self.config.tokens, self.config.width))
