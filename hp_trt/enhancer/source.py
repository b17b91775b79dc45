"""Frames to enhance, from any frame on: of a file, whose times are noted on the way, or of arrays."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from engines.errors import InputError
from hp_trt.interface.arguments import shown
from hp_trt.media.images import checked_picture
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import Ticks

Timed = tuple[np.ndarray, Fraction | None]


class VideoSource:
    """The frames of a video file. Raises InputError for what is none.

    `ticks`: after a walk when each frame is shown, on the result's clock. `begins_s`: of the first, on the file's own.
    """

    def __init__(self, path: Path, *, nvdec: int | None = None) -> None:
        self._path, self._state = path, _state_of(path)
        self._reader = VideoReader(path, nvdec=nvdec)
        self.info = self._reader.info
        self.name, self.width, self.height = str(path), self.info.width, self.info.height
        self.ticks: array[int] = array("q")
        self.begins_s: Fraction | None = None

    @property
    def total(self) -> int | None:
        """How many frames there are; None: the file does not say."""
        return self.info.frames

    @property
    def notes(self) -> list[str]:
        """What a user should know of the file, once it was read to its end."""
        return self._reader.notes

    def frames(self, first: int) -> Iterator[Timed]:
        """Those from number `first` on, with their times on the file's clock. All before are read too."""
        self.ticks = array("q")
        clock = Ticks(self.info.rate, self.info.time_base)
        for index, frame in enumerate(self._reader.timed()):
            self.ticks.append(clock.at(frame.time_s))
            self.begins_s = clock.start_s
            if index >= first:
                yield frame.image, frame.time_s

    def check_unchanged(self) -> None:
        """Raises InputError where the file is another one than when it was opened: it was being written."""
        if _state_of(self._path) != self._state:
            raise InputError(
                f"{self._path} was changed while it was read, so the result would be of a part of it; wait until it is "
                "written, and begin anew with --restart"
            )


class ArraySource:
    """The frames of a sequence of (H, W, 3) uint8 RGB arrays of one size. Raises InputError."""

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        self.name = "the frames"
        if (
            isinstance(frames, str | bytes | type | Mapping)
            or not hasattr(frames, "__getitem__")
            or not hasattr(frames, "__len__")
            or (isinstance(frames, np.ndarray) and not frames.ndim)
        ):
            raise InputError(f"frames are a video file or a sequence of (H, W, 3) uint8 arrays, got {shown(frames)}")
        if not len(frames):
            raise InputError("there are no frames; give at least one")
        self._frames = frames
        self.height, self.width = checked_picture(frames[0], "frame 0").shape[:2]

    def frames(self, first: int) -> Iterator[Timed]:
        """Those from number `first` on. Raises InputError for one that is none, or of another size."""
        for index in range(first, len(self._frames)):
            image = checked_picture(self._frames[index], f"frame {index}")
            if image.shape[:2] != (self.height, self.width):
                raise InputError(f"frame {index} is {shown(image)}, the first is {self.width} x {self.height}")
            yield image, None


def _state_of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
