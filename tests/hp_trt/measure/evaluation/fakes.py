"""Contestants whose clips are known, and a reader that is never wrong about the frames it knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hp_trt.measure.evaluation.contestants import Animate
from hp_trt.measure.evaluation.pairs import Pair, PairSource
from hp_trt.measure.metrics.judge import Reading
from hp_trt.measure.metrics.seams import joints
from runtime.hunyuanportrait.sampling import Sampling

# Joints inside a clip of a dozen frames.
SAMPLING = Sampling(steps=2, window=5, overlap=1, shift=2, pad_frames=2)


def joints_of(frames: int) -> list[int]:
    return joints(frames, SAMPLING)


class FakeBundle:
    """A bundle that makes of a pair whatever `animate` does."""

    kind = "bundle"
    joints = staticmethod(joints_of)

    def __init__(self, name: str, animate: Animate) -> None:
        self.name, self.animate = name, animate
        self.opened_now = 0

    def facts(self) -> dict[str, Any]:
        return {
            "preset": "fake", "precision": "fp32", "weights": "trained", "profile": "exact",
            "sampling": {"steps": 2, "seed": 0},
        }  # fmt: skip

    @contextmanager
    def opened(self) -> Iterator[Animate]:
        self.opened_now += 1
        yield self.animate
        self.opened_now -= 1


def truth(pair: Pair) -> Sequence[np.ndarray]:
    assert pair.truth is not None
    return pair.truth


def late(pair: Pair) -> list[np.ndarray]:
    """The truth, one frame late."""
    frames = list(truth(pair))
    return [frames[0], *frames[:-1]]


def brighter(pair: Pair) -> list[np.ndarray]:
    return [np.minimum(frame, 250) + np.uint8(5) for frame in truth(pair)]


class Oracle:
    """Reads the true frames of `source` without error, and any other picture as the true one nearest to it."""

    def __init__(self, source: PairSource, crop_px: int) -> None:
        pairs = [source.pair(index, crop_px) for index in range(len(source.names))]
        self._frames = np.concatenate([np.stack(list(truth(pair))) for pair in pairs]).astype(int)
        self._landmarks = np.concatenate([pair.drawn.landmarks for pair in pairs if pair.drawn])
        self._parameters = np.concatenate([pair.drawn.parameters for pair in pairs if pair.drawn])

    def __call__(self, frames: Sequence[np.ndarray]) -> Reading:
        nearest = [int(((self._frames - frame) ** 2).sum(axis=(1, 2, 3)).argmin()) for frame in frames]
        return Reading(landmarks=self._landmarks[nearest], parameters=self._parameters[nearest])
