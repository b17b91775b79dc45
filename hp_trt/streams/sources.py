"""Where driving frames come from: a camera, a file, a stream, standard input.

A source is opened by the thread that asks for it, read and stopped by another, and closed last: packets of sound that
still wait for their pictures belong to it. Times are the source's own and may begin anywhere.

FFmpeg could read cameras too, but waits for a frame without end; OpenCV gives up after 10 s, and there is no sound to
keep in time with.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.errors import InputError
from hp_trt.media.clock import FrameTimes, frame_rate
from hp_trt.media.video import NO_VIDEO_FORMATS, audio_stream, probe, quarter_turns, reason, video_stream
from hp_trt.streams.pipes import PipeReader

STDIN = "-"
_CAMERA = re.compile(r"camera:(.+)|(/dev/video\d+)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
UNKNOWN_PROTOCOL = "use tcp, udp, rtmp, rtsp or http, or a PyAV whose FFmpeg was built with it"
_HIGHEST_RATE = 240  # above it is a clock, not a rate: a browser's recordings say 1000
_USUAL_RATE = Fraction(30)
_CUT_OFF_S = 1  # so much less than a header promised is worth a word


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One driving frame."""

    image: np.ndarray  # (H, W, 3) uint8 RGB, as it is shown: rotation applied; the size may change on the way
    time_s: Fraction  # on the source's clock


@dataclass(frozen=True, kw_only=True)
class SoundPacket:
    """One packet of the source's sound, as PyAV demuxed it."""

    packet: Any
    time_s: Fraction


class Source(Protocol):
    """`read` raises InputError when the source breaks off; `notes` are complete when it has ended."""

    name: str  # as a user should read it
    rate: Fraction  # frames per second, as far as anybody knows
    recorded: bool  # comes as quick as it is read, so that someone has to keep its pace
    sound: Any  # PyAV's stream, or None
    notes: list[str]

    def read(self) -> Iterator[Picture | SoundPacket]: ...

    def close(self) -> None: ...


def open_source(what: str, *, sound: bool, timeout_s: float, stop: threading.Event) -> Source:
    """`what`: camera:0, /dev/video0, a URL, - for standard input, or a file. `sound`: whether anyone will hear it.

    `stop` ends waits on standard input. Raises InputError for what cannot be opened, or does not answer in `timeout_s`.
    """
    camera = _CAMERA.fullmatch(what)
    if camera:
        return Camera(camera[1] or camera[2])
    if what == STDIN:
        return _open_stdin(sound=sound, timeout_s=timeout_s, stop=stop)
    if is_url(what):
        return _open_url(what, sound=sound, timeout_s=timeout_s)
    info = probe(what)
    container = _opened(str(info.path.absolute()), what, timeout_s=timeout_s)
    media = Media(container, what, sound=sound, timeout_s=timeout_s, recorded=True)
    media.rate = info.rate if info.rate <= _HIGHEST_RATE else _USUAL_RATE  # by its times, of which a stream tells none
    return media


def is_url(what: str) -> bool:
    """A place that FFmpeg reaches by a protocol. `http:x.mp4` is a file."""
    return bool(_URL.match(what))


