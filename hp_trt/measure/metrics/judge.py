"""The judge: a small network of our own that reads a drawn face's landmarks and parameters from its picture.

Generated frames of drawn people have no ground truth of their own; this is how they are measured. It was trained on
drawn faces alone, clean and spoiled, by `python -m export.judge.judge`, and shares no weights with the networks it
judges; its card in `hp_trt/shipped/judge` says how well it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines import families
from engines.file_names import utf8_name
from engines.foreign import foreign
from hp_trt.media.pixels import resized, unit_planes
from hp_trt.shipped import JUDGE

JUDGE_PX = 128
_AT_ONCE = 16  # pictures: more need more memory and are no faster


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is seen in N frames."""

    landmarks: np.ndarray  # (N, K, 2) float64: x, y of `procedural.landmarks.POINTS`, pixels of JUDGE_PX
    parameters: np.ndarray  # (N, P) float64: as `hp_trt.measure.metrics.parameters.seen`


class Judge:
    """The network in `file`, opened once for any number of clips. EngineMismatch where ONNX Runtime is missing."""

    def __init__(self, file: Path = JUDGE, *, threads: int | None = None) -> None:
        onnxruntime = families.load(families.ONNXRUNTIME)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        with foreign(f"{file}, which comes with hp-trt, cannot be opened", "install hp-trt again"):
            self._session = onnxruntime.InferenceSession(utf8_name(file), options, providers=["CPUExecutionProvider"])

    def read(self, frames: Sequence[np.ndarray]) -> Reading:
        """`frames` (S, S, 3) uint8, whole pictures of one drawn face each; of any size S, resized to JUDGE_PX."""
        pictures = np.stack([unit_planes(at_size(frame)) for frame in frames])
        parts = [pictures[start : start + _AT_ONCE] for start in range(0, len(pictures), _AT_ONCE)]
        found = [self._session.run(["landmarks", "parameters"], {"pictures": part}) for part in parts]
        points, parameters = (np.concatenate(column).astype(np.float64) for column in zip(*found, strict=True))
        return Reading(landmarks=points, parameters=parameters)


def at_size(frame: np.ndarray) -> np.ndarray:
    """A square frame as the judge sees it, of JUDGE_PX."""
    return frame if frame.shape[0] == JUDGE_PX else resized(frame, JUDGE_PX, "bicubic")
