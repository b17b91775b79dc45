"""Streams that leave as they are made, to standard output or an address. Nothing of them can be completed later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np

from engines.errors import OutputError
from engines.foreign import reason
from hp_trt.media.clock import SteadyClock
from hp_trt.media.opening import UNKNOWN_PROTOCOL
from hp_trt.media.seal import Seal, marked
from hp_trt.media.yuv_frames import YuvFrames
from hp_trt.streams.pipes import PipeWriter
from hp_trt.streams.recording import INTERLEAVE, Recording, closed_quietly
from hp_trt.streams.sink import Shape
from hp_trt.streams.sources import without_password

_URL_FORMATS = {"tcp": "mpegts", "udp": "mpegts", "srt": "mpegts", "http": "mpegts", "https": "mpegts"} | dict.fromkeys(
    ("rtmp", "rtmps", "rtmpt", "rtmpe", "rtmpte", "rtmpts"), "flv"
)
_LONGEST_REPEAT_S = 60  # of a picture where there are no times; a longer gap is left out
_UDP_PACKET = 1316  # bytes: seven packets of a transport stream, which fit into one of the network


class StreamSink:
    """A container of pictures and sound. Subclasses say where it leaves to, and what FFmpeg's errors mean there."""

    hears = True

    def __init__(self, name: str, container_format: str) -> None:
        self.name, self._format = name, container_format
        self.notes: list[str] = []
        self.seal: Seal | None = None
        self._recording: Recording | None = None

    def _begin(self, target: PipeWriter | str, muxer: str, shape: Shape) -> None:
        import av

        container = av.open(target, "w", format=muxer, container_options=dict(INTERLEAVE))
        self._recording = Recording(container, self._format, **vars(shape))

    def _append(self, image: np.ndarray, time_s: Fraction) -> None:
        assert self._recording is not None
        self._recording.write(marked(image, self.seal), time_s)

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        recording, self._recording = self._recording, None
        if recording:
            closed_quietly(recording.finish)
            self.notes += recording.notes


class MpegtsPipe(StreamSink):
    """A transport stream with sound, on standard output."""

    def __init__(self, writer: PipeWriter) -> None:
        super().__init__("standard output", "mpegts")
        self._writer = writer

    def open(self, shape: Shape) -> None:
        with _pipe_ends():
            self._begin(self._writer, "mpegts", shape)

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        with _pipe_ends():
            self._append(image, time_s)


class Y4mPipe:
    """Plain pictures on standard output. They have no times, so the last is repeated where one is missing."""

    name, hears = "standard output", False

    def __init__(self, writer: PipeWriter) -> None:
        self._writer = writer
        self.notes: list[str] = []
        self.seal: Seal | None = None
        self._clock: SteadyClock | None = None
        self._start_s: Fraction | None = None
        self._frames = YuvFrames()
        self._count = 0
        self._last = b""

    def open(self, shape: Shape) -> None:
        self._rate = shape.rate
        width, height = (side + side % 2 for side in (shape.width, shape.height))
        rate = f"{shape.rate.numerator}:{shape.rate.denominator}"
        with _pipe_ends():
            self._writer.write(f"YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\n".encode())

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        if self._clock is None:
            self._clock = SteadyClock(1 / self._rate, longest_s=_LONGEST_REPEAT_S)
        time_s = self._clock.at(time_s)
        if self._start_s is None:
            self._start_s = time_s
        number = round((time_s - self._start_s) * self._rate)
        picture = b"FRAME\n" + self._frames.frame(marked(image, self.seal)).to_ndarray().tobytes()
        with _pipe_ends():
            while self._last and self._count < number:
                self._writer.write(self._last)
                self._count += 1
            if self._count == number:
                self._writer.write(picture)
                self._count += 1
        self._last = picture

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        if self._clock and self._clock.jumps:
            self.notes.append(f"gaps of more than {_LONGEST_REPEAT_S} s that are left out: {self._clock.jumps}")
            self._clock = None


class UrlSink(StreamSink):
    """Whatever FFmpeg can send to. A receiver that does not take anything for `timeout_s` ends it."""

    def __init__(self, url: str, *, container_format: str | None, timeout_s: float) -> None:
        import av

        scheme = url.partition(":")[0].lower()
        if scheme in ("rtsp", "rtsps"):  # seen: it waits for a server that says nothing without end
            raise OutputError(
                f"{without_password(url)}: rtsp is read here, and not sent; send rtmp, which such servers take too"
            )
        super().__init__(without_password(url), container_format or _URL_FORMATS.get(scheme, ""))
        if not self._format:
            raise OutputError(
                f"{self.name}: nothing is known of {scheme}:// but how FFmpeg may send there; name the container: "
                "--format mpegts"
            )
        if self._format not in av.formats_available:
            raise OutputError(
                f"{self.name}: there is no container {self._format!r}; usual are mpegts (tcp, udp, srt) and flv (rtmp)"
            )
        # PyAV opens an address with the interpreter locked and without a time limit; as a part of `tee` it has one.
        options = [f"f={self._format}", f"rw_timeout={round(timeout_s * 1e6)}"]
        options += [f"{key}={value}" for key, value in INTERLEAVE.items()]
        if scheme == "udp" and "pkt_size=" not in url:
            options.append(f"pkt_size={_UDP_PACKET}")
        self._target = f"[{':'.join(options)}]" + re.sub(r"([\\'|\s\[\]])", r"\\\1", url)

    def open(self, shape: Shape) -> None:
        with _unreachable(self.name, "see that the address is right and something listens there"):
            self._begin(self._target, "tee", shape)

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        with _unreachable(self.name, "the receiver closed the connection or takes nothing; start it, then this again"):
            self._append(image, time_s)


@contextmanager
def _pipe_ends() -> Iterator[None]:
    """BrokenPipeError passes: a reader that goes away is no error."""
    import av

    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, av.FFmpegError) as error:
        raise OutputError(f"standard output could not be written: {reason(error)}; see what reads it") from error


@contextmanager
def _unreachable(name: str, advice: str) -> Iterator[None]:
    import av

    try:
        yield
    except av.error.ProtocolNotFoundError as error:
        text = f"{name}: this FFmpeg does not know that kind of address; {UNKNOWN_PROTOCOL}"
        raise OutputError(text) from error
    except (OSError, av.FFmpegError) as error:
        raise OutputError(f"{name} cannot be sent to: {reason(error)}; {advice}") from error
