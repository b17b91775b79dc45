"""The invisible mark: 32 bits in the luma of every frame, found again in the frames of a clip.

A tile of noise (`tile`) is added to a frame, weakly where the frame is even, less near edges and more where all around
is texture. It stands still, so that an encoder copies it from frame to frame. It survives carelessness: encoding, half
the size, a crop. It does not survive an attacker, who can read here how it is made, nor a turn, a mirror or another
aspect ratio.

`Mark` and `Finder` are what a pair of networks of yours may stand in for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import cv2
import numpy as np

from engines.errors import InputError
from hp_trt.provenance.alignment import align
from hp_trt.provenance.code import PAYLOAD_BITS
from hp_trt.provenance.evidence import Evidence
from hp_trt.provenance.tile import magnification, tile

# The least score of a find: of an unmarked clip so much comes with a chance of at most 10^-9 (`alignment`).
THRESHOLD = 9.0
MOST_FRAMES = 250  # of a clip, that a finder looks at: the first ones

# Deviation of what is added, in grey levels.
_EVEN, _STRONGEST = 0.45, 2.6
# Even, but with an edge near: what moves has edges, and a mark that stands still is no copy of what is moved there.
# At 0.40 everywhere, 40 to 60 % of what a mark cost drawn clips came after the key frame, which has the walls.
_NEAR_EDGES = 0.31
# Of frames with larger tiles, near edges as well: at 0.40 key frames grew by half as much again. At 0.20 near edges a
# drawn clip of 1920 x 1080 grew by 15 % rather than 26 %, but no crop of 600 px of it was found.
_EVEN_LARGE = 0.30
_MOST_EVEN = 1.6  # of frames smaller than 512 px, which have fewer pixels to find it in
_FRAME = 1.92  # at most, over a frame: leaves 42.3 dB, rounding included
_PER_TEXTURE = 3.0
_TEXTURED = 0.5  # grey levels of fine structure; less is none
_EDGE = 1.0  # grey levels: so much is an edge, or texture
_REACH = 5  # squares a side, around an edge, that it is near to
_MOST_TEXTURE = 6  # an edge counts no more
_CELL_PX = 8  # texture is measured in squares of so many
_AROUND = 11  # squares a side that must all be textured: a lone edge is none


class Mark(Protocol):
    def embed(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB, marked: a new array of the same shape."""
        ...


@dataclass(frozen=True, kw_only=True)
class Found:
    payload: int | None  # 32 bits; None where nothing is found
    score: float  # how sure: at `THRESHOLD` and above it is found


class Finder(Protocol):
    def find(self, frames: Iterable[np.ndarray]) -> Found:
        """What mark the frames of a clip carry, (H, W, 3) uint8 RGB of one size, in order."""
        ...


