"""Motion of a driving video, from a file: when its frames are shown, with what sound, and which of them is which.

What moves is the model's to read. Here is what everybody knows of a driving video: a clock, a rate, a sound. There is
no picture in it, so what needs one cannot be given such a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from hp_trt.encoded.encoded_file import EncodedFile
from hp_trt.media.kept_sound import SOUND, fraction, sound_of
from hp_trt.media.promise import Promise
from hp_trt.media.video import VideoInfo

TIMES = "ticks"  # the tensor: (N,) int64
MOST_FRAMES = 1_000_000  # as --max-frames
_LARGEST_PX = 1 << 16
_SLOWEST, _FASTEST = Fraction(1, 10**6), Fraction(10**6)  # frames a second
_FINEST = 1 << 62


@dataclass(frozen=True)
class DriverFrame:
    """One frame of motion that was encoded, in the place of its picture."""

    driver: EncodedDriver
    index: int  # from 0


class EncodedDriver:
    """A motion file of a driving video. Raises InputError for what is none; `times` for numbers that are none."""

    def __init__(self, path: Path) -> None:
        self.file = file = EncodedFile(path, "motion")
        with file.reading():
            if (driver := file.about["driver"].choice(("video", "audio"))) != "video":
                raise InputError(
                    f"{path} is the motion of a sound ({driver}), and this bundle's portraits are moved by a driving "
                    "video; give one, or the file of one"
                )
            video = file.about["video"]
            (self.frames,) = file.require(TIMES, "int64", (None,))
            if not 1 <= self.frames <= MOST_FRAMES:
                raise ValueError(f"it has {self.frames} frames, needed are 1 to {MOST_FRAMES}")
            self._tick_s = fraction(file.about["tick_s"].text(most=60), least=Fraction(1, _FINEST), most=Fraction(10))
            self.info = VideoInfo(
                path=path,
                width=video["width"].whole(1, _LARGEST_PX),
                height=video["height"].whole(1, _LARGEST_PX),
                rate=fraction(video["rate"].text(most=60), least=_SLOWEST, most=_FASTEST),
                rate_varies=video["rate_varies"].flag(),
                time_base=fraction(video["time_base"].text(most=60), least=Fraction(1, 10**9), most=Fraction(10)),
                promise=Promise(frames=self.frames, listed=True),
                audio_codec=None,
                has_sound=SOUND in file.tensors,
            )

    @property
    def notes(self) -> list[str]:
        """What was to be known of the video and of its faces, a line each."""
        return list(self.file.notes)

    @cached_property
    def times(self) -> list[Fraction]:
        """When each frame is shown, on the video's own clock, in seconds: they increase. Raises InputError."""
        with self.file.reading():
            ticks = self.file.array(TIMES)
            if (np.abs(ticks) >= _FINEST).any() or (len(ticks) > 1 and (np.diff(ticks) <= 0).any()):
                raise ValueError("its times do not increase")
            times = [int(tick) * self._tick_s for tick in ticks]
            if max(abs(times[0]), abs(times[-1])) > 10**9:
                raise ValueError("its times are of no clock")
            return times

    def check_sound(self) -> None:
        """Raises InputError for a sound that cannot be one."""
        sound_of(self.file)

    def timed(self) -> Iterator[tuple[DriverFrame, Fraction]]:
        """Each frame and when it is shown."""
        for index, time_s in enumerate(self.times):
            yield DriverFrame(self, index), time_s

    def no_pictures(self) -> InputError:
        """The error for whoever wants to see it."""
        return InputError(f"{self.info.path} is a motion file, which has no pictures; give the driving video itself")


def said_of(info: VideoInfo, times: Sequence[Fraction | None]) -> tuple[dict[str, Any], np.ndarray]:
    """What the header of a motion file says of a driving video, and its times as the tensor that is kept.

    Raises InputError for a clock that whole numbers cannot keep.
    """
    known = [Fraction(0) if time_s is None else time_s for time_s in times]
    parts = math.lcm(*(time_s.denominator for time_s in known))
    if parts > _FINEST or max(abs(time_s) for time_s in known) * parts >= _FINEST:
        raise InputError(
            f"{info.path} has times that no clock of whole numbers keeps; convert it first: ffmpeg -i IN -r 25 OUT.mp4"
        )
    said = {
        "driver": "video",
        "tick_s": str(Fraction(1, parts)),
        "video": {
            "width": info.width,
            "height": info.height,
            "rate": str(info.rate),
            "rate_varies": info.rate_varies,
            "time_base": str(info.time_base),
        },
    }
    return said, np.array([int(time_s * parts) for time_s in known], np.int64)
