"""The weights that come with the package: all networks of a preset in one safetensors file, in half precision.

An entry is called NETWORK/KEY, keys being the published ones. The file knows its preset, so that it is not taken for
another's, and the hash of its entries, so that a damaged one is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from engines.errors import CheckpointError
from engines.manifest import OWN_SOURCE
from export.architecture import NETWORKS, Architecture
from export.checkpoints import fingerprint, mismatches, module_shapes, read_checkpoint, unusable
from export.whole_file import write_whole

SHIPPED = Path(__file__).parent / "pocket.safetensors"
ABOUT = "hp-trt"  # one entry of metadata: of several, safetensors does not keep the order
SHOWN = 300  # characters of what is wrong with a network


def write_weights(path: Path, states: Mapping[str, Mapping[str, torch.Tensor]], *, preset: str = "pocket") -> None:
    """One file of `states`, by network. Whole or not at all; the same weights make the same bytes."""
    from safetensors.torch import save

    tensors = {
        f"{network}/{key}": (value.half() if value.is_floating_point() else value).contiguous()
        for network, state in states.items()
        for key, value in state.items()
    }
    about = json.dumps({"preset": preset, "sha256": fingerprint(tensors)})
    write_whole(path, save(tensors, metadata={ABOUT: about}))


class PackedWeights:
    """One file of `write_weights`, checked against an architecture. Raises CheckpointError, one line."""

    kind = "trained"

    def __init__(self, architecture: Architecture, path: Path, *, preset: str) -> None:
        self.source = OWN_SOURCE if path == SHIPPED else str(path)
        tensors, about = read_checkpoint(path), _about(path)
        if about["sha256"] != fingerprint(tensors):
            raise CheckpointError(f"{path} is damaged: its weights are not those that were written; fetch it again")
        if about["preset"] != preset:
            raise CheckpointError(
                f"{path} holds weights of preset {about['preset']}, asked for is {preset}; "
                "choose its preset, or other weights"
            )
        self._states: dict[str, dict[str, torch.Tensor]] = {network: {} for network in NETWORKS}
        for name, tensor in tensors.items():
            network, _, key = name.partition("/")
            self._states.setdefault(network, {})[key] = tensor
        if problems := list(_problems(architecture, self._states)):
            raise CheckpointError(
                f"{path} is not what preset {preset} needs: {'; '.join(problems)}; use those of this version"
            )

    def fingerprint(self, network: str) -> str:
        return fingerprint(self._states[network])

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return self._states[network]


def _about(path: Path) -> dict[str, Any]:
    """{"preset": name, "sha256": of the entries}, of a readable safetensors file."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(ABOUT)
    try:
        about = json.loads(text or "")
        return {"preset": about["preset"], "sha256": about["sha256"]}
    except (TypeError, ValueError, KeyError):  # no JSON, no object, no such fields
        raise CheckpointError(
            f"{path} is no file of export.pocket.train: it does not name its preset; give one, or upstream's folder"
        ) from None


def _problems(architecture: Architecture, states: Mapping[str, Mapping[str, torch.Tensor]]) -> Iterator[str]:
    """What is wrong with each network, cut short: weights of other sizes are wrong in every key."""
    for network, state in states.items():
        if network not in NETWORKS:
            yield f"{network[:SHOWN]}: unknown network"
        elif wrong := mismatches(state, module_shapes(architecture.build(network))) or unusable(state):
            text = "; ".join(wrong)
            yield f"{network}: {text if len(text) <= SHOWN else text[:SHOWN] + '...'}"
