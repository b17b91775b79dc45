"""Where the networks of this model take their parameters from, whatever kind of weights is at hand."""

from __future__ import annotations

from pathlib import Path

from export.hallo2.architecture import NETWORKS, PREFIXES, Architecture
from export.hallo2.upstream import Checkpoints
from export.weights.own import is_packed
from export.weights.packed import PackedWeights
from export.weights.source import RandomWeights, WeightsSource


def open_source(architecture: Architecture, weights: Path | None, *, preset: str) -> WeightsSource:
    """Upstream's folder or a file of `export.train`; None means the random rule. Raises CheckpointError."""
    if weights is None:
        return RandomWeights(architecture.build, published=PREFIXES)
    if is_packed(weights):
        return PackedWeights(weights, preset=preset, networks=NETWORKS, build=architecture.build)
    return Checkpoints(architecture, weights)
