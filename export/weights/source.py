"""Where a build takes its parameters from: the random rule, checked checkpoints, or a file that we trained.

A source tells a network's fingerprint before its parameters are made or read, so that a build that has nothing to do
touches no weights. Which networks there are, and which published files hold them, is their model's to say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

import torch

from engines.errors import CheckpointError
from export.weights.checkpoints import Build, module_shapes
from export.weights.packed import LiveWeights
from export.weights.random import random_state_dict


class WeightsSource(Protocol):
    """Parameters by network name."""

    kind: str  # "random" | "published" | "trained", as the manifest records it
    source: str  # for people

    def fingerprint(self, network: str) -> str: ...

    def state(self, network: str) -> Mapping[str, torch.Tensor]: ...


class RandomWeights:
    """The rule decides everything: the fingerprint is that of its seed prefix and the shapes of what `build` makes.

    `published`: network -> what its keys begin with in the published file, where that is something: part of the seed.
    """

    kind = "random"

    def __init__(self, build: Build, prefix: str = "", *, published: Mapping[str, str] | None = None) -> None:
        self._build, self._prefix, self._published = build, prefix, dict(published or {})
        self.source = f"random weights by the golden rule, seed prefix {prefix!r}: noise, for benchmarks only"

    def fingerprint(self, network: str) -> str:
        shapes: dict[str, Any] = {k: list(s) for k, s in module_shapes(self._build(network)).items()}
        text = json.dumps({"prefix": self._prefix_of(network), "shapes": shapes}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return random_state_dict(self._build(network), self._prefix_of(network))

    def _prefix_of(self, network: str) -> str:
        return self._prefix + self._published.get(network, "")


class WithLive:
    """A source, and the networks of live mode from a file.

    `distilled` names the networks of live mode that learnt from one of the source's: student -> teacher. Raises
    CheckpointError for a student of another teacher than the source's.
    """

    def __init__(self, source: WeightsSource, live: LiveWeights, *, distilled: Mapping[str, str]) -> None:
        self._source, self._live = source, live
        self.kind, self.source, self.live_source = source.kind, source.source, live.source
        for student, teacher in distilled.items():
            if student in live.networks and live.teacher and live.teacher != source.fingerprint(teacher):
                raise CheckpointError(
                    f"{live.source}: its {student} was distilled from another {teacher} than that of {source.source}; "
                    "give those weights, or distil these: python -m export.distill"
                )

    def fingerprint(self, network: str) -> str:
        return self._of(network).fingerprint(network)

    def state(self, network: str) -> Mapping[str, torch.Tensor]:
        return self._of(network).state(network)

    def _of(self, network: str) -> WeightsSource | LiveWeights:
        return self._live if network in self._live.known else self._source
