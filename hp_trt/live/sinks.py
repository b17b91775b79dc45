"""Where animated frames go: a file, standard output, a stream, a window, nowhere.

A sink is planned before the long work, which refuses what cannot be, opened when the picture's size is known, and
closed however the run ends: what came until then is then complete and playable. All by one thread, which for
windows is the main one.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.errors import OutputError
from hp_trt.live.pipes import PartWriter, PipeWriter
from hp_trt.live.recording import INTERLEAVE, Recording, closed_quietly
from hp_trt.live.sound import WaitingSound
from hp_trt.live.sources import UNKNOWN_PROTOCOL, is_url, shown
from hp_trt.part_file import PartFile, orphans
from hp_trt.video_writer import SUFFIXES, check_target, yuv_frame

STDOUT, NOWHERE, WINDOW = "-", "null:", "window"
_KINDS = "a file, - for standard output, a URL such as udp://127.0.0.1:5000, window, or null:"
_PIPE_FORMATS = ("mpegts", "y4m")
_URL_FORMATS = {"tcp": "mpegts", "udp": "mpegts", "srt": "mpegts", "http": "mpegts", "https": "mpegts"} | dict.fromkeys(
    ("rtmp", "rtmps", "rtmpt", "rtmpe", "rtmpte", "rtmpts"), "flv"
)
_UDP_PACKET = 1316  # bytes: seven packets of a transport stream, which fit into one of the network
# Files that can be played at any moment, but for the last second. With delay_moov an mp4's header is written when the
# sound's beginning is known.
_FRAGMENTS = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
_UNFINISHED = {"mp4": _FRAGMENTS, "mov": _FRAGMENTS, "matroska": {"cluster_time_limit": "1000"}}
_EMPTY_BYTES = 4096  # a part as small holds no picture
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a sink has to know when it is opened."""

    width: int
    height: int
    rate: Fraction  # pictures per second, as far as the source knows
    sound: Any = None  # PyAV's stream; its packets wait in `waiting`
    waiting: WaitingSound | None = None


class Sink(Protocol):
    """`write` raises OutputError, or BrokenPipeError when the reader of standard output went away."""

    name: str
    hears: bool  # whether it has use for sound
    notes: list[str]

    def open(self, shape: Shape) -> None: ...

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        """(H, W, 3) uint8 RGB, at `time_s` on the source's clock, which increases."""

    def watched(self) -> bool:
        """Called often. False: whoever looked has closed it."""

    def close(self) -> None:
        """Complete it. Never opened, opened without a frame, closed already: nothing happens, and nothing is left."""


def plan_sink(
    out: str, *, container_format: str | None, timeout_s: float, stop: threading.Event, stdout_fd: int = 1
) -> Sink:
    """The sink that `out` names: see `_KINDS`. Raises OutputError, before anything is made, for what cannot be written.

    `container_format`: of standard output mpegts or y4m, of a URL any that FFmpeg knows; None: the usual one.
    """
    if out == STDOUT:
        kind = container_format or "mpegts"
        if kind not in _PIPE_FORMATS:
            raise OutputError(f"standard output is written as {' or '.join(_PIPE_FORMATS)}, not as {kind}; choose one")
        if os.isatty(stdout_fd):
            raise OutputError("standard output is a terminal, which shows no video; pipe it: ... --out - | ffplay -")
        writer = PipeWriter(stdout_fd, stop=stop)
        return Y4mPipe(writer) if kind == "y4m" else MpegtsPipe(writer)
    if is_url(out):
        return UrlSink(out, container_format=container_format, timeout_s=timeout_s)
    if container_format is not None:
        raise OutputError(f"--format is for standard output and URLs, {out} is neither; leave it out")
    if out == NOWHERE:
        return NullSink()
    if out == WINDOW:
        from hp_trt.live.window import Window

        return Window()
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{out}: a file is written as {', '.join(SUFFIXES)}; --out takes {_KINDS}")
    check_target(path)
    return FileSink(path)


class FileSink:
    """An .mp4, .mov or .mkv that grows under a hidden name and can be played at any moment, even after kill -9.

    mp4 and mov are fragments until they are complete, and plain files then.
    """

    hears = True

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self.notes: list[str] = []
        self._part: PartFile | None = None
        self._writer: PartWriter | None = None
        self._recording: Recording | None = None
        self._frames = 0

    def open(self, shape: Shape) -> None:
        import av

        self._see_to_orphans()
        container_format = SUFFIXES[self.path.suffix.lower()]
        with _refusals(self.name, "nothing was left behind"):
            try:
                self._part = PartFile(self.path, sweep=False)
                self._writer = PartWriter(self._part.path)
                container = av.open(
                    self._writer, "w", format=container_format, container_options=_UNFINISHED[container_format]
                )
                self._recording = Recording(container, container_format, **vars(shape))
            except BaseException:
                self._discard()
                raise

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        assert self._recording is not None
        with _refusals(self.name, f"the {self._frames} frames until then are kept"):
            self._recording.write(image, time_s)
        self._frames += 1

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        recording, self._recording = self._recording, None
        if recording is None or self._writer is None or self._part is None:
            return
        if not self._frames:
            closed_quietly(recording.finish)
            self._discard()
            return
        if self._writer.broken:  # what is there is playable; `write` has said why it ends
            closed_quietly(recording.finish)
        else:
            with _refusals(self.name, "what was written until then is kept"):
                try:
                    recording.finish()
                except BaseException:
                    self._keep_cut_off()
                    raise
        if self._writer.broken:
            self._keep_cut_off()
        else:
            self._writer.shut()
            with _refusals(self.name, f"the recording is {self._part.path}"):
                self._part.commit()

    def _see_to_orphans(self) -> None:
        for part in orphans(self.path):
            with suppress(OSError):
                if part.stat().st_size <= _EMPTY_BYTES:
                    part.unlink()
                else:
                    self.notes.append(f"{part} is what a run left that was killed: play it, keep or remove it")

    def _keep_cut_off(self) -> None:
        """A file that could not be completed gets a name, but never one that a good file has."""
        assert self._part is not None and self._writer is not None
        self._writer.shut()
        if not self.path.exists():
            self._part.commit()
            return
        kept = self.path.with_name(f"{self.path.stem}.cut-off{self.path.suffix}")
        os.replace(self._part.path, kept)
        self.notes.append(f"{self.path} was there before and stays; what was recorded is {kept}")

    def _discard(self) -> None:
        if self._writer:
            self._writer.shut()
        if self._part:
            self._part.discard()


