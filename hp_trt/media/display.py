"""How a video's frames are to be shown: turned, mirrored, with square pixels and in sRGB, as (H, W, 3) uint8 RGB.

A file says it in a display matrix, with each frame, and in the shape of a pixel, which its container or its coded
pictures give. The container's word holds for all of it; a shape in the pictures may change on the way.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import numpy as np

from engines.foreign import foreign
from hp_trt.media.pixel_limit import PICTURE_BYTES, check_pixels
from hp_trt.media.turn import NONE, Turn, from_matrix
from hp_trt.media.wide_colour import WideColour

_WIDEST_PIXEL = 16  # times as wide as high, or the other way round: beyond it is an error in the file
_SQUARE = Fraction(1)
_SAME_SHAPE = 0.01  # of an aspect ratio: what rounding to whole pixels may change


class Display:
    """How the frames of one stream are shown. `notes` has what a user should know, a line each.

    `like`: a frame that says it for all of them, where they do not; None: each for itself.
    """

    def __init__(self, stream: Any, name: object, *, like: Any = None) -> None:
        from av.video.reformatter import VideoReformatter

        self._stream, self._name, self._like = stream, name, like
        self._reformat = VideoReformatter().reformat
        self._colour = WideColour()
        self._container_shape = _known(stream.sample_aspect_ratio)
        self._first_coded_shape: Fraction | None = None
        self._coded_shape: Fraction | None = None
        self._begun = False
        self.notes: list[str] = []

    def size(self, frame: Any) -> tuple[int, int]:
        """Width and height of `frame` as it is shown. Ask for frames in their order."""
        return self._turn(frame).size(*self._square(frame))

    def rgb(self, frame: Any, within: tuple[int, int] | None = None) -> np.ndarray:
        """(H, W, 3) uint8 RGB of its own size, or of `within` (width, height), with black bars where shapes differ.

        Raises InputError for pixels that FFmpeg cannot convert.
        """
        turn, (width, height) = self._turn(frame), self._square(frame)
        target = turn.size(width, height) if within is None else _inside(turn.size(width, height), within)
        stored_width, stored_height = turn.size(*target)
        check_pixels(self._name, stored_width, stored_height, PICTURE_BYTES)
        with foreign(f"{self._name} has pictures that cannot be converted to RGB", "convert it to H.264 first"):
            image = self._reformat(frame, stored_width, stored_height, "rgb24").to_ndarray()
        coder = self._stream.codec_context
        image = turn.apply(self._colour.srgb(image, coder.color_trc, coder.color_primaries))
        return image if within in (None, target) else _framed(image, within)

    def _turn(self, frame: Any) -> Turn:
        frame = self._like or frame
        matrix = next((bytes(side) for side in frame.side_data if side.type.name == "DISPLAYMATRIX"), b"")
        turn = from_matrix(struct.unpack("=9i", matrix)) if len(matrix) == 36 else NONE
        if turn is None:
            self._note(
                f"{self._name} is turned by an odd angle ({frame.rotation} degrees), not by quarters: left as it is"
            )
        return turn or NONE

    def _square(self, frame: Any) -> tuple[int, int]:
        """Width and height of `frame` with square pixels: the width is stretched, as players do."""
        coded = _known(self._stream.codec_context.sample_aspect_ratio)
        if not self._begun:
            self._first_coded_shape, self._begun = coded, True
        # The decoder is ahead of the frames that it gives: a new shape holds from the next key frame on.
        if (self._like or frame).key_frame or self._coded_shape is None:
            self._coded_shape = coded
        stated = self._container_shape not in (None, self._first_coded_shape)
        shape = (self._container_shape if stated else self._coded_shape) or _SQUARE
        if not 1 / _WIDEST_PIXEL <= shape <= _WIDEST_PIXEL:
            self._note(f"{self._name} says that its pixels are {shape.numerator}:{shape.denominator}: taken as square")
            shape = _SQUARE
        return max(1, round(frame.width * shape)), frame.height

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _known(shape: Any) -> Fraction | None:
    """A shape that says something: 0:1 is unknown."""
    return Fraction(shape) if shape else None


def _inside(size: tuple[int, int], within: tuple[int, int]) -> tuple[int, int]:
    """The largest size of `size`'s shape inside `within`; `within` itself where rounding alone tells them apart."""
    scale = min(within[0] / size[0], within[1] / size[1])
    fitted = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    shapes = size[0] / size[1], within[0] / within[1]
    return within if abs(shapes[0] / shapes[1] - 1) <= _SAME_SHAPE else fitted


def _framed(image: np.ndarray, within: tuple[int, int]) -> np.ndarray:
    """The image in the middle of a black one."""
    height, width = image.shape[:2]
    whole = np.zeros((within[1], within[0], 3), np.uint8)
    top, left = (within[1] - height) // 2, (within[0] - width) // 2
    whole[top : top + height, left : left + width] = image
    return whole
