"""Hallo2 for a build: `export.models.Model`, at each of its presets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engines.bundle import Bundle
from engines.errors import InputError
from engines.spec import Quantization
from export.graphs.calibration import Sample
from export.graphs.graph import Graph
from export.hallo2.architecture import NETWORKS
from export.hallo2.graphs import bundle_graphs
from export.hallo2.presets import Preset
from export.hallo2.released import released_row_flops, released_step_flops
from export.hallo2.upstream import find_user_files
from export.hallo2.weights import open_source
from export.weights.source import WeightsSource
from runtime.hallo2.presets import MODEL

_USES = {"arcface": "--arcface FILE", "vocals": "--vocals FILE"}
# As released (SPEC 8); of `sampling` what a preset says otherwise replaces it.
RELEASED: Mapping[str, Any] = {
    "steps": 40,
    "guidance": 3.5,
    "motion_weights": [1.0, 1.0, 1.0],
    "mask_rate": 0.25,
    "seed": 42,
}
FACE_RATIO, LIP_RATIO = 1.2, 2.0  # of the masks' boxes to the landmarks' (SPEC 7)


@dataclass(frozen=True, kw_only=True)
class Hallo2:
    """This model at one preset; its methods are described in `export.models.Model`."""

    preset: Preset
    name: str = MODEL
    networks: tuple[str, ...] = NETWORKS
    live_networks: tuple[str, ...] = ()
    code: tuple[str, ...] = ("hallo2", "hallo2/networks")

    def holding(self, weights: Path | None) -> Hallo2:
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
        """Raises InputError for what this model has no graphs for: live mode, deep features, 8 bits."""
        refused = {"--live": live is not None, "--reuse": reuse, "--quantize": bool(quantize)}
        if asked := [option for option, is_asked in refused.items() if is_asked]:
            raise InputError(
                f"preset {self.preset.name} has no graphs for {' and '.join(asked)}: it is driven by sound, and live "
                "mode, reused features and 8 bits are of models that a video drives; leave "
                f"{'it' if len(asked) == 1 else 'them'} out"
            )
        return bundle_graphs(
            self.preset.architecture,
            size=size,
            frames=frames,
            motion_frames=self.preset.motion_frames,
            half=half,
        )

    def network_facts(self, network: str) -> Mapping[str, Any]:
        return self.preset.architecture.facts(network)

    def build(self, network: str) -> nn.Module:
        return self.preset.architecture.build(network)

    def load(self, network: str, state: Mapping[str, torch.Tensor]) -> nn.Module:
        return self.preset.architecture.load(network, state)

    def open_weights(self, weights: Path | None, live: Path | None) -> WeightsSource:
        self.live_networks_of(weights, live)
        return open_source(self.preset.architecture, weights, preset=self.preset.name)

    def live_networks_of(self, weights: Path | None, live: Path | None) -> tuple[str, ...]:
        """None, and InputError for a file of them."""
        if live is not None:
            raise InputError(f"preset {self.preset.name} has no live mode, and {live} is for one; leave it out")
        return ()

    def user_files(self, weights: Path) -> Mapping[Path, str]:
        return {path: _USES[name] for name, path in find_user_files(weights).items()}

    def released_flops(self, graph: str, *, size: int, frames: int) -> int | None:
        architecture = self.preset.architecture
        if graph == "talk_denoiser":
            return released_step_flops(architecture, size=size, frames=frames, motion_frames=self.preset.motion_frames)
        return released_row_flops(architecture, size=size) if graph == "reference" else None

    def calls(self, graph: str, bundle: Bundle, clip: tuple[Path, Path] | None) -> Sequence[Sample]:
        raise InputError(f"preset {self.preset.name} has no graphs in 8 bits, so {graph} is not calibrated")

    def sampling(self, frames: int) -> Mapping[str, Any]:
        scaling_factor = self.preset.architecture.vae.scaling_factor
        return {"scaling_factor": scaling_factor, **RELEASED, **self.preset.sampling}

    def geometry(self, size: int) -> Mapping[str, Any]:
        return {
            "crop_px": size,
            "motion_frames": self.preset.motion_frames,
            "face_ratio": FACE_RATIO,
            "lip_ratio": LIP_RATIO,
        }