class MpegtsPipe:
    """A transport stream with sound, on standard output."""

    name, hears = "standard output", True

    def __init__(self, writer: PipeWriter) -> None:
        self._writer = writer
        self.notes: list[str] = []
        self._recording: Recording | None = None

    def open(self, shape: Shape) -> None:
        import av

        container = av.open(self._writer, "w", format="mpegts", container_options=dict(INTERLEAVE))
        with _pipe_ends():
            self._recording = Recording(container, "mpegts", **vars(shape))

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        assert self._recording is not None
        with _pipe_ends():
            self._recording.write(image, time_s)

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        recording, self._recording = self._recording, None
        if recording:
            closed_quietly(recording.finish)


class Y4mPipe:
    """Plain pictures on standard output. They have no times, so the last is repeated where one is missing."""

    name, hears = "standard output", False

    def __init__(self, writer: PipeWriter) -> None:
        self._writer = writer
        self.notes: list[str] = []
        self._start_s: Fraction | None = None
        self._count = 0
        self._last = b""

    def open(self, shape: Shape) -> None:
        self._rate = shape.rate
        width, height = (side + side % 2 for side in (shape.width, shape.height))
        rate = f"{shape.rate.numerator}:{shape.rate.denominator}"
        with _pipe_ends():
            self._writer.write(f"YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\n".encode())

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        if self._start_s is None:
            self._start_s = time_s
        number = round((time_s - self._start_s) * self._rate)
        picture = b"FRAME\n" + yuv_frame(image).to_ndarray().tobytes()
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
        return


class UrlSink:
    """Whatever FFmpeg can send to. A receiver that does not take anything for `timeout_s` ends it."""

    hears = True

    def __init__(self, url: str, *, container_format: str | None, timeout_s: float) -> None:
        import av

        scheme = url.partition(":")[0].lower()
        if scheme in ("rtsp", "rtsps"):  # seen: it waits for a server that says nothing without end
            raise OutputError(f"{shown(url)}: rtsp is read here, and not sent; send rtmp, which such servers take too")
        self._format = container_format or _URL_FORMATS.get(scheme, "")
        self.name = shown(url)
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
        self.notes: list[str] = []
        self._recording: Recording | None = None

    def open(self, shape: Shape) -> None:
        import av

        with _unreachable(self.name, "see that the address is right and something listens there"):
            container = av.open(self._target, "w", format="tee", container_options=dict(INTERLEAVE))
            self._recording = Recording(container, self._format, **vars(shape))

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        assert self._recording is not None
        with _unreachable(self.name, "the receiver closed the connection or takes nothing; start it, then this again"):
            self._recording.write(image, time_s)

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        recording, self._recording = self._recording, None
        if recording:
            closed_quietly(recording.finish)


class NullSink:
    """Takes everything and keeps nothing: for benchmarks."""

    name, hears = "nowhere", False

    def __init__(self) -> None:
        self.notes: list[str] = []

    def open(self, shape: Shape) -> None:
        return

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        return

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        return


@contextmanager
def _refusals(name: str, left: str) -> Iterator[None]:
    """What the disk or the encoder refuses, explained; `left` says what became of what was there."""
    import av

    try:
        yield
    except (OSError, av.FFmpegError) as error:
        advice = "free some space" if error.errno in _FULL else "see to it, or write somewhere else"
        raise OutputError(f"{name} could not be written: {_reason(error)}; {advice}. {left.capitalize()}") from error


@contextmanager
def _unreachable(name: str, advice: str) -> Iterator[None]:
    import av

    try:
        yield
    except av.error.ProtocolNotFoundError as error:
        text = f"{name}: this FFmpeg does not know that kind of address; {UNKNOWN_PROTOCOL}"
        raise OutputError(text) from error
    except (OSError, av.FFmpegError) as error:
        raise OutputError(f"{name} cannot be sent to: {_reason(error)}; {advice}") from error


@contextmanager
def _pipe_ends() -> Iterator[None]:
    """BrokenPipeError passes: a reader that goes away is no error."""
    import av

    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, av.FFmpegError) as error:
        raise OutputError(f"standard output could not be written: {_reason(error)}; see what reads it") from error


def _reason(error: Any) -> str:
    return getattr(error, "strerror", None) or str(error)
