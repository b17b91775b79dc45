"""The networks of one model, by their constructor facts, and how to make them.

An `Architecture` is plain data: the full model, the pocket one and every reduced model of the golden
vectors are values of it. State-dict keys depend on it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from export.blocks import VAEConfig
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


class _NothingToInitialise(TorchFunctionMode):
    """Draws no numbers: there are none on the meta device, and PyTorch would import its compiler to draw them there,
    which takes a second."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)


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
        with torch.device(device), _NothingToInitialise() if device == "meta" else nullcontext():
            return makers[network]().eval()

    def load(self, network: str, state: Mapping[str, torch.Tensor]) -> nn.Module:
        """One network with these parameters in float32, owned by the caller.

        fp16 checkpoints are widened, as upstream does before it encodes: the values are the stored ones.
        """
        module = self.build(network)
        widened = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        module.load_state_dict(widened, strict=True, assign=True)
        return module.requires_grad_(False)

    def facts(self, network: str) -> dict[str, Any]:
        """One network's facts as JSON data: part of what decides whether a graph must be rebuilt."""
        value = getattr(self, network)
        return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)
