"""What tests make of the presets: published files as small as networks can be, and builds that know them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from export.enhancer import presets
from export.enhancer.architecture import NETWORKS
from export.enhancer.presets import ENHANCER, ENHANCER_TINY
from export.enhancer.upstream import AVERAGED, PLACES
from export.weights.random import random_state_dict

TINY_PUBLISHED = replace(ENHANCER, architecture=ENHANCER_TINY.architecture)  # in the published one's place
WRAPPED = ("upscaler", "restorer")  # whose files hold their network under an entry


def make_known(patch: pytest.MonkeyPatch) -> None:
    """Until `patch` is undone, the published networks are tiny ones."""
    patch.setitem(presets.PRESETS, ENHANCER.name, TINY_PUBLISHED)


def state_of(network: str) -> dict[str, torch.Tensor]:
    return random_state_dict(TINY_PUBLISHED.architecture.build(network))


def write(root: Path, network: str, state: dict[str, torch.Tensor], *, place: str | None = None) -> Path:
    """As upstream's file is, at its own place or at another network's."""
    path = root / PLACES[place or network]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({AVERAGED: state} if network in WRAPPED else state, path)
    return path


def write_all(root: Path, networks: tuple[str, ...] = NETWORKS) -> Path:
    for network in networks:
        write(root, network, state_of(network))
    return root
