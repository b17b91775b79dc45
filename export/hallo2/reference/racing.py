"""The released program as a bench races it: eager PyTorch on the CPU, numpy in and numpy out.

What stands in front of the networks (files, faces, crops) is not raced: a clip starts from features, masks and noise.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from export.hallo2.reference.chain import Options, run_chain
from export.hallo2.reference.weights import load_networks
from export.weights.source import WeightsSource


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the released program takes of some clips, all float32."""

    source_picture: np.ndarray  # (3, S, S) in [-1, 1]
    face_region: np.ndarray  # (3, S, S) in [0, 1]
    embedding: np.ndarray  # (512), not normalised
    audio_features: np.ndarray  # (clips F, layers, hidden): before windowing
    masks: Mapping[str, Sequence[np.ndarray]]  # full, face, lip -> (L_i) of every level
    noise: np.ndarray  # (clips, 4, F, h, w)
    fields: np.ndarray  # (clips, S, S)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the released program gives."""

    latents: np.ndarray  # (clips, 4, F, h, w) as each clip's loop ends with them
    frames: np.ndarray  # (clips F, 3, S, S) in [0, 1]
    seconds: float  # from the features to the last frame; loading is not counted


class ReleasedProgram:
    """`configs`: flat dicts by network name, as `reference.weights` takes them; `source`: their parameters.

    All seven networks are loaded once, in fp32. PyTorch has `threads` threads from now on.
    """

    def __init__(
        self, configs: Mapping[str, Mapping[str, Any]], source: WeightsSource, *, threads: int | None = None
    ) -> None:
        self.threads = threads or torch.get_num_threads()
        self.torch = str(torch.__version__)
        torch.set_num_threads(self.threads)
        self._networks = load_networks(configs, source.state)

    def __call__(self, given: Given, options: Options) -> Made:
        """Animate as many clips as the features fill, with the steps and the guidance of `options`."""
        start_s = time.perf_counter()
        result = run_chain(
            self._networks,
            options,
            source_picture=torch.from_numpy(given.source_picture),
            face_region=torch.from_numpy(given.face_region),
            embedding=torch.from_numpy(given.embedding),
            audio_features=torch.from_numpy(given.audio_features),
            masks={name: [torch.from_numpy(mask) for mask in levels] for name, levels in given.masks.items()},
            noise=torch.from_numpy(given.noise),
            fields=torch.from_numpy(given.fields),
        )
        seconds = time.perf_counter() - start_s
        return Made(latents=result.latents_after_step[:, -1].numpy(), frames=result.frames.numpy(), seconds=seconds)
