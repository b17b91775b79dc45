"""The networks of a golden case as our own modules, and the graphs of a bundle made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from engines.onnx_backend import OnnxBackend
from export.blocks import VAEConfig
from export.graphs.graph import Graph
from export.hallo2.architecture import PREFIXES, Architecture
from export.hallo2.networks.config import (
    AudioTokensConfig,
    FaceLocatorConfig,
    FaceTokensConfig,
    SpeechConfig,
    UNetConfig,
)
from export.weights.random import random_state_dict
from tests.export.onnx_cache import OnnxCache, OnnxSession


def vae_config(config: Mapping[str, Any]) -> VAEConfig:
    """From a case's names."""
    return VAEConfig(
        block_out_channels=tuple(config["channels"]),
        layers_per_block=config["layers_per_block"],
        norm_groups=config["groups"],
        latent_channels=config["latent_channels"],
        scaling_factor=config["scaling_factor"],
    )


def locator_config(config: Mapping[str, Any]) -> FaceLocatorConfig:
    """From a case's names."""
    return FaceLocatorConfig(**{**config, "block_out_channels": tuple(config["block_out_channels"])})


def architecture_of(config: Mapping[str, Mapping[str, Any]]) -> Architecture:
    """From the `config` of a chain or a program, or from some of its networks; the others are the published ones."""
    makers = {
        "reference_unet": UNetConfig.of,
        "denoising_unet": UNetConfig.of,
        "face_locator": locator_config,
        "face_tokens": lambda facts: FaceTokensConfig(**facts),
        "audio_tokens": lambda facts: AudioTokensConfig(**facts),
        "vae": vae_config,
        "speech_encoder": lambda facts: SpeechConfig(**facts),
    }
    ours = {"face_tokens": "imageproj", "audio_tokens": "audioproj"}
    return Architecture(**{ours.get(name, name): makers[name](facts) for name, facts in config.items()})


class CaseNetworks:
    """Networks by name with the weights of the rule, made when first asked for."""

    def __init__(self, architecture: Architecture, prefix: str) -> None:
        self.architecture, self.prefix = architecture, prefix
        self._made: dict[str, nn.Module] = {}

    def __call__(self, network: str) -> nn.Module:
        if network not in self._made:
            weights = random_state_dict(self.architecture.build(network), self.prefix + PREFIXES[network])
            self._made[network] = self.architecture.load(network, weights)
        return self._made[network]

    def path(self, graph: Graph, cache: OnnxCache) -> Path:
        """The file of `graph` in float32, exported by the bundle's own way."""
        facts = {
            "networks": {name: self.architecture.facts(name) for name in graph.networks},
            "prefix": self.prefix,
        }
        sizes = {name: max(size, 2) for name, size in graph.opt_sizes().items()}  # as a build does
        return cache.path(graph.spec, facts, lambda: graph.make(self), lambda: graph.example(sizes))

    def session(self, graph: Graph, cache: OnnxCache, backend: OnnxBackend) -> OnnxSession:
        return backend.load(graph.spec, self.path(graph, cache))
