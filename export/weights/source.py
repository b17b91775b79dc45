"""Where a build takes its parameters from: the random rule, checked checkpoints, or a file that we trained.

A source tells a network's fingerprint before its parameters are made or read, so that a build that has
nothing to do touches no weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from engines.errors import CheckpointError, InputError
from export.hunyuanportrait.architecture import LIVE_NETWORKS, Architecture
from export.hunyuanportrait.upstream import Checkpoints
from export.weights.checkpoints import module_shapes
from export.weights.packed import LiveWeights, PackedWeights
from export.weights.random import random_state_dict
from hp_trt.shipped import POCKET, POCKET_LIVE

OWN_WEIGHTS: dict[str, Path] = {"pocket": POCKET}  # by preset: what comes with the package
OWN_LIVE_WEIGHTS: dict[str, Path] = {"pocket": POCKET_LIVE}


class WeightsSource(Protocol):
    """Parameters by network name."""

    kind: str  # "random" | "published" | "trained", as the manifest records it
    source: str  # for people

    def fingerprint(self, network: str) -> str: ...

    def state(self, network: str) -> Mapping[str, torch.Tensor]: ...


class RandomWeights:
    """The rule decides everything: the fingerprint is that of its seed prefix and the shapes."""

    kind = "random"

    def __init__(self, architecture: Architecture, prefix: str = "") -> None:
        self._architecture, self._prefix = architecture, prefix
        self.source = f"random weights by the golden rule, seed prefix {prefix!r}: noise, for benchmarks only"

    def fingerprint(self, network: str) -> str:
        shapes: dict[str, Any] = {k: list(s) for k, s in module_shapes(self._architecture.build(network)).items()}
        text = json.dumps({"prefix": self._prefix, "shapes": shapes}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return random_state_dict(self._architecture.build(network), self._prefix)


class WithLive:
    """A source, and the networks of live mode from a file. Raises CheckpointError for a UNet distilled from another."""

    def __init__(self, source: WeightsSource, live: LiveWeights) -> None:
        self._source, self._live = source, live
        self.kind, self.source, self.live_source = source.kind, source.source, live.source
        if "live_unet" in live.networks and live.teacher and live.teacher != source.fingerprint("unet"):
            raise CheckpointError(
                f"{live.source}: its live_unet was distilled from another UNet than that of {source.source}; give "
                "those weights, or distil these: python -m export.distill"
            )

    def fingerprint(self, network: str) -> str:
        return self._of(network).fingerprint(network)

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return self._of(network).state(network)

    def _of(self, network: str) -> WeightsSource | LiveWeights:
        return self._live if network in LIVE_NETWORKS else self._source


def is_packed(weights: Path | None) -> bool:
    """Whether `weights` names one file, of `export.train`, and not upstream's folder."""
    return weights is not None and weights.suffix == ".safetensors" and not weights.is_dir()


def open_source(
    architecture: Architecture, weights: Path | None, *, preset: str, live: Path | None = None
) -> WeightsSource:
    """Upstream's folder or a file of `export.train`; None means the random rule. Raises CheckpointError.

    `live`: a file of `export.distill`, for the networks of live mode.
    """
    if live is not None:
        packed = LiveWeights(architecture, live, preset=preset)
        return WithLive(open_source(architecture, weights, preset=preset), packed)
    if weights is None:
        return RandomWeights(architecture)
    if is_packed(weights):
        return PackedWeights(architecture, weights, preset=preset)
    return Checkpoints(architecture, weights)


def own_weights(preset: str) -> Path:
    """The weights that come with the package for `preset`. InputError for one that has none, CheckpointError for a
    package that has lost them."""
    if preset not in OWN_WEIGHTS:
        raise InputError(
            "weights come from --weights DIR or --random-weights, neither was given; choose one "
            f"(only {', '.join(OWN_WEIGHTS)} has weights of its own)"
        )
    path = OWN_WEIGHTS[preset]
    if not path.is_file():
        raise CheckpointError(
            f"{path}, the weights that come with hp-trt, is not there; install hp-trt again, or give --weights "
            "FILE.safetensors or --random-weights"
        )
    return path


def own_live_weights(preset: str) -> Path | None:
    """The weights of live mode that come with the package for `preset`, None where there are none."""
    path = OWN_LIVE_WEIGHTS.get(preset)
    return path if path is not None and path.is_file() else None
