"""One portrait and what moves it, a driving clip or speech, with all that is known about what should come of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engines.errors import InputError
from hp_trt.faces.face import Face, FaceLocator
from hp_trt.media.pixels import Box, crop_resized
from procedural.clip import Clip as DrawnClip


@dataclass(kw_only=True)
class KnownFaces:
    """A face locator that has been told: the faces of one clip, frame by frame."""

    name: str
    frames: Sequence[Sequence[Face]]
    steadiness: float = 0.0
    reads_pixels: bool = False

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        return list(self.frames[frame])


@dataclass(frozen=True, kw_only=True)
class Crop:
    """The square of a clip's pictures that is animated and measured."""

    box: tuple[int, int, int, int]  # `hp_trt.hunyuanportrait.geometry.portrait_box` of the first face
    px: int  # S

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) -> (S, S, 3), as `hp_trt.hunyuanportrait.portrait` makes it."""
        return crop_resized(picture, self.box, self.px)

    def points(self, points: np.ndarray, px: int) -> np.ndarray:
        """(..., 2) pixels of the picture, 0 in the middle of the first, as pixels of a crop of `px` x `px`."""
        x0, y0, x1, y1 = self.box
        return (points + 0.5 - (x0, y0)) * (px / np.array([x1 - x0, y1 - y0])) - 0.5


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What is known of a drawn clip, by frame, as it should come out."""

    # (N, K, 2) of `procedural.landmarks.POINTS`, pixels of `hp_trt.measure.metrics.judge.JUDGE_PX`
    landmarks: np.ndarray
    parameters: np.ndarray  # (N, P) of `hp_trt.measure.metrics.parameters.seen`
    own: int  # which of the rivals is the portrait's identity
    shown: Sequence[int]  # the frames that rivals show
    rivals: Callable[[], Iterator[list[np.ndarray]]]  # every identity at hand doing the same: (S, S, 3) uint8


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Everything at the result's size S where nothing else is said. Pictures are uint8 RGB."""

    name: str
    portrait: np.ndarray  # (H, W, 3), whole
    portrait_faces: FaceLocator | None  # None: the runtime's own locator
    driving: Sequence[np.ndarray]  # N of (H, W, 3), whole
    driving_faces: FaceLocator
    still: np.ndarray  # (S, S, 3): the portrait's crop
    driver: Sequence[np.ndarray]  # N of (S, S, 3): the driving clip's crop
    truth: Sequence[np.ndarray] | None  # N of (S, S, 3): what should come out; None where nobody knows
    drawn: Drawn | None  # None: not drawn by us
    clip: DrawnClip | None = None  # of somebody drawn who speaks: what was drawn
    sound: np.ndarray | None = None  # and what is said: (640 N,) float32 in [-1, 1], 16 kHz


class PairSource(Protocol):
    """Pairs of clips of one length."""

    names: Sequence[str]
    frames: int  # N of every clip

    def pair(self, index: int, crop_px: int) -> Pair:
        """The pair of that number, made anew on each call."""
        ...

    def facts(self) -> dict[str, object]:
        """Where they come from, for the report."""
        ...


def require_inside(box: Box, *, width: int, height: int, clip: str, frame: int) -> None:
    """Raise InputError when a face's `box` x, y, w, h is not wholly in its picture; `frame` counts from 0."""
    x, y, w, h = box
    if x < 0 or y < 0 or x + w > width or y + h > height:
        raise InputError(
            f"{clip}: the face leaves the picture at frame {frame} (x {x:.0f} to {x + w:.0f}, y {y:.0f} to "
            f"{y + h:.0f} of {width} x {height} pixels); needed is a clip that shows it whole: choose or cut another"
        )
