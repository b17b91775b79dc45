"""H.264 and its sound into an open PyAV container, picture by picture, with little delay.

Pictures keep the times of their driving frames, sound its own; both are moved by the time of the first picture, which
becomes 0. So they belong together however late pictures come and however many are missing.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from hp_trt.media.sound_carrier import CannotCarry
from hp_trt.media.video_writer import ONE_THREAD_PIXELS
from hp_trt.media.yuv_frames import BT601, YuvFrames
from hp_trt.streams.sound import LiveSound, WaitingSound

# Without lookahead or frames from the future, every picture leaves when it comes. The cores have better work than the
# last bit of compression: of `make demo`'s result (512 px, 25 frames/s) ultrafast codes a frame in 3.6 ms on one core
# of an AMD EPYC, to 5.8 kB at 49.3 dB, veryfast in 10.5 ms to 6.0 kB at 50.3 dB.
_X264 = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20"}
_KEYFRAME_S = 2  # who joins a stream, or opens what a killed run has left, waits or loses so much
_CLOCK = Fraction(1, 90_000)
_NEVER = 1 << 20
_GLOBAL_HEADER = 1 << 22  # FFmpeg's AV_CODEC_FLAG_GLOBAL_HEADER, which few containers can do without
_FLUSH_PACKETS = 0x200  # FFmpeg's AVFMT_FLAG_FLUSH_PACKETS
# How long a container may wait for the other stream before it writes the one it has, in microseconds.
INTERLEAVE = {"max_interleave_delta": "500000"}


class Recording:
    """Owns `container`, opened for writing in `container_format`. `finish` completes it, once.

    `sound` is PyAV's stream, its packets wait in `waiting`. Errors of FFmpeg and of the system pass through.
    """

    def __init__(
        self,
        container: Any,
        container_format: str,
        *,
        width: int,
        height: int,
        rate: Fraction,
        sound: Any = None,
        waiting: WaitingSound | None = None,
    ) -> None:
        self._container, self._frames = container, YuvFrames()
        self._period_s = 1 / rate
        stream = container.add_stream("libx264", rate=rate, options=dict(_X264))
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = _CLOCK
        context.colorspace = BT601
        context.gop_size = _NEVER  # by the clock instead: nobody knows how many frames will come
        if width * height <= ONE_THREAD_PIXELS:
            context.thread_count = 1
        if container_format != "mpegts":  # every keyframe has the header there, for who joins late
            context.flags |= _GLOBAL_HEADER
        self._stream = stream
        self._sound: LiveSound | None = None
        self._notes: list[str] = []
        if sound is not None and waiting is not None:
            try:
                self._sound = LiveSound(sound, waiting, container, container_format)
            except CannotCarry as error:
                self._notes.append(f"the sound is missing in the result: {error}")
        container.flags |= _FLUSH_PACKETS
        container.start_encoding()
        self._start_s: Fraction | None = None
        self._last_s = Fraction(0)
        self._last_pts = -1
        self._next_keyframe_s = Fraction(0)

    @property
    def notes(self) -> list[str]:
        """What became of the sound, where it is not in the result as it came."""
        return [*self._notes, *(self._sound.notes if self._sound else ())]

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        """Append (H, W, 3) uint8 RGB at `time_s` on the source's clock, and what is heard until then."""
        from av.video.frame import PictureType

        if self._start_s is None:
            self._start_s = self._next_keyframe_s = time_s
        frame = self._frames.frame(image)
        frame.pts = max(round((time_s - self._start_s) / _CLOCK), self._last_pts + 1)
        frame.time_base = _CLOCK
        if time_s >= self._next_keyframe_s:
            frame.pict_type = PictureType.I
            self._next_keyframe_s = time_s + _KEYFRAME_S
        self._last_s, self._last_pts = time_s, frame.pts
        if self._sound:
            self._sound.mux_until(time_s, start_s=self._start_s)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what is held back, the sound up to the end of the last picture, and the container's end."""
        try:
            if self._start_s is not None:
                self._container.mux(self._stream.encode(None))
                if self._sound:
                    self._sound.finish(self._last_s + self._period_s, start_s=self._start_s)
        finally:
            self._container.close()


def closed_quietly(close: Callable[[], Any]) -> None:
    """For what cannot be written any more: the error that says so has been raised already."""
    import av

    try:
        close()
    except (av.FFmpegError, OSError):
        return
