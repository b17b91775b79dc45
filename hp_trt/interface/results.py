"""What animating gives: frames, or what was written."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from hp_trt.media.portrait import Portrait
from hp_trt.media.seal import Seal
from hp_trt.model import Clip
from runtime.stages import Stages


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One animated frame."""

    index: int  # of the driving frame, from 0
    time_s: Fraction | None  # of the driving frame on its file's clock; None when the driving frames are arrays
    crop: np.ndarray  # (S, S, 3) uint8 RGB: the square that the networks made; yours to keep
    _paste: Callable[[np.ndarray], np.ndarray] = field(repr=False)

    def full(self) -> np.ndarray:
        """The whole portrait with this frame in its place: (H, W, 3) uint8 RGB, made on each call."""
        return self._paste(self.crop)


@dataclass(frozen=True, kw_only=True)
class Animation:
    """What `animate` did."""

    out: Path
    crop_out: Path | None
    frames: int
    rate: Fraction  # frames per second of the driving video: the mean where `rate_varies`
    notes: tuple[str, ...]
    rate_varies: bool = False  # frames keep the driving video's times, which are at all distances
    stages: Stages = field(repr=False)  # every span of the run, for a timeline; of speech the latest
    seal: Seal | None = field(default=None, repr=False)  # for further files of the run; None: nothing was asked for


def frames_of(clip: Clip, portrait: Portrait) -> Generator[Frame, None, None]:
    """The clip's frames for applications; closes it."""
    with closing(clip.frames):
        for index, time_s, crop in clip.frames:
            yield Frame(index=index, time_s=time_s, crop=crop, _paste=portrait.paste)
