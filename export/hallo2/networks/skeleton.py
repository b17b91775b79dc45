"""The skeleton of both UNets: residual blocks on the way down and up, with skips, and the way through them.

Keys and shapes are the published ones. What stands beside the residual blocks of a level with attention is the net's
own to say, and so is what is done there. Letters: N pictures, C channels, h, w cells, E width of the time embedding.
Source: SPEC 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from export.blocks import MLP, Downsample, SpatialResBlock, Upsample
from export.hallo2.networks.config import Place, UNetConfig

Beside = Callable[[str, int], Mapping[str, nn.ModuleList]]  # (block, width): its lists of modules, by name
Visit = Callable[[Tensor, Place, Any], Tensor]  # (state after the residual block, place, its Block): the state


class Block(nn.Module):
    """One level, down or up, or the middle."""

    def __init__(self, resnets: list[nn.Module], beside: Mapping[str, nn.ModuleList], **sampler: nn.Module):
        super().__init__()
        for name, modules in beside.items():
            setattr(self, name, modules)
        self.resnets = nn.ModuleList(resnets)
        for name, module in sampler.items():
            setattr(self, name, nn.ModuleList([module]))


class Skeleton(nn.Module):
    """What both nets have. `beside` makes what a block has besides residual blocks."""

    def __init__(self, config: UNetConfig, beside: Beside):
        super().__init__()
        self.config = config
        c, top = config.channels, config.top
        self.conv_in = nn.Conv2d(config.latent_channels, c[0], 3, padding=1)
        self.time_embedding = MLP(c[0], config.embedding_dim, config.embedding_dim)

        def residual(channels_in: int, channels_out: int) -> nn.Module:
            return SpatialResBlock(
                channels_in, channels_out, embedding=config.embedding_dim, eps=1e-5, groups=config.groups
            )

        self.down_blocks = nn.ModuleList()
        for level, width in enumerate(c):
            before = c[max(level - 1, 0)]
            resnets = [residual(before if k == 0 else width, width) for k in range(config.layers_per_block)]
            sampler: dict[str, nn.Module] = {"downsamplers": Downsample(width)} if level < top else {}
            self.down_blocks.append(Block(resnets, beside(f"down_blocks.{level}", width), **sampler))
        self.mid_block = Block([residual(c[top], c[top]) for _ in range(2)], beside("mid_block", c[top]))
        self.up_blocks = nn.ModuleList()
        for i in range(len(c)):
            level = top - i
            width, below, finer = c[level], c[min(level + 1, top)], c[max(level - 1, 0)]
            count = config.layers_per_block + 1
            resnets = [
                residual((below if k == 0 else width) + (finer if k == count - 1 else width), width)
                for k in range(count)
            ]
            enlarge = {"upsamplers": Upsample(width)} if level > 0 else {}
            self.up_blocks.append(Block(resnets, beside(f"up_blocks.{i}", width), **enlarge))

    def through(self, x: Tensor, emb: Tensor | None, visit: Visit, until: Place | None = None) -> Tensor:
        """From the stem's output (N, C, h, w) to the last level's. `emb`: (1, E), through SiLU. Ends behind `until`."""
        places = {(place.block, place.layer): place for place in self.config.places}
        block: Any  # a Block; a ModuleList does not know what it holds
        skips = [x]
        for level, block in enumerate(self.down_blocks):
            for k, resnet in enumerate(block.resnets):
                x = resnet(x, emb)
                if place := places.get((f"down_blocks.{level}", k)):
                    x = visit(x, place, block)
                skips.append(x)
            if hasattr(block, "downsamplers"):
                x = block.downsamplers[0](x)
                skips.append(x)
        middle: Any = self.mid_block
        place = places["mid_block", 0]
        x = visit(middle.resnets[0](x, emb), place, middle)
        if place == until:
            return x
        x = middle.resnets[1](x, emb)
        for i, block in enumerate(self.up_blocks):
            for k, resnet in enumerate(block.resnets):
                x = resnet(torch.cat([x, skips.pop()], dim=1), emb)
                if place := places.get((f"up_blocks.{i}", k)):
                    x = visit(x, place, block)
                    if place == until:
                        return x
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0](x)
        return x
