"""The models that bundles are built of, by the names of their presets: a model's room in `export/`, which needs torch,
is opened when one of its presets is asked for.

A build names no model and no graph. What it asks of one is the protocol here; `export/MODEL/model.py` answers, and
imports nothing of this module. Another model is one more line in `MODELS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engines.errors import InputError
from engines.spec import Quantization
from runtime.enhancer import presets as enhancer
from runtime.hallo2 import presets as hallo2
from runtime.hunyuanportrait import presets as hunyuanportrait

if TYPE_CHECKING:  # torch
    import torch
    from torch import nn

    from engines.bundle import Bundle
    from export.attention_maps.asked import Asked
    from export.attention_maps.maps import Looked
    from export.graphs.calibration import Sample
    from export.graphs.graph import Graph
    from export.weights.source import WeightsSource


class UsualSizes(Protocol):
    """A preset, as a build sees it: the sizes that it is made for."""

    @property
    def size(self) -> int: ...  # pixels along a side
    @property
    def frames(self) -> int: ...  # of a window


class Model(Protocol):
    """One algorithm at one of its presets, as a build sees it. Sizes are pixels, frames are a window's."""

    @property
    def name(self) -> str: ...  # of its rooms
    @property
    def preset(self) -> UsualSizes: ...
    @property
    def networks(self) -> tuple[str, ...]: ...  # what clips go through
    @property
    def live_networks(self) -> tuple[str, ...]: ...  # that live mode may have beside them
    @property
    def code(self) -> tuple[str, ...]: ...  # the rooms of `export/` that decide its graphs

    def holding(self, weights: Path | None) -> Model:
        """The same model with the networks alone that these weights have: a published folder may leave some out.

        `weights` as for `open_weights`. Raises CheckpointError.
        """
        ...

    def notes(self, weights: Path | None) -> Sequence[str]:
        """What to tell before a build of these weights: terms of use, graphs that are left out; a sentence each."""
        ...

    def licences(self, weights: Path | None) -> Mapping[str, str]:
        """Terms of these weights that the manifest tells, by network."""
        ...

    def graphs(
        self,
        *,
        size: int | tuple[int, int],
        frames: int,
        half: bool,
        reuse: bool = False,
        live: Collection[str] | None = None,
        quantize: Sequence[Quantization] = (),
    ) -> dict[str, Graph]:
        """Every graph of a bundle by its name, in the order in which they are built.

        `live`: the networks of live mode that there are weights of; None: no live mode. `reuse`: the graphs for steps
        that reuse deep features too. ValueError for a size that the networks cannot take.
        """
        ...

    def network_facts(self, network: str) -> Mapping[str, Any]: ...  # JSON data: what decides a network but its weights

    def build(self, network: str) -> nn.Module: ...  # on the meta device: it has shapes and no memory

    def load(self, network: str, state: Mapping[str, torch.Tensor]) -> nn.Module: ...  # in float32

    def open_weights(self, weights: Path | None, live: Path | None) -> WeightsSource:
        """The published files, one file that we trained, or random weights: None. Raises CheckpointError."""
        ...

    def live_networks_of(self, weights: Path | None, live: Path | None) -> tuple[str, ...]:
        """Which networks of live mode these weights hold. Raises CheckpointError."""
        ...

    def user_files(self, weights: Path) -> Mapping[Path, str]:
        """Files beside the published weights that a bundle does not hold: each with the option that takes it."""
        ...

    def released_flops(self, graph: str, *, size: int, frames: int) -> int | None:
        """FLOPs of the released program in the place of one call of a graph; None where they are not another's."""
        ...

    def calls(self, graph: str, bundle: Bundle, clip: tuple[Path, Path] | None) -> Sequence[Sample]:
        """What a graph of `bundle` is given when `clip` is animated, a portrait and a driving video; None: drawn."""
        ...

    def sampling(self, frames: int) -> Mapping[str, Any]: ...  # the manifest's

    def geometry(self, size: int) -> Mapping[str, Any]: ...  # the manifest's


def _hunyuanportrait(preset: str) -> Model:
    from export.hunyuanportrait.model import HunyuanPortrait
    from export.hunyuanportrait.presets import PRESETS

    return HunyuanPortrait(preset=PRESETS[preset])


def _hallo2(preset: str) -> Model:
    from export.hallo2.model import Hallo2
    from export.hallo2.presets import PRESETS

    return Hallo2(preset=PRESETS[preset])


def _enhancer(preset: str) -> Model:
    from export.enhancer.model import Enhancer
    from export.enhancer.presets import PRESETS

    return Enhancer(preset=PRESETS[preset])


MODELS: Mapping[str, Callable[[str], Model]] = {  # preset -> what makes its model
    **dict.fromkeys(hunyuanportrait.PRESETS, _hunyuanportrait),
    **dict.fromkeys(hallo2.PRESETS, _hallo2),
    **dict.fromkeys(enhancer.PRESETS, _enhancer),
}


def _hunyuanportrait_looks(asked: Asked) -> Looked:
    from export.hunyuanportrait.looking.looked import looked_at

    return looked_at(asked)


def _hallo2_looks(asked: Asked) -> Looked:
    from export.hallo2.looking.looked import looked_at

    return looked_at(asked)


# Model -> what watches its literal program. No part of `Model`: what a build asks of one decides its graphs.
LOOKING: Mapping[str, Callable[[Asked], Looked]] = {
    hunyuanportrait.MODEL: _hunyuanportrait_looks,
    hallo2.MODEL: _hallo2_looks,
}


def find_model(preset: str) -> Model:
    """The model that a preset is of. Raises InputError for a preset that there is not."""
    if preset not in MODELS:
        near = difflib.get_close_matches(preset, MODELS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(MODELS)}"
        raise InputError(f"there is no preset {preset!r}; {hint}")
    return MODELS[preset](preset)


def look(asked: Asked) -> Looked:
    """What a preset's frames attend to. Raises InputError, FaceNotFound, CheckpointError."""
    name = find_model(asked.preset).name
    if name not in LOOKING:
        raise InputError(f"{asked.preset} animates nobody, so there is nothing to look at; choose a preset that does")
    return LOOKING[name](asked)
