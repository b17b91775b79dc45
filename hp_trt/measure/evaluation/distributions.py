"""FID, FVD and, of speech, E-FID: numbers that only all clips together have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hp_trt.measure.evaluation.config import NetworkFiles
from hp_trt.measure.evaluation.measures import NEEDED
from hp_trt.measure.evaluation.pairs import Pair
from hp_trt.measure.metrics.frechet import frechet_distance
from hp_trt.measure.metrics.networks import Features, open_clip_features, open_picture_features
from hp_trt.measure.metrics.value import Missing, Value


class Distributions:
    """Gathers the features of generated and of true clips. Raises InputError for a file that is no such network."""

    def __init__(self, networks: NetworkFiles, *, expressions: bool = False) -> None:
        """`expressions`: the expression network is for E-FID."""
        self._features: dict[str, Features] = {}
        if expressions and networks.expression:
            self._features["efid"] = open_picture_features(networks.expression)
        if networks.fid_features:
            self._features["fid"] = open_picture_features(networks.fid_features)
        if networks.fvd_features:
            self._features["fvd"] = open_clip_features(networks.fvd_features)
        self._rows: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        self.begin()

    def begin(self) -> None:
        """Forget all clips."""
        self._rows = {key: ([], []) for key in self._features}

    def add(self, pair: Pair, clip: Sequence[np.ndarray]) -> None:
        if pair.truth is not None:
            for key, features in self._features.items():
                for rows, frames in zip(self._rows[key], (clip, pair.truth), strict=True):
                    rows.append(features(frames))

    def values(self) -> dict[str, Value]:
        return {key: self._value(key) for key in ("efid", "fid", "fvd")}

    def _value(self, key: str) -> Value:
        if key not in self._features:
            return NEEDED[key]
        ours, true = (np.concatenate(rows) if rows else np.empty((0, 0)) for rows in self._rows[key])
        if not len(ours):
            return Missing("needs true clips: cross-reenactment of your own pairs has none")
        if len(ours) < 2:
            return Missing("needs at least two clips, or one that its network takes in several pieces")
        return frechet_distance(ours, true)
