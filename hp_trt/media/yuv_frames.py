"""RGB pictures as an encoder takes them: PyAV's frames in YUV, BT.601, with memory that is used again.

swscale reads a picture where it lies, and up to 16 bytes behind it: each is copied into memory with so much room, which
costs a fifth of what a frame of its own does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BT601 = 6  # FFmpeg's number for SMPTE 170M, what swscale converts RGB to
_READ_BEHIND = 64  # bytes


class YuvFrames:
    """Converts the pictures of one video, one after the other, to FFmpeg's `pixels`. Not for two threads at once."""

    def __init__(self, pixels: str = "yuv420p") -> None:
        from av.video.reformatter import VideoReformatter

        self._pixels = pixels
        self._reformatter = VideoReformatter()
        self._rgb = np.empty((0, 0, 3), np.uint8)

    def frame(self, image: np.ndarray) -> Any:
        """(H, W, 3) uint8 RGB as PyAV's frame, the caller's; an odd side is padded by repeating its last pixel."""
        import av

        height, width = image.shape[:2]
        even = height + height % 2, width + width % 2, 3
        if self._rgb.shape != even:
            size = even[0] * even[1] * 3
            self._rgb = np.zeros(size + _READ_BEHIND, np.uint8)[:size].reshape(even)
        self._rgb[:height, :width] = image
        if height % 2:
            self._rgb[height, :width] = image[-1]
        if width % 2:
            self._rgb[:, width] = self._rgb[:, width - 1]
        frame = av.VideoFrame.from_numpy_buffer(self._rgb, format="rgb24")
        return self._reformatter.reformat(frame, format=self._pixels, dst_colorspace=BT601)
