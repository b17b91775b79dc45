"""What a denoiser is given in use: the calls that a quantised one is calibrated on, and compared on.

Clips are animated with the bundle's own graphs, in the profile that uses the denoiser, and its calls are written down.
The clips are drawn ones, or a user's own. Of too many calls some are kept, evenly over clips and noise levels: at full
size the inputs of one are 20 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime as ort

from engines.backend import Buffer, Session
from engines.bundle import Bundle
from engines.onnx_backend import OnnxBackend
from engines.spec import NetworkSpec
from export.graphs.calibration import Sample
from hp_trt.api import DrivingSource, Faces, Runtime
from hp_trt.config import RuntimeConfig
from hp_trt.hunyuanportrait.profiles import find_profile
from hp_trt.measure.evaluation.drawn import DrawnPairs
from hp_trt.media.portrait import Picture
from hp_trt.media.video import VideoReader
from hp_trt.profiles import Profile

MOST_CALLS = 24  # kept of a denoiser: ranges settle after a few
_SEEDS = range(1_900_000, 1_900_004)  # drawn clips that neither training nor the evaluation has
_FRAMES = 50


@dataclass(frozen=True, kw_only=True)
class CalibrationClip:
    """One portrait and what drives it."""

    portrait: Picture
    driving: DrivingSource
    portrait_faces: Faces | None = None  # None: they are looked for
    driving_faces: Faces | None = None


def drawn_clips(crop_px: int) -> list[CalibrationClip]:
    """Nobody's faces, the same in every build."""
    pairs = DrawnPairs("self", _SEEDS, _FRAMES)
    made = [pairs.pair(index, crop_px) for index in range(len(_SEEDS))]
    return [
        CalibrationClip(
            portrait=p.portrait, driving=p.driving, portrait_faces=p.portrait_faces, driving_faces=p.driving_faces
        )
        for p in made
    ]


def own_clip(portrait: Path, driving: Path) -> CalibrationClip:
    """A user's picture, and the first frames of a video. Raises InputError for what is neither."""
    return CalibrationClip(portrait=portrait, driving=list(islice(VideoReader(driving), _FRAMES)))


def denoiser_calls(bundle: Bundle, denoiser: str, clips: Sequence[CalibrationClip]) -> list[Sample]:
    """What the graph `denoiser` or `live_denoiser` of `bundle` is given when `clips` are animated: at most MOST_CALLS.

    Raises what `hp_trt.Runtime` raises.
    """
    backend = _Recording(denoiser)
    with Runtime(bundle, RuntimeConfig(profile=_user_of(bundle, denoiser)), backend=backend) as runtime:
        for clip in clips:
            portrait = runtime.portrait(clip.portrait, landmarks=clip.portrait_faces)
            for _ in runtime.frames(portrait, clip.driving, landmarks=clip.driving_faces):
                pass
    return backend.kept.calls


def _user_of(bundle: Bundle, denoiser: str) -> Profile:
    if denoiser == "denoiser":
        return find_profile("exact")
    live = find_profile("live")
    return live if "tiny_decoder" in bundle else replace(live, decoder="full")


class Thinned:
    """Every first, second, fourth, ... of what it is offered: at most `most`, evenly, however many there are."""

    def __init__(self, most: int) -> None:
        self.calls: list[Sample] = []
        self._most, self._stride, self._offered = most, 1, 0

    def offer(self, call: Callable[[], Sample]) -> None:
        if self._offered % self._stride == 0:
            if len(self.calls) == self._most:
                self.calls, self._stride = self.calls[::2], 2 * self._stride
            if self._offered % self._stride == 0:
                self.calls.append(call())
        self._offered += 1


class _Recording(OnnxBackend):
    """Writes down what one graph is given."""

    def __init__(self, graph: str) -> None:
        # A full-size clip takes a CPU hours.
        super().__init__(provider="cuda" if "CUDAExecutionProvider" in ort.get_available_providers() else "cpu")
        self.calls = 1  # so that which ones are kept does not depend on chance
        self.kept = Thinned(MOST_CALLS)
        self._graph = graph

    def load(  # type: ignore[override]  # any session will do
        self,
        spec: NetworkSpec,
        path: Path,
        weights: Path | None = None,
        *,
        threads: int | None = None,
        calls: int = 1,
        bf16: bool = False,
    ) -> Session:
        session = super().load(spec, path, weights, threads=threads, calls=calls, bf16=bf16)
        return _Recorded(spec=spec, session=session, kept=self.kept) if spec.name == self._graph else session


@dataclass(kw_only=True)
class _Recorded:
    spec: NetworkSpec
    session: Session
    kept: Thinned

    def run(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer] | None = None) -> dict[str, Buffer]:
        self.kept.offer(lambda: {name: np.array(buffer) for name, buffer in inputs.items()})
        return self.session.run(inputs, outputs)

    def close(self) -> None:
        self.session.close()
