"""The published weights, from upstream's folder layout, strictly.

    pretrained_models/realesrgan/RealESRGAN_x2plus.pth       the upscaler
    pretrained_models/hallo2/net_g.pth                       the face restorer; it, the parser and the detector may be
    pretrained_models/facelib/parsing_parsenet.pth           left out, and faces are not restored then
    pretrained_models/facelib/detection_Resnet50_Final.pth

The first two hold their networks under `params_ema`; keys of the last may begin with `module.`. Everything that is
wrong with any of the files is told at once, in one CheckpointError.

Source: SPEC 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from engines.errors import CheckpointError
from export.enhancer.architecture import NETWORKS, Architecture
from export.weights.checkpoints import Shapes, StateDict, fingerprint, module_shapes
from export.weights.folder import PublishedFile, read_folder, root_of

PLACES: Mapping[str, str] = {
    "upscaler": "realesrgan/RealESRGAN_x2plus.pth",
    "restorer": "hallo2/net_g.pth",
    "parser": "facelib/parsing_parsenet.pth",
    "detector": "facelib/detection_Resnet50_Final.pth",
}
AVERAGED = "params_ema"  # what two of the files hold their networks under
# A key of each network that no other has: by it a file is known that lies in another's place.
_MARKS: Mapping[str, str] = {
    "upscaler": "conv_first.weight",
    "restorer": "quantize.embedding.weight",
    "parser": "out_mask_conv.conv2d.weight",
    "detector": "ssh1.conv3X3.0.weight",
}
_MODULE = "module."


class Checkpoints:
    """Upstream's folder, the files of these networks checked before anything is built. Raises CheckpointError."""

    kind = "published"

    def __init__(self, architecture: Architecture, folder: Path, networks: tuple[str, ...] = NETWORKS) -> None:
        shapes = {network: module_shapes(architecture.build(network)) for network in networks}
        self._states = load_checkpoints(folder, shapes)
        self.source = str(folder)

    def fingerprint(self, network: str) -> str:
        return fingerprint(self._states[network])

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return self._states[network]


def networks_in(folder: Path) -> tuple[str, ...]:
    """The networks that upstream's folder has files of, and the upscaler, which is always needed.

    Raises CheckpointError for no folder, and for one with none of the files.
    """
    root = weights_root(folder)
    found = tuple(network for network in NETWORKS if (root / PLACES[network]).is_file())
    if not found:
        raise CheckpointError(f"{root} has none of {', '.join(PLACES.values())}; give the folder that holds them")
    return tuple(network for network in NETWORKS if network in found or network == "upscaler")


def weights_root(folder: str | Path) -> Path:
    """The folder that holds `realesrgan/` and `facelib/`: `folder`, or `folder/pretrained_models`."""
    return root_of(
        folder, nested="pretrained_models", preset="enhancer", holds="realesrgan/, facelib/, hallo2/net_g.pth"
    )


def load_checkpoints(folder: str | Path, shapes: Mapping[str, Shapes]) -> dict[str, StateDict]:
    """Read the networks named in `shapes` (network -> key -> shape) and check every key and shape.

    The same promises and the same CheckpointError as `read_folder`; a network's file in another's place is told so.
    """

    def spelling(network: str, state: StateDict) -> StateDict:
        plain = {key.removeprefix(_MODULE): value for key, value in state.items()}
        if _MARKS[network] in plain:
            return plain
        if other := next((name for name, mark in _MARKS.items() if mark in plain), None):
            raise CheckpointError(
                f"{PLACES[network]} is the {network}'s place, and the file there holds the {other}; "
                f"that is {PLACES[other]}"
            )
        return plain

    def of(network: str) -> PublishedFile:
        return PublishedFile(
            name=network,
            places=(PLACES[network],),
            shapes=shapes[network],
            spelling=lambda state: spelling(network, state),
            inside=AVERAGED,
        )

    return read_folder(weights_root(folder), [of(network) for network in shapes])
