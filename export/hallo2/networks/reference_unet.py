"""The reference net: what the denoising net is shown of the portrait and of the motion frames.

It runs at timestep 0 on single pictures. All that is read of it is the bank: at every place the tokens before their
self-attention. What follows the last of them is stored by the published files, and never computed.

Letters: N rows, n image tokens of width D, i a bank of n_i places, L_i cells and C_i channels.
Source: SPEC 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import sinusoids
from export.hallo2.networks.config import Place, UNetConfig
from export.hallo2.networks.folding import folded
from export.hallo2.networks.skeleton import Skeleton
from export.hallo2.networks.transformers import SpatialTransformer


class ReferenceUNet(Skeleton):
    """Published keys; rows know nothing of each other."""

    def __init__(self, config: UNetConfig | None = None):
        config = config or UNetConfig()
        with_attention = [place.block for place in config.places]

        def beside(block: str, width: int) -> Mapping[str, nn.ModuleList]:
            made = (
                SpatialTransformer(width, config.heads, config.image_token_dim, groups=config.groups)
                for _ in range(with_attention.count(block))
            )
            return {"attentions": nn.ModuleList(made)} if block in with_attention else {}

        super().__init__(config, beside)

    def forward(self, latents: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        """latents (N, 4, h, w), tokens (N, n, D). Returns bank i (n_i, N, L_i, C_i) for each i."""
        made: dict[tuple[int, int], Tensor] = {}
        last = self.config.places[-1]

        def visit(x: Tensor, place: Place, block: Any) -> Tensor:
            _, channels, height, width = x.shape
            attention = block.attentions[place.layer]
            cells = x.reshape(-1, channels, height * width)
            if place == last:
                bank = attention.bank(cells)
            else:
                cells, bank = attention.read(cells, tokens)
            made[place.bank, place.index] = bank[None]
            return cells.reshape(-1, channels, height, width)

        self.through(self.conv_in(latents), self.step_shift(), visit, until=last)
        return tuple(torch.cat([made[p.bank, p.index] for p in places]) for places in self.config.banks)

    def step_shift(self) -> Tensor | None:
        """What timestep 0 does to residual blocks: (1, E). None once it is part of their biases."""
        if not hasattr(self, "time_embedding"):
            return None
        weight = self.time_embedding.linear_1.weight
        at_zero = sinusoids(torch.zeros(1, device=weight.device), self.config.channels[0])
        return F.silu(self.time_embedding(at_zero.to(weight)))

    def folded(self) -> ReferenceUNet:
        """In its graph's form, with the time of 0 in its biases; its keys are others."""
        with torch.no_grad():
            net = folded(self, self.step_shift())
        del net.time_embedding
        return net
