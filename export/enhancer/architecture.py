"""The networks of the enhancer, by their constructor facts, and how to make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from export.blocks import made_on, with_parameters
from export.enhancer.networks.config import DetectorConfig, ParserConfig, RestorerConfig, UpscalerConfig
from export.enhancer.networks.detector import Detector
from export.enhancer.networks.parser import Parser
from export.enhancer.networks.restorer import Restorer
from export.enhancer.networks.upscaler import Upscaler

NETWORKS = ("upscaler", "restorer", "parser", "detector")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Constructor facts of every network; the defaults are the published ones."""

    upscaler: UpscalerConfig = field(default_factory=UpscalerConfig)
    restorer: RestorerConfig = field(default_factory=RestorerConfig)
    parser: ParserConfig = field(default_factory=ParserConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)

    def build(self, network: str, *, device: str = "meta") -> nn.Module:
        """One network in eval mode, with every published key. On the default "meta" device it has no memory."""
        makers: dict[str, Callable[[], nn.Module]] = {
            "upscaler": lambda: Upscaler(self.upscaler),
            "restorer": lambda: Restorer(self.restorer),
            "parser": lambda: Parser(self.parser),
            "detector": lambda: Detector(self.detector),
        }
        return made_on(device, makers[network])

    def load(self, network: str, state: Mapping[str, torch.Tensor]) -> nn.Module:
        """One network with these parameters in float32, owned by the caller."""
        return with_parameters(self.build(network), state)

    def facts(self, network: str) -> dict[str, Any]:
        """One network's facts as JSON data: part of what decides whether a graph must be rebuilt."""
        return asdict(getattr(self, network))
