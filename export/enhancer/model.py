"""The enhancer for a build: `export.models.Model`, at each of its presets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engines.bundle import Bundle
from engines.errors import InputError
from engines.spec import Quantization
from export.enhancer.graphs import bundle_graphs
from export.enhancer.presets import Preset
from export.enhancer.upstream import PLACES
from export.enhancer.weights import networks_of, open_source
from export.graphs.calibration import Sample
from export.graphs.graph import Graph
from export.weights.own import is_packed
from export.weights.source import WeightsSource
from runtime.enhancer.presets import MODEL, SCALE

# Terms of the published files (SPEC 9); NOTICE has them all.
LICENCES: Mapping[str, str] = {
    "restorer": "S-Lab License 1.0, non-commercial use only: the face restorer derives from CodeFormer",
}


@dataclass(frozen=True, kw_only=True)
class Enhancer:
    """This model at one preset; its methods are described in `export.models.Model`. `held`: what weights it has; None:
    all networks of the preset."""

    preset: Preset
    held: tuple[str, ...] | None = None
    name: str = MODEL
    live_networks: tuple[str, ...] = ()
    code: tuple[str, ...] = ("enhancer", "enhancer/networks")

    @property
    def networks(self) -> tuple[str, ...]:
        return self.preset.networks if self.held is None else self.held

    def holding(self, weights: Path | None) -> Enhancer:
        return replace(self, held=networks_of(self.preset, weights))

    def notes(self, weights: Path | None) -> Sequence[str]:
        left_out = [network for network in self.preset.networks if network not in self.networks]
        told = [f"licence: {text}" for text in self.licences(weights).values()]
        if left_out:
            files = ", ".join(PLACES[network] for network in left_out)
            told.append(f"without the graphs of {', '.join(left_out)}, which need {files}: faces are not restored")
        return told

    def licences(self, weights: Path | None) -> Mapping[str, str]:
        if weights is None or is_packed(weights):
            return {}
        return {network: text for network, text in LICENCES.items() if network in self.networks}

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
        """Raises InputError for what this model has no graphs for: live mode, deep features, 8 bits."""
        refused = {"--live": live is not None, "--reuse": reuse, "--quantize": bool(quantize)}
        if asked := [option for option, is_asked in refused.items() if is_asked]:
            raise InputError(
                f"preset {self.preset.name} has no graphs for {' and '.join(asked)}: it enlarges finished videos; "
                f"leave {'it' if len(asked) == 1 else 'them'} out"
            )
        usual = self.preset.size
        if size not in (usual, (usual, usual)) or frames != self.preset.frames:
            raise ValueError(
                f"the enhancer takes pictures of any size, faces of {usual} pixels and up to {self.preset.frames} "
                "frames together; leave --size and --frames out"
            )
        return bundle_graphs(self.preset.architecture, self.networks, half=half)

    def network_facts(self, network: str) -> Mapping[str, Any]:
        return self.preset.architecture.facts(network)

    def build(self, network: str) -> nn.Module:
        return self.preset.architecture.build(network)

    def load(self, network: str, state: Mapping[str, torch.Tensor]) -> nn.Module:
        return self.preset.architecture.load(network, state)

    def open_weights(self, weights: Path | None, live: Path | None) -> WeightsSource:
        self.live_networks_of(weights, live)
        return open_source(self.preset, weights, self.networks)

    def live_networks_of(self, weights: Path | None, live: Path | None) -> tuple[str, ...]:
        """None, and InputError for a file of them."""
        if live is not None:
            raise InputError(f"preset {self.preset.name} has no live mode, and {live} is for one; leave it out")
        return ()

    def user_files(self, weights: Path) -> Mapping[Path, str]:
        return {}

    def released_flops(self, graph: str, *, size: int, frames: int) -> int | None:
        return None

    def calls(self, graph: str, bundle: Bundle, clip: tuple[Path, Path] | None) -> Sequence[Sample]:
        raise InputError(f"preset {self.preset.name} has no graphs in 8 bits, so {graph} is not calibrated")

    def sampling(self, frames: int) -> Mapping[str, Any]:
        return {}

    def geometry(self, size: int) -> Mapping[str, Any]:
        return {"face_px": size, "scale": SCALE}
