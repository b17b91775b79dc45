"""The published weights, from upstream's folder layout, strictly.

    pretrained_weights/hyportrait/{unet,dino,image_proj,expression,headpose,motion_proj,pose_guider}.pth
    pretrained_weights/vae/diffusion_pytorch_model.fp16.safetensors
    pretrained_weights/arcface.onnx, pretrained_weights/yoloface_v5m.pt      (optional, users bring them)

Everything that is wrong with any of the files is told at once, in one CheckpointError.

Source: SPEC 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from export.hunyuanportrait.architecture import NETWORKS, Architecture
from export.weights.checkpoints import Shapes, StateDict, fingerprint, module_shapes
from export.weights.folder import PublishedFile, read_folder, root_of

NETWORK_FILES: Mapping[str, tuple[str, ...]] = {  # where there are two, upstream uses the first
    "unet": ("hyportrait/unet.pth",),
    "appearance": ("hyportrait/dino.pth",),
    "image_proj": ("hyportrait/image_proj.pth",),  # the inner linear alone: keys `weight`, `bias`
    "expression": ("hyportrait/expression.pth",),
    "head_pose": ("hyportrait/headpose.pth",),
    "motion_refiner": ("hyportrait/motion_proj.pth",),
    "pose_guider": ("hyportrait/pose_guider.pth",),
    "vae": ("vae/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.safetensors"),
}
USER_FILES: Mapping[str, str] = {"arcface": "arcface.onnx", "yoloface": "yoloface_v5m.pt"}


class Checkpoints:
    """Upstream's folder, every file checked before anything is built. Raises CheckpointError."""

    kind = "published"

    def __init__(self, architecture: Architecture, folder: Path) -> None:
        shapes = {network: module_shapes(architecture.build(network)) for network in NETWORKS}
        self._states = load_checkpoints(folder, shapes)
        self.source = str(folder)

    def fingerprint(self, network: str) -> str:
        return fingerprint(self._states[network])

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return self._states[network]


def load_checkpoints(folder: str | Path, shapes: Mapping[str, Shapes]) -> dict[str, StateDict]:
    """Read the networks named in `shapes` (network -> key -> shape) and check every key and shape.

    The same promises and the same CheckpointError as `read_folder`.
    """
    files = [PublishedFile(name=n, places=NETWORK_FILES[n], shapes=expected) for n, expected in shapes.items()]
    return read_folder(weights_root(folder), files)


def weights_root(folder: str | Path) -> Path:
    """The folder that holds `hyportrait/` and `vae/`: `folder`, or `folder/pretrained_weights`."""
    return root_of(folder, nested="pretrained_weights", preset="hunyuanportrait", holds="hyportrait/ and vae/")


def find_user_files(folder: str | Path) -> dict[str, Path]:
    """The optional files that are there: `arcface`, `yoloface`."""
    root = weights_root(folder)
    return {name: root / file for name, file in USER_FILES.items() if (root / file).is_file()}
