"""The weights that come with the package: all networks of a preset in one safetensors file, in half precision, and
those of live mode in another.

An entry is called NETWORK/KEY, keys being the published ones. The file knows its preset, so that it is not taken for
another's, and the hash of its entries, so that a damaged one is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from engines.errors import CheckpointError
from engines.fields import parse_json
from engines.foreign import foreign
from engines.manifest import OWN_SOURCE
from engines.part_file import write_whole
from engines.safe_output import refusing
from export.weights.checkpoints import (
    Build,
    fingerprint,
    head_of,
    mismatches,
    module_shapes,
    read_checkpoint,
    unusable,
)
from hp_trt.shipped import ENHANCER_POCKET, POCKET, POCKET_LIVE, TALK_POCKET

ABOUT = "hp-trt"  # one entry of metadata: of several, safetensors does not keep the order
SHOWN = 300  # characters of what is wrong with a network
MOST_NETWORKS = 3  # of which it is said


def write_weights(
    path: Path, states: Mapping[str, Mapping[str, torch.Tensor]], *, preset: str, teacher: str = ""
) -> None:
    """One file of `states`, by network. Whole or not at all; the same weights make the same bytes.

    `teacher`, of live weights: the fingerprint of the network they were distilled from, whose neighbours they need.
    """
    from safetensors.torch import save

    tensors = {
        f"{network}/{key}": (value.half() if value.is_floating_point() else value).contiguous()
        for network, state in states.items()
        for key, value in state.items()
    }
    about = {"preset": preset, "sha256": fingerprint(tensors), **({"teacher": teacher} if teacher else {})}
    with refusing(path):
        write_whole(path, save(tensors, metadata={ABOUT: json.dumps(about)}))


class PackedWeights:
    """One file of `write_weights` with `networks`, each checked against what `build` makes of it.

    Raises CheckpointError, one line.
    """

    kind = "trained"

    def __init__(self, path: Path, *, preset: str, networks: Sequence[str], build: Build) -> None:
        self.source = OWN_SOURCE if path in (POCKET, TALK_POCKET, ENHANCER_POCKET) else str(path)
        states, about = _read(path, preset)
        self._states = {**{network: {} for network in networks}, **states}
        _check(path, about, self._states, networks, build)

    def fingerprint(self, network: str) -> str:
        return fingerprint(self._states[network])

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return self._states[network]


class LiveWeights:
    """One file of `write_weights` with some of a model's networks of live mode, which are `known`; checked likewise.

    `networks` are those of them that it holds. `teacher` is the fingerprint of the network that they were distilled
    from, "" where it does not say. Raises CheckpointError, one line.
    """

    def __init__(self, path: Path, *, preset: str, known: Sequence[str], build: Build) -> None:
        self.source = OWN_SOURCE if path == POCKET_LIVE else str(path)
        self._states, about = _read(path, preset)
        self.teacher = about["teacher"]
        if unknown := [network[:SHOWN] for network in self._states if network not in known]:
            raise CheckpointError(
                f"{path} holds {', '.join(unknown)}; live weights are {' and '.join(known)} alone: "
                "give a file of export.distill, and others with --weights"
            )
        if not self._states:
            raise CheckpointError(f"{path} is empty; live weights are {' and '.join(known)}, or one of them")
        _check(path, about, self._states, known, build)
        self.known = tuple(known)
        self.networks = tuple(network for network in known if network in self._states)

    def fingerprint(self, network: str) -> str:
        return fingerprint(self._states[network])

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return self._states[network]


def networks_in(path: Path, known: Sequence[str]) -> tuple[str, ...]:
    """Which of the networks `known` a file of live weights holds, by the names of its entries alone.

    Raises CheckpointError for no such file.
    """
    from safetensors import safe_open

    head_of(path)
    with (
        foreign(
            f"{path}: truncated, or not a safetensors file", "give a file of export.distill", error=CheckpointError
        ),
        safe_open(path, framework="pt") as file,
    ):
        names = {key.partition("/")[0] for key in file.keys()}  # noqa: SIM118  # no mapping
    return tuple(network for network in known if network in names)


def channels_in(path: Path, entry: str) -> int:
    """How many input channels a convolution has in a file of `write_weights`, by its name alone.

    Raises CheckpointError for no such file, and one without that entry.
    """
    from safetensors import safe_open

    head_of(path)
    with (
        foreign(f"{path}: truncated, or not a safetensors file", "give a file of export.train", error=CheckpointError),
        safe_open(path, framework="pt") as file,
    ):
        if entry in file.keys() and len(shape := file.get_slice(entry).get_shape()) == 4:  # noqa: SIM118  # no mapping
            return int(shape[1])
    raise CheckpointError(f"{path} has no convolution {entry}; give a file of export.train")


def _read(path: Path, preset: str) -> tuple[dict[str, dict[str, torch.Tensor]], Mapping[str, str]]:
    """The entries of a file by network, whose values nobody has looked at, and what it says about itself."""
    tensors, about = read_checkpoint(path), _about(path)
    if about["preset"] != preset:
        raise CheckpointError(
            f"{path} holds weights of preset {about['preset']}, asked for is {preset}; "
            "choose its preset, or other weights"
        )
    states: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        network, _, key = name.partition("/")
        states.setdefault(network, {})[key] = tensor
    return states, about


def _check(
    path: Path,
    about: Mapping[str, str],
    states: Mapping[str, Mapping[str, torch.Tensor]],
    known: Sequence[str],
    build: Build,
) -> None:
    """Keys and shapes first: of a file that is larger than its networks nothing is read."""
    if problems := list(
        _problems(states, known, lambda network, state: mismatches(state, module_shapes(build(network))))
    ):
        raise _unfit(path, about, problems)
    tensors = {f"{network}/{key}": value for network, state in states.items() for key, value in state.items()}
    if about["sha256"] != fingerprint(tensors):
        raise CheckpointError(f"{path} is damaged: its weights are not those that were written; fetch it again")
    if problems := list(_problems(states, known, lambda network, state: unusable(state))):
        raise _unfit(path, about, problems)


def _unfit(path: Path, about: Mapping[str, str], problems: Sequence[str]) -> CheckpointError:
    more = f"; and {len(problems) - MOST_NETWORKS} more networks" if len(problems) > MOST_NETWORKS else ""
    return CheckpointError(
        f"{path} is not what preset {about['preset']} needs: {'; '.join(problems[:MOST_NETWORKS])}{more}; "
        "use those of this version"
    )


def _about(path: Path) -> dict[str, str]:
    """{"preset": name, "sha256": of the entries, "teacher": see `write_weights`}, of a readable safetensors file."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(ABOUT)
    try:
        about = parse_json(text or "")
        teacher = about.get("teacher", "").text()
        return {"preset": about["preset"].text(), "sha256": about["sha256"].text(), "teacher": teacher}
    except ValueError:  # no JSON, no object, no such fields
        raise CheckpointError(
            f"{path} is no file of export.train: it does not name its preset; give one, or upstream's folder"
        ) from None


def _problems(
    states: Mapping[str, Mapping[str, torch.Tensor]],
    known: Sequence[str],
    look: Callable[[str, Mapping[str, torch.Tensor]], Sequence[str]],
) -> Iterator[str]:
    """What is wrong with each network, cut short: weights of other sizes are wrong in every key."""
    for network in sorted(states, key=lambda network: network in known):  # what says most comes first
        state = states[network]
        if network not in known:
            yield f"{network[:SHOWN]}: unknown network"
        elif wrong := look(network, state):
            text = "; ".join(wrong)
            yield f"{network}: {text if len(text) <= SHOWN else text[:SHOWN] + '...'}"
