"""The networks of a golden case as our own modules, and the graphs of a bundle made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from engines.onnx_backend import OnnxBackend
from export.blocks import VAEConfig
from export.graphs.graph import Graph
from export.hunyuanportrait.architecture import Architecture
from export.hunyuanportrait.networks.unet import UNet, UNetConfig
from export.weights.random import load_random
from tests.export.onnx_cache import OnnxCache, OnnxSession


def architecture_of(config: Mapping[str, Mapping[str, Any]], **defaults: Mapping[str, Any]) -> Architecture:
    """From a loop's or a program's config; networks that it lacks come from `defaults`, or are empty."""
    plain = ("appearance", "image_proj", "expression", "head_pose", "motion_refiner", "pose_guider")
    return Architecture(
        **{name: config.get(name, defaults.get(name, {})) for name in plain},
        unet=UNetConfig.from_diffusers(config["unet"]),
        vae=VAEConfig.from_diffusers(config["vae"]),
    )


class CaseNetworks:
    """Networks by name with the weights of the rule, made when first asked for."""

    def __init__(self, architecture: Architecture, prefix: str, *, motion_scale: float = 1.0) -> None:
        self.architecture, self.prefix, self.motion_scale = architecture, prefix, motion_scale
        self._made: dict[str, nn.Module] = {}

    def __call__(self, network: str) -> nn.Module:
        if network not in self._made:
            if network == "unet":
                with torch.device("meta"):
                    module: nn.Module = UNet(self.architecture.unet, motion_scale=self.motion_scale)
            else:
                module = self.architecture.build(network)
            self._made[network] = load_random(module, self.prefix)
        return self._made[network]

    def session(self, graph: Graph, cache: OnnxCache, backend: OnnxBackend) -> OnnxSession:
        """`graph` in float32, exported by the bundle's own way and opened."""
        facts = {
            "networks": {name: self.architecture.facts(name) for name in graph.networks},
            "prefix": self.prefix,
            "motion_scale": self.motion_scale,
        }
        sizes = {name: max(size, 2) for name, size in graph.opt_sizes().items()}  # as a build does
        return cache.session(backend, graph.spec, facts, lambda: graph.make(self), lambda: graph.example(sizes))