class InvisibleMark:
    """Marks frames with `payload`, 0 .. 2**32 - 1. Threads may share it.

    Raises InputError for another payload.
    """

    def __init__(self, payload: int) -> None:
        if isinstance(payload, bool) or not isinstance(payload, int | np.integer) or not 0 <= payload < 2**PAYLOAD_BITS:
            raise InputError(f"a mark carries a whole number from 0 to {2**PAYLOAD_BITS - 1}, got {payload!r}")
        self.payload = int(payload)
        self._repeated: np.ndarray = np.zeros((0, 0), np.float32)  # over the last frame's size

    def embed(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB, marked: a new array. The same frame gives the same bits.

        Raises InputError for an array of another kind.
        """
        _check(frame)
        frame = np.ascontiguousarray(frame)
        pattern, strength = self._pattern(*frame.shape[:2]), _strength(frame)
        # Two saturating steps in 8 bits, up and then down: black and white do not wrap round.
        up = cv2.multiply(pattern, strength, dtype=cv2.CV_8U)
        down = cv2.multiply(pattern, strength, scale=-1, dtype=cv2.CV_8U)
        lighter = cv2.add(frame, cv2.merge((up, up, up)))
        return np.asarray(cv2.subtract(lighter, cv2.merge((down, down, down))))

    def _pattern(self, height: int, width: int) -> np.ndarray:
        """(H, W) float32 of deviation 1."""
        repeated = self._repeated
        if repeated.shape != (height, width):
            square = tile(self.payload, magnified=magnification(height, width))
            times = -(-height // len(square)), -(-width // len(square))
            repeated = np.ascontiguousarray(np.tile(square, times)[:height, :width])
            self._repeated = repeated  # a thread with frames of another size replaces it, and spoils nothing
        return repeated


class InvisibleMarkFinder:
    """Finds what `InvisibleMark` marks. Threads may share it."""

    def find(self, frames: Iterable[np.ndarray]) -> Found:
        """The mark of a clip; it looks at the first 250 frames, and keeps one picture.

        Without a frame, nothing is found. Raises InputError for a frame of another kind or size than the first.
        """
        evidence = Evidence()
        first: np.ndarray | None = None
        for frame in islice(frames, MOST_FRAMES):
            _check(frame)
            first = frame if first is None else first
            if frame.shape != first.shape:
                raise InputError(
                    f"a mark is looked for in frames of one size, got {_sized(first)}, then {_sized(frame)}; "
                    "give each part of the clip alone"
                )
            evidence.add(frame)
        if first is None:
            return Found(payload=None, score=0.0)
        best = align(evidence.picture())
        return Found(payload=best.payload if best.score >= THRESHOLD else None, score=max(best.score, 0.0))


def _strength(frame: np.ndarray) -> np.ndarray:
    """(H, W) float32: the deviation of what is added, in grey levels: near edges least, in texture most."""
    height, width = frame.shape[:2]
    shrunk = magnification(height, width)
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    if shrunk > 1:
        luma = cv2.resize(luma, (width // shrunk, height // shrunk), interpolation=cv2.INTER_AREA)
    fine = np.minimum(cv2.absdiff(luma, cv2.blur(luma, (_CELL_PX + 1, _CELL_PX + 1))), _MOST_TEXTURE)
    cells = max(luma.shape[1] // _CELL_PX, 1), max(luma.shape[0] // _CELL_PX, 1)
    texture = cv2.blur(cv2.resize(fine.astype(np.float32), cells, interpolation=cv2.INTER_AREA), (3, 3))
    near = cv2.dilate((texture > _EDGE).astype(np.float32), np.ones((_REACH, _REACH), np.uint8))
    near = cv2.GaussianBlur(near, (0, 0), 2)
    texture = cv2.erode(texture, np.ones((_AROUND, _AROUND), np.uint8), borderType=cv2.BORDER_REPLICATE)
    texture = cv2.GaussianBlur(texture, (0, 0), 2)
    far_off, close_by = _even(height, width)
    even = far_off + (close_by - far_off) * near
    strength = np.minimum(even + _PER_TEXTURE * np.maximum(texture - _TEXTURED, 0), _STRONGEST)
    strength *= min(1.0, _FRAME / float(np.sqrt(np.square(strength).mean())))
    return cv2.resize(strength, (width, height), interpolation=cv2.INTER_LINEAR)


def _even(height: int, width: int) -> tuple[float, float]:
    """The deviation of what is added where a frame of this size is even: far from edges, and near them."""
    if magnification(height, width) > 1:
        return _EVEN_LARGE, _EVEN_LARGE
    smaller = max(512 / min(height, width), 1)
    far_off = min(_EVEN * smaller, _MOST_EVEN)
    # Of small frames little is far from edges, and every pixel is needed: from some 256 px down there is one strength.
    return far_off, min(_NEAR_EDGES * smaller**1.5, far_off)


def _check(frame: np.ndarray) -> None:
    if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
        kind = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise InputError(f"a frame to mark, or to look for a mark in, is (H, W, 3) uint8 RGB; got {kind}")
    if not frame.size:
        raise InputError(f"a frame to mark, or to look for a mark in, has pixels; got {_sized(frame)}")


def _sized(frame: np.ndarray) -> str:
    return f"{frame.shape[1]} x {frame.shape[0]}"
