"""A UNet of fewer layers a level, begun from one of more: which layers it takes.

On the way down the first ones; on the way up the first ones and the last. The first layer of a level changes the width
on the way down, the first and the last meet skips of other widths on the way up: these have no stand-ins.

Source of the idea: BK-SDM (Kim et al. 2023), which leaves out a layer of every level and distils the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from export.hunyuanportrait.networks.unet import UNetConfig

_LAYER = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)")


def thinned(state: Mapping[str, torch.Tensor], of: UNetConfig, to: UNetConfig) -> dict[str, torch.Tensor]:
    """The entries of `state`, of a UNet `of`, that one of `to` begins with, under the names they have there.

    ValueError where the two differ in more than `layers_per_block`, or `to` has more layers.
    """
    if of.thinner(to.layers_per_block) != to or any(
        new > old for new, old in zip(to.layers_per_block, of.layers_per_block, strict=True)
    ):
        raise ValueError("a UNet is thinned by its layers alone, and gets no new ones")
    kept = {}
    for key, value in state.items():
        if (match := _LAYER.fullmatch(key)) is None:
            kept[key] = value
            continue
        way, block, kind, layer, rest = match.groups()
        number = int(block) if way == "down" else len(to.layers_per_block) - 1 - int(block)
        place = _place(int(layer), way, of.layers_per_block[number], to.layers_per_block[number])
        if place is not None:
            kept[f"{way}_blocks.{block}.{kind}.{place}.{rest}"] = value
    return kept


def _place(layer: int, way: str, old: int, new: int) -> int | None:
    """Where a layer of a level goes: of `old` layers, one more on the way up, to `new`; None: nowhere."""
    if way == "up" and layer == old:  # the last
        return new
    return layer if layer < new else None
