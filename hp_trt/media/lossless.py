"""Pictures of one size as a lossless video in memory: what is read is what was written, bit for bit."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Self

import numpy as np

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.media.opening import open_stream, video_stream

_RATE = Fraction(25)  # nobody reads it
_TIMEOUT_S = 60.0  # of memory, which never waits


class LosslessWriter:
    """H.264 in RGB without a loss, in a Matroska file. A context manager; `content` is complete behind its block."""

    def __init__(self, width: int, height: int) -> None:
        import av

        self._size, self._file = (width, height), io.BytesIO()
        self._container: Any = av.open(self._file, "w", format="matroska", options={"fflags": "+bitexact"})
        options = {"qp": "0", "preset": "veryfast"}
        self._stream = self._container.add_stream("libx264rgb", rate=_RATE, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "rgb24"

    @property
    def so_far(self) -> int:
        """Bytes that are written."""
        return self._file.tell()

    def write(self, image: np.ndarray) -> None:
        """Append (H, W, 3) uint8 RGB."""
        import av

        assert image.shape[1::-1] == self._size, image.shape
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    @property
    def content(self) -> bytes:
        return self._file.getvalue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def lossless_pictures(content: bytes, width: int, height: int, name: str) -> Iterator[np.ndarray]:
    """The pictures (H, W, 3) uint8 RGB of such a video; `name` says whose it is. Raises InputError for any other."""
    advice = "make that file again"
    with open_stream(io.BytesIO(content), name, timeout_s=_TIMEOUT_S) as container:
        stream = video_stream(container, name)
        if (stream.codec_context.width, stream.codec_context.height) != (width, height):
            found = f"{stream.codec_context.width} x {stream.codec_context.height}"
            raise InputError(f"{name} have {found} pixels, needed are {width} x {height}; {advice}")
        frames = container.decode(stream)
        while True:
            with foreign(f"{name} are damaged", advice):
                if (frame := next(frames, None)) is None:
                    return
                image = frame.to_ndarray(format="rgb24")
            if image.shape != (height, width, 3):
                raise InputError(f"{name} change their size; {advice}")
            yield image
