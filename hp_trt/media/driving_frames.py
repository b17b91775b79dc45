"""The driving frames as they were given: those of a video file, with their times, or arrays, which have none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from engines.errors import InputError
from hp_trt.interface.arguments import shown
from hp_trt.media.images import checked_picture
from hp_trt.media.video import VideoReader
from runtime.stages import Stages


class DrivingFrames:
    """Those of `driving`: a file, a reader of one, or a sequence of (H, W, 3) uint8 RGB arrays.

    Iterate for arrays, from the first frame each time; each is checked as it comes. Raises InputError for a file that
    is no video, and for what is no sequence: frames are read twice, so an iterator cannot be taken.
    """

    def __init__(self, driving: Path | str | VideoReader | Sequence[np.ndarray]) -> None:
        if not isinstance(driving, Path | str | VideoReader) and not _is_sequence(driving):
            raise InputError(
                "the driving frames must be a video file, or a sequence of (H, W, 3) uint8 arrays such as a list, "
                f"got {shown(driving)}; make a list of what comes one by one"
            )
        self._source = VideoReader(driving) if isinstance(driving, Path | str) else driving

    @property
    def name(self) -> str:
        """What a message calls them."""
        return str(self._source.info.path) if isinstance(self._source, VideoReader) else "the driving frames"

    @property
    def total(self) -> int | None:
        """How many there are; None: the file does not say."""
        return self._source.info.frames if isinstance(self._source, VideoReader) else len(self._source)

    @property
    def listed(self) -> int:
        """How many there will be; 0 where that is not known for sure before they are read."""
        source = self._source
        known = source.info.promise.listed if isinstance(source, VideoReader) else True
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
        return self._source.notes if isinstance(self._source, VideoReader) else []

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self._source) if isinstance(self._source, VideoReader) else self._arrays(self._source)

    def timed(self, stages: Stages) -> Iterator[tuple[np.ndarray, Fraction | None]]:
        """Each frame with its time on the file's clock, None of arrays; reading one is a unit of the stage `read`."""
        frames = self._timed()
        while True:
            try:
                with stages.unit("read"):
                    frame = next(frames)
            except StopIteration:
                return
            yield frame

    def _timed(self) -> Iterator[tuple[np.ndarray, Fraction | None]]:
        if isinstance(self._source, VideoReader):
            return ((frame.image, frame.time_s) for frame in self._source.timed())
        return ((image, None) for image in self._arrays(self._source))

    @staticmethod
    def _arrays(images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        return (checked_picture(image, f"driving frame {number}") for number, image in enumerate(images))


def _is_sequence(driving: object) -> bool:
    if isinstance(driving, bytes | bytearray | memoryview | type):
        return False
    if isinstance(driving, np.ndarray):  # (F, H, W, 3) is one
        return driving.ndim > 0
    return isinstance(driving, Sequence) or (hasattr(driving, "__len__") and hasattr(driving, "__getitem__"))
