"""H.264 by NVENC into an open PyAV container: what PyAV's own stream is to `hp_trt.media.video_writer.VideoWriter`.

A blank picture is encoded first, by a session of its own: what NVENC refuses is told before the long work, and the
file's header is of it. No picture needs a later one, so the pictures leave in the order in which they came.
"""

from __future__ import annotations

import io
from collections import deque
from fractions import Fraction
from typing import Any

import numpy as np

from engines.errors import OutputError
from engines.foreign import foreign
from hp_trt.media.annexb import h264_headers, h264_picture, joined
from hp_trt.media.nvcodec import NVENC, OPTIONS, Coders, Encoder

# What x264's crf of 17 (16 when quick) comes to without its macroblock tree: that quantiser for pictures of pictures
# before them, 3 less for key pictures (its ratio of 1.4). Not compared with x264 yet: no GPU with NVENC has run it.
_QP = {False: "17,17,14", True: "16,16,13"}  # by `quick`: of predicted pictures, of those between, of key pictures
_PRESET = {False: "P5", True: "P1"}
_KEY_EVERY = "250"  # pictures, as x264's
_BLANK = 128
# The numbers are BT.601's, television's levels, and say nothing of primaries: as x264 is told. The library's own
# `colorspace` would call them full range.
_COLOURS = "h264_metadata=matrix_coefficients=6:colour_primaries=2:transfer_characteristics=2:video_full_range_flag=0"


def settings(rate: Fraction, *, quick: bool) -> dict[str, str]:
    """What `CreateEncoder` is given; its values are text. `rate` goes into the header, times are the container's."""
    return {
        "preset": _PRESET[quick],
        "tuning_info": "high_quality",
        "rc": "constqp",
        "constqp": _QP[quick],
        "bf": "0",
        "lookahead": "0",
        "gop": _KEY_EVERY,
        "idrperiod": _KEY_EVERY,
        "fps": f"{float(rate):.2f}",
    }


class NvencStream:
    """The pictures of `size` (width, height) in an open `container`, on the clock `tick_s`, encoded by GPU `index`.

    Raises InputError where that GPU cannot, OutputError for what NVENC refuses.
    """

    def __init__(
        self, container: Any, size: tuple[int, int], rate: Fraction, *, tick_s: Fraction, index: int, quick: bool
    ) -> None:
        import av

        width, height = (side + side % 2 for side in size)
        coders, self._tick_s = Coders(NVENC, index), tick_s
        coders.check_encodes(width, height, "the result")
        given = width, height, settings(rate, quick=quick)
        blank, trial = np.full((height * 3 // 2, width), _BLANK, np.uint8), Encoder(coders, *given)
        coded = b"".join(trial.encode(blank) + trial.finish())
        del trial
        self._headers = set(h264_headers(coded))
        with (
            foreign(f"{NVENC} made no H.264 of a blank picture", f"leave {OPTIONS[NVENC]} out", error=OutputError),
            av.open(io.BytesIO(_coloured(coded)), format="h264") as made,
        ):
            found = made.streams.video[0]
            if (found.width, found.height) != (width, height):
                raise ValueError(f"found {found.width} x {found.height}, needed {width} x {height}")
            self._stream = container.add_stream_from_template(found)
        self._stream.time_base, self._stream.rate = tick_s, rate
        self._encoder = Encoder(coders, *given)
        self._waiting: deque[tuple[int, int]] = deque()  # times and durations of pictures inside

    def encode(self, frame: Any) -> list[Any]:
        """Packets for the container, of PyAV's `frame` in NV12; None: those that are left. Raises OutputError."""
        if frame is None:
            packets = [self._packet(coded) for coded in self._encoder.finish()]
            if self._waiting:
                raise OutputError(f"{NVENC} left {len(self._waiting)} pictures out; leave {OPTIONS[NVENC]} out")
            return packets
        self._waiting.append((frame.pts, frame.duration))
        return [self._packet(coded) for coded in self._encoder.encode(frame.to_ndarray())]

    def _packet(self, coded: bytes) -> Any:
        import av

        if not self._waiting:
            raise OutputError(f"{NVENC} gave more pictures than it got; leave {OPTIONS[NVENC]} out")
        if not set(h264_headers(coded)) <= self._headers:
            raise OutputError(f"{NVENC} changed its header on the way; leave {OPTIONS[NVENC]} out")
        picture, is_key = h264_picture(coded)
        packet = av.Packet(picture)
        packet.pts, packet.duration = self._waiting.popleft()
        packet.dts, packet.time_base, packet.stream, packet.is_keyframe = packet.pts, self._tick_s, self._stream, is_key
        return packet


def _coloured(coded: bytes) -> bytes:
    """A whole coded picture with what its header has to say of colours."""
    import av
    from av.bitstream import BitStreamFilterContext

    rewrite = BitStreamFilterContext(_COLOURS, "h264")
    picture, _ = h264_picture(coded)
    whole = av.Packet(joined(h264_headers(coded)) + picture)
    return b"".join(bytes(part) for part in (*rewrite.filter(whole), *rewrite.filter(None)))
