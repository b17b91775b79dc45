"""Where the networks of this model take their parameters from, whatever kind of weights is at hand."""

from __future__ import annotations

from pathlib import Path

from export.hunyuanportrait.architecture import DISTILLED, LIVE_NETWORKS, NETWORKS, Architecture
from export.hunyuanportrait.upstream import Checkpoints
from export.weights.own import is_packed
from export.weights.packed import LiveWeights, PackedWeights
from export.weights.source import RandomWeights, WeightsSource, WithLive


def open_source(
    architecture: Architecture, weights: Path | None, *, preset: str, live: Path | None = None
) -> WeightsSource:
    """Upstream's folder or a file of `export.train`; None means the random rule. Raises CheckpointError.

    `live`: a file of `export.distill`, for the networks of live mode.
    """
    if live is not None:
        source = open_source(architecture, weights, preset=preset)
        return WithLive(source, live_weights(architecture, live, preset=preset), distilled=DISTILLED)
    if weights is None:
        return RandomWeights(architecture.build)
    if is_packed(weights):
        return packed_weights(architecture, weights, preset=preset)
    return Checkpoints(architecture, weights)


def packed_weights(architecture: Architecture, path: Path, *, preset: str) -> PackedWeights:
    """A file of `export.train`. Raises CheckpointError."""
    return PackedWeights(path, preset=preset, networks=NETWORKS, build=architecture.build)


def live_weights(architecture: Architecture, path: Path, *, preset: str) -> LiveWeights:
    """A file of `export.distill`. Raises CheckpointError."""
    return LiveWeights(path, preset=preset, known=LIVE_NETWORKS, build=architecture.build)
