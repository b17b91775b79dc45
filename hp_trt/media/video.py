"""Reading a video: one RGB frame at a time, each with its own time.

A `VideoReader` can be walked through any number of times; each walk opens the file anew and holds
one frame, whatever the clip's length. Frames come as they are shown: turned, mirrored, with square pixels, and of one
size, the first one's. What cannot be decoded is skipped: a file that is cut off gives the frames it has, and `notes`
says so afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.media.clock import FrameTimes, SteadyClock, measured
from hp_trt.media.decoding import decoded
from hp_trt.media.display import Display
from hp_trt.media.nvdec import Pictures, nvdec_pictures
from hp_trt.media.opening import ADVICE, open_file, shown_first, video_stream
from hp_trt.media.pixel_limit import VIDEO_BYTES, most_pixels
from hp_trt.media.promise import Delivery, Promise, promise_of, shortfall


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a video's header and first frame say."""

    path: Path
    width: int  # as the frames are shown: turned, with square pixels
    height: int
    rate: Fraction  # frames per second: the mean where the rate varies
    time_base: Fraction  # seconds per tick of the file's clock
    promise: Promise
    audio_codec: str | None  # None: no audio that FFmpeg knows
    has_sound: bool = False  # whether FFmpeg knows it or not
    rate_varies: bool = False  # frames come at all distances

    @property
    def frames(self) -> int | None:
        """As many as there will be; None: the file does not say."""
        return self.promise.frames


@dataclass(frozen=True, kw_only=True)
class VideoFrame:
    """One decoded frame. The array belongs to the caller."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    time_s: Fraction  # exact, on the file's clock, which may not begin at 0


class VideoReader:
    """The frames of a video file. Iterate for arrays, `timed` for arrays with their times.

    `nvdec`: the GPU that decodes, with the same frames; None: the CPU.
    Raises InputError when made: no such file, no video in it, not one frame to decode, none that this GPU decodes.
    """

    def __init__(self, path: Path | str, *, nvdec: int | None = None) -> None:
        self.info, self._nvdec = probe(path), nvdec
        self.notes: list[str] = []  # about the latest complete walk
        if nvdec is not None:
            with self._opened(Delivery()):  # what is refused is told now
                pass

    def __iter__(self) -> Iterator[np.ndarray]:
        return (frame.image for frame in self.timed())

    def timed(self) -> Iterator[VideoFrame]:
        """Every frame, in order of display; times strictly increase, with the jumps of a broken clock closed."""
        info = self.info
        count, first, last = 0, None, None
        clock, delivery = SteadyClock(1 / info.rate), Delivery()
        with self._opened(delivery) as opened:
            display, times = opened.display, FrameTimes(opened.container)
            for frame in opened.frames:
                last = clock.at(times.of(frame))
                first = last if first is None else first
                count += 1
                yield VideoFrame(image=display.rgb(frame, (info.width, info.height)), time_s=last)
        end_s = (last or 0) + 1 / info.rate
        short = shortfall(info.path, info.promise, delivery, frames=count, start_s=first or Fraction(0), end_s=end_s)
        self.notes = [*display.notes, *short, *_clock_notes(info, clock)]

    @contextmanager
    def _opened(self, delivery: Delivery) -> Iterator[Pictures]:
        path = self.info.path
        if self._nvdec is not None:
            with nvdec_pictures(path, self._nvdec, delivery) as pictures:
                yield pictures
            return
        with open_file(path) as container:
            stream = video_stream(container, path)
            frames = decoded(container, stream, delivery)
            yield Pictures(container=container, display=Display(stream, path), frames=frames)


def probe(path: Path | str) -> VideoInfo:
    """Open `path`, decode its first frame, and tell what it is. Raises InputError."""
    path = Path(path)
    with open_file(path) as container, foreign(f"{path} is a damaged video", ADVICE):
        stream = video_stream(container, path, frame_threads=False)
        promise = promise_of(container, stream)
        display = Display(stream, path)
        first = next(decoded(container, stream, Delivery()), None)
        if first is None:
            raise InputError(
                f"{path} has pictures but not one that can be decoded: empty, damaged or cut off, or of more than "
                f"{most_pixels(VIDEO_BYTES) // 10**6} megapixels; {ADVICE}"
            )
        width, height = display.size(first)
        audio = audio_stream(container)
        with open_file(path) as again:
            pace = measured(again, again.streams[stream.index])
        return VideoInfo(
            path=path,
            width=width,
            height=height,
            rate=pace.rate,
            rate_varies=pace.varies,
            time_base=Fraction(stream.time_base),
            promise=replace(promise, end_s=pace.end_s),
            audio_codec=audio.codec_context.codec.canonical_name if audio else None,
            has_sound=bool(container.streams.audio),
        )


def audio_stream(container: Any) -> Any:
    """The sound that a player takes, of what FFmpeg knows how to decode; None where there is none."""
    known = [stream for stream in container.streams.audio if stream.codec_context is not None]
    return shown_first(known) if known else None


def sound_notes(container: Any, name: object) -> list[str]:
    """Which of several sounds is carried, a line; none where there is one."""
    tracks = container.streams.audio
    if len(tracks) < 2 or (taken := audio_stream(container)) is None:
        return []
    which = "first" if taken is tracks[0] else f"one that it names as its own, number {tracks.index(taken) + 1},"
    return [f"{name} has {len(tracks)} sound tracks: the {which} is carried"]


def _clock_notes(info: VideoInfo, clock: SteadyClock) -> list[str]:
    if not clock.jumps:
        return []
    often = "once" if clock.jumps == 1 else f"{clock.jumps} times"
    return [f"the clock of {info.path} jumps {often}: its frames go on there without a gap"]
