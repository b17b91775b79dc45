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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.errors import InputError
from engines.foreign import reason
from hp_trt.media.clock import FrameTimes, frame_rate
from hp_trt.media.display import Display
from hp_trt.media.opening import open_file, open_stream, video_stream
from hp_trt.media.promise import Delivery, Promise, shortfall
from hp_trt.media.video import audio_stream, probe, sound_notes
from hp_trt.streams.pipes import PipeReader

STDIN = "-"
_CAMERA = re.compile(r"camera:(.+)|(/dev/video\d+)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FILE = "file://"
HIGHEST_RATE = 240  # above it is a clock, not a rate: a browser's recordings say 1000
USUAL_RATE = Fraction(30)
_CUT_OFF_S = 1  # so much less than a header promised is worth a word


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One driving frame."""

    image: np.ndarray  # (H, W, 3) uint8 RGB, as it is shown: turned, with square pixels; the size may change on the way
    time_s: Fraction  # on the source's clock


@dataclass(frozen=True, kw_only=True)
class SoundPacket:
    """One packet of the source's sound, as PyAV demuxed it."""

    packet: Any
    time_s: Fraction
    frames: tuple[Any, ...] | None = None  # what the source has decoded of it already


class Source(Protocol):
    """`read` raises InputError when the source breaks off; `notes` are complete when it has ended."""

    name: str  # as a user should read it
    rate: Fraction  # frames per second, as far as anybody knows
    recorded: bool  # comes as quick as it is read, so that someone has to keep its pace
    sound: Any  # PyAV's stream, or None
    notes: list[str]

    def read(self) -> Iterator[Any]:
        """A `Picture`, or the samples of speech (`hp_trt.streams.speech.Heard`), and each `SoundPacket`."""
        ...

    def close(self) -> None: ...


def open_source(what: str, *, sound: bool, timeout_s: float, stop: threading.Event, playlist: bool = False) -> Source:
    """`what`: camera:0, /dev/video0, a URL, - for standard input, or a file. `sound`: whether anyone will hear it.

    `stop` ends waits on standard input. `playlist`: whether a URL may be an HLS or DASH list of further addresses.
    Raises InputError for what cannot be opened, or does not answer in `timeout_s`.
    """
    camera = _CAMERA.fullmatch(what)
    if camera:
        return Camera(camera_device(what))
    if what == STDIN:
        return _open_stdin(sound=sound, timeout_s=timeout_s, stop=stop)
    if is_url(what) and not what.lower().startswith(_FILE):
        return _open_url(what, sound=sound, timeout_s=timeout_s, playlist=playlist)
    info = probe(local_file(what))
    container = open_file(info.path, timeout_s=timeout_s)
    media = Media(container, what, sound=sound, timeout_s=timeout_s, recorded=True, promise=info.promise)
    media.rate = info.rate if info.rate <= HIGHEST_RATE else USUAL_RATE  # by its times, of which a stream tells none
    return media


def camera_device(what: str) -> Path:
    """The device of a source that is a camera; of any other source its own name as a path."""
    camera = _CAMERA.fullmatch(what)
    which = (camera[1] or camera[2]) if camera else what
    return Path(f"/dev/video{which}" if camera and which.isdecimal() else which)


def is_url(what: str) -> bool:
    """A place that FFmpeg reaches by a protocol. `http:x.mp4` is a file."""
    return bool(_URL.match(what))


def local_file(what: str) -> str:
    """The file that `what` names, which is no other URL."""
    return what[len(_FILE) :] if what.lower().startswith(_FILE) else what


def without_password(url: str) -> str:
    """`url`, for people: without the name and the password in it."""
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
        promise: Promise | None = None,  # of a file
        advice: str = "see why it stopped",
    ) -> None:
        self._container, self._timeout_s, self._advice, self._promise = container, timeout_s, advice, promise
        self.name, self.recorded = name, recorded
        try:
            self._pictures = video_stream(container, name, frame_threads=recorded)
        except InputError:
            container.close()
            raise
        rate = frame_rate(self._pictures)
        self.rate = rate if rate <= HIGHEST_RATE else USUAL_RATE
        self.sound = audio_stream(container) if sound else None
        self.notes: list[str] = []
        if sound and container.streams.audio and not self.sound:
            self.notes.append(f"the sound of {name} is missing in the result: this FFmpeg has no decoder for it")
        if self.sound:
            self.notes += sound_notes(container, name)

    def read(self) -> Iterator[Picture | SoundPacket]:
        display, delivery, times = Display(self._pictures, self.name), Delivery(), FrameTimes(self._container)
        last_s, first_s, shown = None, None, 0
        streams = [stream for stream in (self._pictures, self.sound) if stream is not None]
        for packet in demuxed(self._container, streams, self.name, timeout_s=self._timeout_s, advice=self._advice):
            if packet.stream is self.sound:
                if packet.dts is not None:
                    ticks = packet.pts if packet.pts is not None else packet.dts
                    yield SoundPacket(packet=packet, time_s=Fraction(ticks) * packet.time_base)
                continue
            delivery.take(packet)
            try:
                frames = packet.decode()
            except Exception:  # FFmpeg's own errors, and those of PyAV's for a damaged stream
                delivery.damaged += bool(packet.size)  # an empty one repeats a frame
                continue
            for frame in frames:
                time_s = times.of(frame)
                if time_s is None:
                    time_s = Fraction(0) if last_s is None else last_s + 1 / self.rate
                first_s, last_s, shown = time_s if first_s is None else first_s, time_s, shown + 1
                yield Picture(image=display.rgb(frame), time_s=time_s)
        self.notes.extend(display.notes)
        if self._promise is not None:
            begins_s, end_s = first_s or Fraction(0), (last_s or 0) + 1 / self.rate
            self.notes.extend(
                shortfall(self.name, self._promise, delivery, frames=shown, start_s=begins_s, end_s=end_s)
            )
            return
        if delivery.damaged:
            self.notes.append(
                f"{self.name} is damaged: {delivery.damaged} packets could not be decoded and are missing"
            )
        self._note_missing(first_s, last_s)

    def close(self) -> None:
        self._container.close()

    def _note_missing(self, first_s: Fraction | None, last_s: Fraction | None) -> None:
        stream = self._pictures
        if not (self.recorded and stream.duration and first_s is not None and last_s is not None):
            return
        missing_s = float(stream.duration * stream.time_base - (last_s - first_s) - 1 / self.rate)
        if missing_s > _CUT_OFF_S:
            self.notes.append(
                f"the pictures of {self.name} end {missing_s:.1f} s before the file should: it is cut off"
            )


