"""The driving frames as they were given: those of a video file, with their times, or arrays, which have none.

A motion file stands for the video that it was made of: its frames have times, and no picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from hp_trt.encoded.driver import EncodedDriver
from hp_trt.encoded.encoded_file import is_encoded
from hp_trt.interface.arguments import shown
from hp_trt.media.images import checked_picture
from hp_trt.media.video import VideoInfo, VideoReader
from runtime.stages import Stages


class DrivingFrames:
    """Those of `driving`: a file, of video or of motion, a reader, or a sequence of (H, W, 3) uint8 RGB arrays.

    Iterate for arrays, from the first frame each time; each is checked as it comes. Raises InputError for a file that
    is no video, and for what is no sequence: frames are read twice, so an iterator cannot be taken.

    `encoded`: the motion file, where it is one. Then there are no arrays to iterate, and `timed` gives what stands for
    them. `nvdec`: the GPU that decodes a video file; None: the CPU does.
    """

    def __init__(self, driving: Path | str | VideoReader | Sequence[np.ndarray], *, nvdec: int | None = None) -> None:
        if not isinstance(driving, Path | str | VideoReader) and not _is_sequence(driving):
            raise InputError(
                "the driving frames must be a video file, or a sequence of (H, W, 3) uint8 arrays such as a list, "
                f"got {shown(driving)}; make a list of what comes one by one"
            )
        path = driving if isinstance(driving, Path | str) else None
        self.encoded = EncodedDriver(Path(path)) if path is not None and is_encoded(path) else None
        self._source: EncodedDriver | VideoReader | Sequence[np.ndarray]
        if self.encoded is not None:
            self._source = self.encoded
        else:
            self._source = VideoReader(driving, nvdec=nvdec) if isinstance(driving, Path | str) else driving

    @property
    def info(self) -> VideoInfo | None:
        """What is known of the file; None of arrays."""
        return self._source.info if isinstance(self._source, VideoReader | EncodedDriver) else None

    @property
    def name(self) -> str:
        """What a message calls them."""
        return str(self.info.path) if self.info else "the driving frames"

    @property
    def total(self) -> int | None:
        """How many there are; None: the file does not say."""
        return self.info.frames if self.info else len(self._arrays_given())

    @property
    def listed(self) -> int:
        """How many there will be; 0 where that is not known for sure before they are read."""
        known = self.info.promise.listed if self.info else True
        return (self.total or 0) if known else 0

    def check_length(self, most: int) -> None:
        """Raises InputError where it is known before they are read that there are more than `most`."""
        if self.listed > most:
            raise self.too_many(f"{self.total} frames, at most {most} are taken")

    def too_many(self, found: str) -> InputError:
        """The error for more frames than are taken."""
        return InputError(
            f"{self.name} has {found}; cut it shorter, or raise the limit "
            "(max_frames of RuntimeConfig, --max-frames of hp-trt animate)"
        )

    @property
    def notes(self) -> list[str]:
        """What a user should know of the file, a line each, once it was read to its end."""
        return self._source.notes if isinstance(self._source, VideoReader | EncodedDriver) else []

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.encoded is not None:
            raise self.encoded.no_pictures()
        return (image for image, _ in self._timed())

    def timed(self, stages: Stages) -> Iterator[tuple[Any, Fraction | None]]:
        """Each frame with its time on the file's clock, None of arrays; reading one is a unit of the stage `read`."""
        frames = self._timed()
        while True:
            try:
                with stages.unit("read"):
                    frame = next(frames)
            except StopIteration:
                return
            yield frame

    def _timed(self) -> Iterator[tuple[Any, Fraction | None]]:
        if self.encoded is not None:
            return self.encoded.timed()
        if isinstance(self._source, VideoReader):
            return ((frame.image, frame.time_s) for frame in self._source.timed())
        images = enumerate(self._arrays_given())
        return ((checked_picture(image, f"driving frame {number}"), None) for number, image in images)

    def _arrays_given(self) -> Sequence[np.ndarray]:
        assert not isinstance(self._source, VideoReader | EncodedDriver)
        return self._source


def _is_sequence(driving: object) -> bool:
    if isinstance(driving, bytes | bytearray | memoryview | type):
        return False
    if isinstance(driving, np.ndarray):  # (F, H, W, 3) is one
        return driving.ndim > 0
    return isinstance(driving, Sequence) or (hasattr(driving, "__len__") and hasattr(driving, "__getitem__"))
