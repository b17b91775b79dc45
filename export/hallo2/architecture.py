"""The networks of the model, by their constructor facts, and how to make them.

An `Architecture` is plain data: the full model, the pocket one and every reduced model of the golden vectors are values
of it. State-dict keys depend on it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from export.blocks import VAEConfig, made_on, with_parameters
from export.hallo2.networks.config import (
    AudioTokensConfig,
    FaceLocatorConfig,
    FaceTokensConfig,
    SpeechConfig,
    UNetConfig,
)
from export.hallo2.networks.face_locator import FaceLocator
from export.hallo2.networks.projections import AudioProjection, ImageProjection
from export.hallo2.networks.speech_encoder import SpeechEncoder
from export.hallo2.networks.vae import VAE

# Network -> the prefix of its keys in the published file, which is part of the weight rule's seed too (SPEC 1).
PREFIXES: Mapping[str, str] = {
    "reference_unet": "reference_unet.",
    "denoising_unet": "denoising_unet.",
    "face_locator": "face_locator.",
    "imageproj": "imageproj.",
    "audioproj": "audioproj.",
    "vae": "",
    "speech_encoder": "wav2vec2.",
}
NETWORKS = tuple(PREFIXES)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Constructor facts of every network; the defaults are the published ones."""

    reference_unet: UNetConfig = field(default_factory=UNetConfig)
    denoising_unet: UNetConfig = field(default_factory=UNetConfig)
    face_locator: FaceLocatorConfig = field(default_factory=FaceLocatorConfig)
    imageproj: FaceTokensConfig = field(default_factory=FaceTokensConfig)
    audioproj: AudioTokensConfig = field(default_factory=AudioTokensConfig)
    vae: VAEConfig = field(default_factory=VAEConfig)
    speech_encoder: SpeechConfig = field(default_factory=SpeechConfig)

    def build(self, network: str, *, device: str = "meta") -> nn.Module:
        """One network in eval mode, with every published key. On the default "meta" device it has no memory."""
        makers: dict[str, Callable[[], nn.Module]] = {
            "reference_unet": self._reference_unet,
            "denoising_unet": self._denoising_unet,
            "face_locator": lambda: FaceLocator(self.face_locator),
            "imageproj": lambda: ImageProjection(self.imageproj),
            "audioproj": lambda: AudioProjection(self.audioproj),
            "vae": lambda: VAE(self.vae),
            "speech_encoder": lambda: SpeechEncoder(self.speech_encoder),
        }
        return made_on(device, makers[network])

    def load(self, network: str, state: Mapping[str, torch.Tensor]) -> nn.Module:
        """One network with these parameters in float32, owned by the caller.

        What the released program stores and never runs is let go of (SPEC 0.1).
        """
        module: Any = with_parameters(self.build(network), state)
        if network == "denoising_unet":
            module.drop_dead()
        return module

    def facts(self, network: str) -> dict[str, Any]:
        """One network's facts as JSON data: part of what decides whether a graph must be rebuilt."""
        return asdict(getattr(self, network))

    def _reference_unet(self) -> nn.Module:
        from export.hallo2.networks.reference_unet import ReferenceUNet

        return ReferenceUNet(self.reference_unet)

    def _denoising_unet(self) -> nn.Module:
        from export.hallo2.networks.denoising_unet import DenoisingUNet

        return DenoisingUNet(self.denoising_unet)