def demuxed(container: Any, streams: Iterable[Any], name: str, *, timeout_s: float, advice: str) -> Iterator[Any]:
    """The packets of these streams of PyAV's `container`. Raises InputError where it goes silent or breaks off."""
    import av

    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.error.ExitError, TimeoutError) as error:
            raise InputError(
                f"{name} sent nothing for {timeout_s:g} s; see what it waits for, or raise --timeout"
            ) from error
        except Exception as error:
            raise InputError(f"{name} broke off: {reason(error)}; {advice}") from error
        yield packet


class Camera:
    """A camera of this machine, read by OpenCV. Its clock begins when it is opened."""

    recorded = False
    sound = None

    def __init__(self, device: Path) -> None:
        import cv2

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
        self.rate = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else USUAL_RATE

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


def _open_url(url: str, *, sound: bool, timeout_s: float, playlist: bool) -> Media:
    scheme = url.partition("://")[0].lower()
    container = open_stream(url, without_password(url), timeout_s=timeout_s, scheme=scheme, playlist=playlist)
    # A stream that goes on has no end to tell; a recording that lies elsewhere has.
    return Media(
        container, without_password(url), sound=sound, timeout_s=timeout_s, recorded=container.duration is not None
    )


def _open_stdin(*, sound: bool, timeout_s: float, stop: threading.Event) -> Media:
    reader = PipeReader(0, timeout_s=timeout_s, stop=stop)
    try:
        container = open_stream(reader, "standard input", timeout_s=timeout_s)
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
