"""The graphs of a size and its weights, made without files.

Weights follow the rule of `export.weights.random`: every process of a check makes the same ones.
"""

from __future__ import annotations

from torch import nn

from export.graphs.graph import Graph
from export.hunyuanportrait.architecture import Architecture
from export.hunyuanportrait.graphs import bundle_graphs
from export.hunyuanportrait.live_graphs import live_graphs
from export.hunyuanportrait.presets import PRESETS
from export.weights.random import random_state_dict
from tests.gpu.sizes import GRAPHS, Size


def graphs_of(size: Size) -> dict[str, Graph]:
    """The graphs of an fp16 bundle, in the order of `GRAPHS`."""
    preset = PRESETS[size.preset]
    made = bundle_graphs(preset.architecture, size=size.px, frames=size.frames, motion_px=preset.motion_px, half=True)
    made |= live_graphs(preset.architecture, size=size.px, frames=size.frames, half=True, networks=())
    return {name: made[name] for name in GRAPHS}


def architecture_of(size: Size) -> Architecture:
    return PRESETS[size.preset].architecture


class Networks:
    """Networks by name with float32 parameters on `device`, made when first asked for."""

    def __init__(self, architecture: Architecture, device: str) -> None:
        self._architecture, self._device = architecture, device
        self._made: dict[str, nn.Module] = {}

    def __call__(self, network: str) -> nn.Module:
        if network not in self._made:
            module = self._architecture.load(network, random_state_dict(self._architecture.build(network)))
            self._made[network] = module.to(self._device)
        return self._made[network]

    def keep(self, wanted: set[str]) -> None:
        """Let go of all but these."""
        self._made = {name: module for name, module in self._made.items() if name in wanted}
