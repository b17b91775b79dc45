"""All networks of the program by name, in the form that the reference runs.

Source: SPEC 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from export.hunyuanportrait.networks.appearance import Appearance, ImageProjection
from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose
from export.hunyuanportrait.networks.motion_refiner import MotionRefiner
from export.hunyuanportrait.networks.pose_guider import PoseGuider
from export.hunyuanportrait.reference.unet import ReferenceUNet
from export.hunyuanportrait.reference.vae import build_vae
from export.weights.random import load_random

CONSTRUCTORS: Mapping[str, Callable[..., nn.Module]] = {
    "appearance": Appearance,
    "image_proj": ImageProjection,
    "expression": Expression,
    "head_pose": HeadPose,
    "motion_refiner": MotionRefiner,
    "pose_guider": PoseGuider,
    "unet": ReferenceUNet.build,
    "vae": build_vae,
}


def build_network(name: str, config: Mapping[str, Any]) -> nn.Module:
    """A network without weights, on the meta device: load a state dict with `assign=True`."""
    with torch.device("meta"):
        return CONSTRUCTORS[name](**config)


def random_networks(configs: Mapping[str, Mapping[str, Any]], prefix: str = "") -> dict[str, nn.Module]:
    """The networks named in `configs`, with the weights of the random rule."""
    return {name: load_random(build_network(name, config), prefix) for name, config in configs.items()}


def load_networks(
    configs: Mapping[str, Mapping[str, Any]], states: Mapping[str, Mapping[str, torch.Tensor]]
) -> dict[str, nn.Module]:
    """The networks named in `configs`, with checked state dicts in fp32 (published files may be fp16)."""
    networks = {}
    for name, config in configs.items():
        network = build_network(name, config)
        floats = {k: t.float() if t.is_floating_point() else t for k, t in states[name].items()}
        network.load_state_dict(floats, strict=True, assign=True)
        networks[name] = network.eval().requires_grad_(False)
    return networks
