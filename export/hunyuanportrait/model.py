"""HunyuanPortrait for a build: `export.models.Model`, at each of its presets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engines.bundle import Bundle
from engines.spec import Quantization
from export.graphs.calibration import Sample
from export.graphs.graph import Graph
from export.hunyuanportrait.architecture import LIVE_NETWORKS, NETWORKS
from export.hunyuanportrait.graphs import QUANTIZABLE, bundle_graphs
from export.hunyuanportrait.live_graphs import live_graphs
from export.hunyuanportrait.presets import Preset
from export.hunyuanportrait.recorded_calls import denoiser_calls, drawn_clips, own_clip
from export.hunyuanportrait.released import released_row_flops
from export.hunyuanportrait.reuse_graphs import reuse_graphs
from export.hunyuanportrait.upstream import find_user_files
from export.hunyuanportrait.weights import open_source
from export.weights.packed import networks_in
from export.weights.source import WeightsSource
from runtime.hunyuanportrait.presets import MODEL

LEAST_WINDOW, MOST_WINDOW = 2, 256  # frames
_USES = {"arcface": "--arcface FILE", "yoloface": "--locator yoloface --locator-file FILE"}


@dataclass(frozen=True, kw_only=True)
class HunyuanPortrait:
    """This model at one preset; its methods are described in `export.models.Model`."""

    preset: Preset
    name: str = MODEL
    networks: tuple[str, ...] = NETWORKS
    live_networks: tuple[str, ...] = LIVE_NETWORKS
    code: tuple[str, ...] = ("hunyuanportrait", "hunyuanportrait/networks")

    def holding(self, weights: Path | None) -> HunyuanPortrait:
        return self  # published folders have every network, or are refused

    def notes(self, weights: Path | None) -> Sequence[str]:
        return ()

    def licences(self, weights: Path | None) -> Mapping[str, str]:
        return {}  # those of the whole model: NOTICE

    def graphs(
        self,
        *,
        size: int | tuple[int, int],
        frames: int,
        half: bool,
        reuse: bool = False,
        live: Collection[str] | None = None,
        quantize: Sequence[Quantization] = (),
    ) -> dict[str, Graph]:
        architecture, motion_px = self.preset.architecture, self.preset.motion_px
        if not LEAST_WINDOW <= frames <= MOST_WINDOW:
            raise ValueError(
                f"a window of {frames} frames cannot be built; choose {LEAST_WINDOW} to {MOST_WINDOW} (released: 25)"
            )
        graphs = bundle_graphs(architecture, size=size, frames=frames, motion_px=motion_px, half=half)
        if reuse:
            graphs |= reuse_graphs(architecture, size=size, frames=frames, half=half)
        if live is not None:
            graphs |= live_graphs(architecture, size=size, frames=frames, half=half, networks=live)
        for kind in quantize:
            made = [graphs[name].in_kind(kind) for name in QUANTIZABLE if name in graphs]
            graphs |= {graph.name: graph for graph in made}
        return graphs

    def network_facts(self, network: str) -> Mapping[str, Any]:
        return self.preset.architecture.facts(network)

    def build(self, network: str) -> nn.Module:
        return self.preset.architecture.build(network)

    def load(self, network: str, state: Mapping[str, torch.Tensor]) -> nn.Module:
        return self.preset.architecture.load(network, state)

    def open_weights(self, weights: Path | None, live: Path | None) -> WeightsSource:
        return open_source(self.preset.architecture, weights, preset=self.preset.name, live=live)

    def live_networks_of(self, weights: Path | None, live: Path | None) -> tuple[str, ...]:
        if live is not None:
            return networks_in(live, LIVE_NETWORKS)
        return ("tiny_decoder",) if weights is None else ()  # noise may be decoded by noise

    def user_files(self, weights: Path) -> Mapping[Path, str]:
        return {path: _USES[name] for name, path in find_user_files(weights).items()}

    def released_flops(self, graph: str, *, size: int, frames: int) -> int | None:
        if graph != "denoiser":
            return None
        return released_row_flops(self.preset.architecture, size=size, frames=frames)

    def calls(self, graph: str, bundle: Bundle, clip: tuple[Path, Path] | None) -> Sequence[Sample]:
        clips = [own_clip(*clip)] if clip else drawn_clips(bundle.manifest.geometry["crop_px"])
        return denoiser_calls(bundle, graph, clips)

    def sampling(self, frames: int) -> Mapping[str, Any]:
        return {
            "scaling_factor": self.preset.architecture.vae.scaling_factor,
            **self.preset.sampling,
            "window": frames,
            "overlap": min(3, frames - 1),  # the released 3, but in windows too short for it
        }

    def geometry(self, size: int) -> Mapping[str, Any]:
        return {
            "crop_px": size,
            "appearance_px": self.preset.architecture.appearance["image_hw"][0],
            "motion_px": self.preset.motion_px,
        }
