"""Where the enhancer's networks take their parameters from, whatever kind of weights is at hand."""

from __future__ import annotations

from pathlib import Path

from engines.errors import CheckpointError
from export.enhancer.presets import Preset
from export.enhancer.upstream import Checkpoints, networks_in
from export.weights.own import is_packed
from export.weights.packed import PackedWeights
from export.weights.source import RandomWeights, WeightsSource

PUBLISHED = "enhancer"  # the preset whose sizes the published files have


def networks_of(preset: Preset, weights: Path | None) -> tuple[str, ...]:
    """Which of the preset's networks these weights hold. Raises CheckpointError for no such folder."""
    if weights is None or is_packed(weights):
        return preset.networks
    _check_published(preset, weights)
    return tuple(network for network in networks_in(weights) if network in preset.networks)


def open_source(preset: Preset, weights: Path | None, networks: tuple[str, ...]) -> WeightsSource:
    """Upstream's folder or a file of `export.train`; None means the random rule. Raises CheckpointError."""
    architecture = preset.architecture
    if weights is None:
        return RandomWeights(architecture.build)
    if is_packed(weights):
        return PackedWeights(weights, preset=preset.name, networks=preset.networks, build=architecture.build)
    _check_published(preset, weights)
    return Checkpoints(architecture, weights, networks)


def _check_published(preset: Preset, weights: Path) -> None:
    if preset.name != PUBLISHED and weights.is_dir():
        raise CheckpointError(
            f"{weights} is a folder of published weights, which are of preset {PUBLISHED}; {preset.name} takes a "
            ".safetensors file of export.train"
        )
