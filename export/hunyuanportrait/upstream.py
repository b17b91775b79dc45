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

from engines.errors import CheckpointError
from export.hunyuanportrait.architecture import NETWORKS, Architecture
from export.weights.checkpoints import (
    Shapes,
    StateDict,
    fingerprint,
    mismatches,
    module_shapes,
    read_checkpoint,
    unusable,
)

NETWORK_FILES: Mapping[str, tuple[str, ...]] = {
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

    Tensors keep the dtype they were stored in and are mapped from disk where the file allows it:
    leave the files alone while the result lives. Raises one CheckpointError that lists all missing
    and unreadable files and all missing, unexpected and misshapen keys of all files, a line a file.
    """
    root = weights_root(folder)
    states: dict[str, StateDict] = {}
    problems: list[str] = []
    for network, expected in shapes.items():
        path = find_file(root, network)
        if path is None:
            problems.append(f"{network}: no file, needed {' or '.join(NETWORK_FILES[network])}")
            continue
        try:
            state = read_checkpoint(path)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        if wrong := mismatches(state, expected) or unusable(state):
            problems.append(f"{path}: {'; '.join(wrong)}")
        states[network] = state
    if problems:
        raise CheckpointError(
            "\n  ".join(
                [
                    f"the weights in {root} do not fit ({len(problems)} of {len(shapes)} files); "
                    "download the published files again, or choose the preset they belong to",
                    *problems,
                ]
            )
        )
    return states


def weights_root(folder: str | Path) -> Path:
    """The folder that holds `hyportrait/` and `vae/`: `folder`, or `folder/pretrained_weights`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder; give the one that holds hyportrait/ and vae/ (upstream's pretrained_weights), "
            "or a .safetensors file of export.train"
        )
    nested = folder / "pretrained_weights"
    return nested if nested.is_dir() else folder


def find_file(root: Path, network: str) -> Path | None:
    """The file of one network, None where there is none. The fp16 VAE is the one upstream uses, so it goes first."""
    return next((root / name for name in NETWORK_FILES[network] if (root / name).is_file()), None)


def find_user_files(folder: str | Path) -> dict[str, Path]:
    """The optional files that are there: `arcface`, `yoloface`."""
    root = weights_root(folder)
    return {name: root / file for name, file in USER_FILES.items() if (root / file).is_file()}
