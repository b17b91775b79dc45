"""The weights that come with the package: all networks of a preset in one safetensors file, in half precision.

An entry is called NETWORK/KEY, keys being the published ones. The file knows its preset, so that it is not taken for
another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from engines.errors import CheckpointError
from export.architecture import NETWORKS, Architecture
from export.checkpoints import fingerprint, module_shapes
from export.whole_file import write_whole

SHIPPED = Path(__file__).parent / "pocket.safetensors"


def write_weights(path: Path, states: Mapping[str, Mapping[str, torch.Tensor]], *, preset: str = "pocket") -> None:
    """One file of `states`, by network. Whole or not at all."""
    from safetensors.torch import save

    tensors = {
        f"{network}/{key}": (value.half() if value.is_floating_point() else value).contiguous()
        for network, state in states.items()
        for key, value in state.items()
    }
    write_whole(path, save(tensors, metadata={"preset": preset}))


class PackedWeights:
    """One file of `write_weights`, checked against an architecture. Raises CheckpointError."""

    kind = "trained"

    def __init__(self, architecture: Architecture, path: Path, *, preset: str) -> None:
        from safetensors import SafetensorError, safe_open

        self.source = path.name
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path} cannot be read as safetensors ({error}); fetch or train it again") from error
        if metadata.get("preset") != preset:
            raise CheckpointError(
                f"{path} holds weights of preset {metadata.get('preset')!r}, asked for is {preset!r}; "
                "choose its preset, or other weights"
            )
        self._states: dict[str, dict[str, torch.Tensor]] = {network: {} for network in NETWORKS}
        for name, tensor in tensors.items():
            network, _, key = name.partition("/")
            self._states.setdefault(network, {})[key] = tensor
        _check(path, architecture, self._states)

    def fingerprint(self, network: str) -> str:
        return fingerprint(self._states[network])

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return self._states[network]


def _check(path: Path, architecture: Architecture, states: Mapping[str, Mapping[str, Any]]) -> None:
    problems = [f"{name}: unknown network" for name in states if name not in NETWORKS]
    for network in NETWORKS:
        wanted = module_shapes(architecture.build(network))
        found = {key: tuple(value.shape) for key, value in states[network].items()}
        problems += [f"{network}/{key}: missing" for key in wanted.keys() - found.keys()]
        problems += [f"{network}/{key}: unexpected" for key in found.keys() - wanted.keys()]
        problems += [
            f"{network}/{key}: {found[key]}, needed {tuple(shape)}"
            for key, shape in wanted.items()
            if key in found and found[key] != tuple(shape)
        ]
        problems += [
            f"{network}/{key}: not finite"
            for key, value in states[network].items()
            if value.is_floating_point() and not torch.isfinite(value).all()
        ]
    if problems:
        shown = "; ".join(sorted(problems)[:5])
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(f"{path} is not what this preset needs: {shown}{more}; use the weights that belong to it")
