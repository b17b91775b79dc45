"""One chunk of one track: H.264 in a closed mp4 of its own, with the settings of `hp_trt.media.video_writer`.

It grows under a hidden name and is complete, and on the disk, when it gets its own. Its first picture is at 0.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from engines.part_file import PartFile
from hp_trt.media.video_writer import add_h264, time_base
from hp_trt.media.yuv_frames import YuvFrames

# The encoder cuts a picture in as many slices: a run that goes on with more cores, or fewer, makes the same bytes.
_THREADS = 4


class ChunkWriter:
    """The file `path` of pictures of `size` (width, height) at `rate`. FFmpeg's errors and the system's pass."""

    def __init__(self, path: Path, *, size: tuple[int, int], rate: Fraction) -> None:
        import av

        self._time_base = time_base(rate)
        self._period = round(1 / rate / self._time_base)  # ticks
        self._frames, self._yuv = 0, YuvFrames()
        self._container: Any = None
        self._part = PartFile(path)
        try:
            self._container = av.open(str(self._part.path.absolute()), "w", format="mp4")
            self._stream = add_h264(self._container, size, rate, threads=_THREADS)
            self._container.start_encoding()
        except BaseException:
            self.discard()
            raise

    def write(self, image: np.ndarray) -> None:
        """Append (H, W, 3) uint8 RGB."""
        frame = self._yuv.frame(image)
        frame.pts, frame.time_base, frame.duration = self._frames * self._period, self._time_base, self._period
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self._frames += 1

    def close(self) -> None:
        """Complete the file under its hidden name."""
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()

    def commit(self) -> None:
        """Give the complete file its name."""
        self._part.commit()

    def discard(self) -> None:
        """Forget the file, if it has not got its name; never raises over the error that brought us here."""
        with suppress(Exception):  # the disk that is full while writing is full while closing
            if self._container is not None:
                self._container.close()
        with suppress(OSError):
            self._part.discard()
