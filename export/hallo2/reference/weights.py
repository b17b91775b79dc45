"""The released networks by name, with random or given weights.

Source: SPEC 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models import AutoencoderKL, UNet2DConditionModel
from torch import nn

from export.hallo2.networks.config import (
    AudioTokensConfig,
    FaceLocatorConfig,
    FaceTokensConfig,
    SpeechConfig,
    UNetConfig,
)
from export.hallo2.reference.autoencoder import build_vae
from export.hallo2.reference.small import AudioProjection, FaceLocator, ImageProjection
from export.hallo2.reference.speech import SpeechEncoder
from export.hallo2.reference.unets import DenoisingUNet, build_reference_unet
from export.weights.random import random_state_dict

# In the published files; the autoencoder's keys have none.
PREFIXES: Mapping[str, str] = {
    "reference_unet": "reference_unet.",
    "denoising_unet": "denoising_unet.",
    "face_locator": "face_locator.",
    "imageproj": "imageproj.",
    "audioproj": "audioproj.",
    "vae": "",
    "speech_encoder": "wav2vec2.",
}
BUILDERS: Mapping[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "reference_unet": lambda config: build_reference_unet(UNetConfig.of(config)),
    "denoising_unet": lambda config: DenoisingUNet(UNetConfig.of(config)),
    "face_locator": lambda config: FaceLocator(FaceLocatorConfig(**config)),
    "imageproj": lambda config: ImageProjection(FaceTokensConfig(**config)),
    "audioproj": lambda config: AudioProjection(AudioTokensConfig(**config)),
    "vae": lambda config: build_vae(**config),
    "speech_encoder": lambda config: SpeechEncoder(SpeechConfig(**config)),
}


@dataclass(frozen=True, kw_only=True)
class Networks:
    """All that the program runs, in fp32, on the CPU."""

    config: UNetConfig  # of both UNets
    reference_unet: UNet2DConditionModel
    denoising_unet: DenoisingUNet
    face_locator: FaceLocator
    imageproj: ImageProjection
    audioproj: AudioProjection
    vae: AutoencoderKL
    speech_encoder: SpeechEncoder


def build_network(name: str, config: Mapping[str, Any]) -> nn.Module:
    """A network without weights, on the meta device; `config`: its flat dict, as golden cases have them."""
    with torch.device("meta"):
        return BUILDERS[name](config)


def random_network(name: str, config: Mapping[str, Any], prefix: str = "") -> nn.Module:
    """One network with the weights of the random rule."""
    network = build_network(name, config)
    return loaded(network, random_state_dict(network, prefix + PREFIXES[name]))


def random_networks(configs: Mapping[str, Mapping[str, Any]], prefix: str = "") -> Networks:
    """All networks with the weights of the random rule; `configs` by network name."""
    return _together(configs, {name: random_network(name, configs[name], prefix) for name in BUILDERS})


def load_networks(
    configs: Mapping[str, Mapping[str, Any]], state: Callable[[str], Mapping[str, torch.Tensor]]
) -> Networks:
    """All networks with given weights: `state` gives a network's state dict by its name, without the prefix."""
    return _together(configs, {name: loaded(build_network(name, configs[name]), state(name)) for name in BUILDERS})


def loaded(network: nn.Module, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """`network` with the weights in fp32, keys strict, gradients off."""
    network.load_state_dict({key: value.float() for key, value in state.items()}, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _together(configs: Mapping[str, Mapping[str, Any]], networks: Mapping[str, Any]) -> Networks:
    return Networks(config=UNetConfig.of(configs["denoising_unet"]), **networks)
