"""The networks of one model, by their constructor facts, and how to make them.

An `Architecture` is plain data: the full model, the pocket one and every reduced model of the golden
vectors are values of it. State-dict keys depend on it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

import torch
from torch import nn

from export.blocks import VAEConfig, made_on, with_parameters
from export.hunyuanportrait.networks.appearance import Appearance, ImageProjection
from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose
from export.hunyuanportrait.networks.motion_refiner import MotionRefiner
from export.hunyuanportrait.networks.pose_guider import PoseGuider
from export.hunyuanportrait.networks.tiny_decoder import TinyDecoder, TinyDecoderConfig
from export.hunyuanportrait.networks.unet import UNet, UNetConfig
from export.hunyuanportrait.networks.vae import VAE

NETWORKS = ("appearance", "image_proj", "expression", "head_pose", "motion_refiner", "pose_guider", "unet", "vae")
LIVE_NETWORKS = ("live_unet", "tiny_decoder")  # of live mode: a distilled UNet, and a small decoder
DISTILLED = {"live_unet": "unet"}  # network of live mode -> the one that it was distilled from


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Constructor facts of every network, under the names of the golden vectors' `config`."""

    appearance: Mapping[str, Any]
    image_proj: Mapping[str, Any]
    expression: Mapping[str, Any]
    head_pose: Mapping[str, Any]
    motion_refiner: Mapping[str, Any]
    pose_guider: Mapping[str, Any]
    unet: UNetConfig
    vae: VAEConfig
    tiny_decoder: TinyDecoderConfig = field(default_factory=TinyDecoderConfig)
    live_layers: tuple[int, ...] | None = None  # of a level of the distilled UNet; None: as many as the UNet's

    @property
    def live_unet(self) -> UNetConfig:
        """Distilled to few steps: other weights of the same network, which may have fewer layers."""
        return self.unet if self.live_layers is None else self.unet.thinner(self.live_layers)

    def build(self, network: str, *, device: str = "meta") -> nn.Module:
        """One network in eval mode. On the default "meta" device it has shapes and no memory."""
        makers: dict[str, Callable[[], nn.Module]] = {
            "appearance": lambda: Appearance(**self.appearance),
            "image_proj": lambda: ImageProjection(**self.image_proj),
            "expression": lambda: Expression(**self.expression),
            "head_pose": lambda: HeadPose(**self.head_pose),
            "motion_refiner": lambda: MotionRefiner(**self.motion_refiner),
            "pose_guider": lambda: PoseGuider(**self.pose_guider),
            "unet": lambda: UNet(self.unet),
            "vae": lambda: VAE(self.vae),
            "live_unet": lambda: UNet(self.live_unet),
            "tiny_decoder": lambda: TinyDecoder(self.tiny_decoder),
        }
        return made_on(device, makers[network])

    def load(self, network: str, state: Mapping[str, torch.Tensor]) -> nn.Module:
        """One network with these parameters in float32, owned by the caller."""
        return with_parameters(self.build(network), state)

    def facts(self, network: str) -> dict[str, Any]:
        """One network's facts as JSON data: part of what decides whether a graph must be rebuilt."""
        value = getattr(self, network)
        return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)
