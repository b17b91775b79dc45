"""The released networks with a bundle's weights, for comparing the two on one clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from engines.errors import InputError
from export.hunyuanportrait.architecture import NETWORKS, Architecture
from export.hunyuanportrait.presets import PRESETS
from export.hunyuanportrait.reference.networks import load_networks
from export.hunyuanportrait.weights import open_source


def released_networks(
    preset: str, fingerprints: Mapping[str, str], weights: Path | None = None
) -> dict[str, nn.Module]:
    """Every network of `preset` in fp32. `weights`: as `export.hunyuanportrait.weights.open_source` takes them.

    `fingerprints` are the bundle's, by network: InputError when these are not its weights. Those of live mode's
    networks are left alone: the released program has none. Raises CheckpointError.
    """
    if preset not in PRESETS:
        raise InputError(f"there is no preset {preset!r} to compare with; there are {', '.join(PRESETS)}")
    architecture = PRESETS[preset].architecture
    source = open_source(architecture, weights, preset=preset)
    known = {network: fingerprints[network] for network in NETWORKS if network in fingerprints}
    other = [network for network, mark in known.items() if source.fingerprint(network) != mark]
    if other:
        raise InputError(
            f"the bundle was built from other weights for {', '.join(other)} than {source.source}; "
            "give those it was built from, or build it again"
        )
    return load_networks(_configs(architecture), {network: source.state(network) for network in NETWORKS})


def _configs(architecture: Architecture) -> dict[str, Mapping[str, Any]]:
    """Constructor facts by network, under the names that the reference's networks take."""
    configs: dict[str, Mapping[str, Any]] = {network: architecture.facts(network) for network in NETWORKS}
    return configs | {"unet": architecture.unet.to_diffusers(), "vae": architecture.vae.to_diffusers()}
