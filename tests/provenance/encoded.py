"""Clips in memory, through x264 and back, with the settings of our video writer but another crf."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np

from hp_trt.media.video_writer import X264, add_h264
from hp_trt.media.yuv_frames import YuvFrames


def encoded(frames: Sequence[np.ndarray], *, crf: int, rate: int = 25) -> bytes:
    """(H, W, 3) uint8 RGB as an mp4, by one thread, so that the same frames give the same bytes."""
    file, to_yuv = io.BytesIO(), YuvFrames()
    with av.open(file, "w", format="mp4") as container:
        stream = add_h264(container, (frames[0].shape[1], frames[0].shape[0]), Fraction(rate), threads=1)
        stream.options = X264 | {"crf": str(crf)}
        for i, image in enumerate(frames):
            frame = to_yuv.frame(image)
            frame.pts, frame.time_base = i, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def decoded(file: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(file)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def reencoded(frames: Sequence[np.ndarray], *, crf: int) -> list[np.ndarray]:
    return decoded(encoded(frames, crf=crf))