def shown(url: str) -> str:
    """`url` without its password."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


class Media:
    """What FFmpeg can demux."""

    def __init__(
        self,
        container: Any,
        name: str,
        *,
        sound: bool,
        timeout_s: float,
        recorded: bool,
        advice: str = "see why it stopped",
    ) -> None:
        self._container, self._timeout_s, self._advice = container, timeout_s, advice
        self.name, self.recorded = name, recorded
        try:
            self._pictures = video_stream(container, name)
        except InputError:
            container.close()
            raise
        # Decoding frames side by side holds as many back.
        self._pictures.thread_type = "AUTO" if recorded else "SLICE"
        rate = frame_rate(self._pictures)
        self.rate = rate if rate <= _HIGHEST_RATE else _USUAL_RATE
        self.sound = audio_stream(container) if sound else None
        self.notes: list[str] = []
        if sound and container.streams.audio and not self.sound:
            self.notes.append(f"the sound of {name} is missing in the result: this FFmpeg has no decoder for it")
        if self.sound and len(container.streams.audio) > 1:
            self.notes.append(f"{name} has {len(container.streams.audio)} sound tracks: the first is carried")

    def read(self) -> Iterator[Picture | SoundPacket]:
        import av
        from av.video.reformatter import VideoReformatter

        reformat, times = VideoReformatter(), FrameTimes(self._container)
        damaged, last_s, first_s = 0, None, None
        for packet in self._demuxed():
            if packet.stream is self.sound:
                if packet.dts is not None:
                    ticks = packet.pts if packet.pts is not None else packet.dts
                    yield SoundPacket(packet=packet, time_s=Fraction(ticks) * packet.time_base)
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damaged += 1
                continue
            for frame in frames:
                time_s = times.of(frame)
                if time_s is None:
                    time_s = Fraction(0) if last_s is None else last_s + 1 / self.rate
                first_s, last_s = time_s if first_s is None else first_s, time_s
                image = reformat.reformat(frame, format="rgb24").to_ndarray()
                turns = quarter_turns(frame) % 4
                yield Picture(image=np.ascontiguousarray(np.rot90(image, turns)) if turns else image, time_s=time_s)
        if damaged:
            self.notes.append(f"{self.name} is damaged: {damaged} packets could not be decoded and are missing")
        self._note_missing(first_s, last_s)

    def close(self) -> None:
        self._container.close()

    def _demuxed(self) -> Iterator[Any]:
        import av

        packets = self._container.demux(*(s for s in (self._pictures, self.sound) if s is not None))
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.ExitError, TimeoutError) as error:
                raise InputError(
                    f"{self.name} sent nothing for {self._timeout_s:g} s; see what it waits for, or raise --timeout"
                ) from error
            except (av.FFmpegError, OSError) as error:
                raise InputError(f"{self.name} broke off: {reason(error)}; {self._advice}") from error
            yield packet

    def _note_missing(self, first_s: Fraction | None, last_s: Fraction | None) -> None:
        stream = self._pictures
        if not (self.recorded and stream.duration and first_s is not None and last_s is not None):
            return
        missing_s = float(stream.duration * stream.time_base - (last_s - first_s) - 1 / self.rate)
        if missing_s > _CUT_OFF_S:
            self.notes.append(
                f"the pictures of {self.name} end {missing_s:.1f} s before the file should: it is cut off"
            )


class Camera:
    """A camera of this machine, read by OpenCV. Its clock begins when it is opened."""

    recorded = False
    sound = None

    def __init__(self, which: str) -> None:
        import cv2

        device = Path(f"/dev/video{which}" if which.isdecimal() else which)
        number = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(device))
        self.name = f"the camera {device}"
        self.notes: list[str] = []
        if not device.exists():
            there = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none on this machine"
            raise InputError(f"{self.name} is not there; cameras: {there}. Name another, or a file or a URL")
        if not number:
            raise InputError(f"{self.name} is no camera: those are /dev/video0 and so on, and links to them")
        if not os.access(device, os.R_OK | os.W_OK):
            raise InputError(f"{self.name} cannot be read: permission denied; join the group that may (often: video)")
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._capture = cv2.VideoCapture(int(number[1]), cv2.CAP_V4L2)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            self._capture.release()
            raise InputError(f"{self.name} gives no pictures; close what else uses it, or name another")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else _USUAL_RATE

    def read(self) -> Iterator[Picture]:
        import cv2

        start_ns = time.monotonic_ns()
        while True:
            taken, image = self._capture.read()
            if not taken:
                raise InputError(f"{self.name} stopped sending pictures; see that it is still plugged in")
            time_s = Fraction(time.monotonic_ns() - start_ns, 10**9)
            yield Picture(image=cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time_s=time_s)

    def close(self) -> None:
        self._capture.release()


def _open_url(url: str, *, sound: bool, timeout_s: float) -> Media:
    container = _opened(url, shown(url), timeout_s=timeout_s)
    # A stream that goes on has no end to tell; a recording that lies elsewhere has.
    return Media(container, shown(url), sound=sound, timeout_s=timeout_s, recorded=container.duration is not None)


def _open_stdin(*, sound: bool, timeout_s: float, stop: threading.Event) -> Media:
    reader = PipeReader(0, timeout_s=timeout_s, stop=stop)
    try:
        container = _opened(reader, "standard input", timeout_s=timeout_s)
    finally:
        if reader.stopped_by:
            raise reader.stopped_by
    return Media(
        container,
        "standard input",
        sound=sound,
        timeout_s=timeout_s,
        recorded=True,
        advice="send what is read from front to back: mpegts, mkv or y4m, but no mp4 whose index lies at its end",
    )


def _opened(file: Any, name: str, *, timeout_s: float) -> Any:
    import av

    try:
        container = av.open(file, timeout=(timeout_s, timeout_s))
    except (av.error.ExitError, TimeoutError) as error:
        raise InputError(
            f"{name} did not answer within {timeout_s:g} s; see that it sends, or raise --timeout"
        ) from error
    except av.error.ProtocolNotFoundError as error:
        raise InputError(f"{name}: this FFmpeg does not know that kind of address; {UNKNOWN_PROTOCOL}") from error
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{name} cannot be opened as a video: {reason(error)}; "
            "see that the address is right and something sends there"
        ) from error
    if container.format.name.endswith(NO_VIDEO_FORMATS):
        container.close()
        raise InputError(f"{name} is a picture or a text, not a video; name a video, a stream or a camera")
    return container
