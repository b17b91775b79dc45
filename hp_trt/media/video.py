"""Reading a video: one RGB frame at a time, each with its own time.

A `VideoReader` can be walked through any number of times; each walk opens the file anew and holds
one frame, whatever the clip's length. Rotation stored in the file is applied. What cannot be decoded is
skipped: a file that is cut off gives the frames it has, and `notes` says so afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from hp_trt.media.clock import FrameTimes, SteadyClock, measured

# FFmpeg opens text as an ANSI terminal, and pictures as one-frame videos.
NO_VIDEO_FORMATS = ("tty", "image2", "_pipe")
_ADVICE = "give an mp4, mov, mkv or webm with a picture track"


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a video's header and first frame say."""

    path: Path
    width: int  # after rotation, as the frames come
    height: int
    rate: Fraction  # frames per second: the mean where the rate varies
    time_base: Fraction  # seconds per tick of the file's clock
    frames: int | None  # promised by the header; None when it does not say
    duration_s: float | None
    audio_codec: str | None  # None: no audio that FFmpeg knows
    has_sound: bool = False  # whether FFmpeg knows it or not
    rate_varies: bool = False  # frames come at all distances
    end_s: float | None = None  # of the last packet, on the file's clock; None: not looked at so far


@dataclass(frozen=True, kw_only=True)
class VideoFrame:
    """One decoded frame. The array belongs to the caller."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    time_s: Fraction  # exact, on the file's clock, which may not begin at 0


class VideoReader:
    """The frames of a video file. Iterate for arrays, `timed` for arrays with their times.

    Raises InputError when made: no such file, no video in it, not one frame to decode.
    """

    def __init__(self, path: Path | str) -> None:
        self.info = probe(path)
        self.notes: list[str] = []  # about the latest complete walk

    def __iter__(self) -> Iterator[np.ndarray]:
        return (frame.image for frame in self.timed())

    def timed(self) -> Iterator[VideoFrame]:
        """Every frame, in order of display; times strictly increase, with the jumps of a broken clock closed."""
        info = self.info
        count, last = 0, None
        clock = SteadyClock(1 / info.rate)
        with _opened(info.path) as container:
            stream = video_stream(container, info.path)
            stream.thread_type = "AUTO"
            damage, times = _Damage(), FrameTimes(container)
            for frame in _decoded(container, stream, damage):
                last = clock.at(times.of(frame))
                count += 1
                yield VideoFrame(image=_rgb(frame, info), time_s=last)
        self.notes = _walk_notes(info, count, last, damage) + _clock_notes(info, clock)


def probe(path: Path | str) -> VideoInfo:
    """Open `path`, decode its first frame, and tell what it is. Raises InputError."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; {_ADVICE}")
    if not path.is_file():
        raise InputError(f"{path} is not a file; {_ADVICE}")
    with _opened(path) as container:
        stream = video_stream(container, path)
        first = next(_decoded(container, stream, _Damage()), None)
        if first is None:
            raise InputError(
                f"{path} has pictures but not one that can be decoded: empty, damaged or cut off; {_ADVICE}"
            )
        turned = quarter_turns(first) % 2
        duration = stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, 10**6)
        audio = audio_stream(container)
        with _opened(path) as again:
            pace = measured(again, again.streams[stream.index])
        return VideoInfo(
            path=path,
            width=first.height if turned else first.width,
            height=first.width if turned else first.height,
            rate=pace.rate,
            rate_varies=pace.varies,
            end_s=pace.end_s,
            time_base=Fraction(stream.time_base),
            frames=stream.frames or None,
            duration_s=float(duration) or None,
            audio_codec=audio.codec_context.codec.canonical_name if audio else None,
            has_sound=bool(container.streams.audio),
        )


def audio_stream(container: Any) -> Any:
    """The first sound that FFmpeg knows how to decode, or None."""
    return next((s for s in container.streams.audio if s.codec_context is not None), None)


def reason(error: BaseException) -> str:
    """What FFmpeg or the system says is wrong, without a number."""
    return getattr(error, "strerror", None) or str(error)


@dataclass
class _Damage:
    packets: int = 0  # that could not be decoded
    cut_off: bool = False  # the file ended before its container did


def _opened(path: Path) -> Any:
    import av

    try:
        container = av.open(str(path.absolute()))  # http:x.mp4 is a file here, not a place
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: permission denied; change its permissions") from error
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{path} is no video that FFmpeg can open ({reason(error)}), or it is cut off; {_ADVICE}"
        ) from error
    if container.format.name.endswith(NO_VIDEO_FORMATS):
        container.close()
        raise InputError(f"{path} is a picture or a text, not a video; {_ADVICE}")
    return container


def video_stream(container: Any, name: Path | str) -> Any:
    """The first pictures that are no cover. Raises InputError, which calls the source `name`."""
    from av.stream import Disposition

    # A music file's cover is a video stream to FFmpeg.
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        found = "only audio" if container.streams.audio else "no picture track"
        raise InputError(f"{name} has {found}; {_ADVICE}")
    return streams[0]


def _decoded(container: Any, stream: Any, damage: _Damage) -> Iterator[Any]:
    """The frames that can be decoded; what cannot is counted in `damage`."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, OSError):
            damage.cut_off = True
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            damage.packets += 1


def quarter_turns(frame: Any) -> int:
    """How often the frame must be turned by 90 degrees, counterclockwise."""
    return round(frame.rotation / 90)


def _rgb(frame: Any, info: VideoInfo) -> np.ndarray:
    turns = quarter_turns(frame)
    width, height = (info.height, info.width) if turns % 2 else (info.width, info.height)
    # A stream may change its size on the way: everything takes the first frame's.
    image = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns % 4 else image


def _walk_notes(info: VideoInfo, count: int, last_s: Fraction | None, damage: _Damage) -> list[str]:
    promised = info.frames or 0
    if count < promised or damage.cut_off or damage.packets:
        of = f" of {promised}" if promised else ""
        return [f"{info.path} is damaged or cut off: the {count}{of} frames that can be decoded are used"]
    ended_s = max(float((last_s or 0) + 1 / info.rate), info.end_s or 0.0)  # sound may outlast the pictures
    missing_s = (info.duration_s or 0.0) - ended_s
    if not promised and missing_s > 1:  # a header without a frame count: only its duration tells
        return [
            f"the pictures of {info.path} end {missing_s:.1f} s before the file should: its {count} frames are used"
        ]
    return []


def _clock_notes(info: VideoInfo, clock: SteadyClock) -> list[str]:
    if not clock.jumps:
        return []
    often = "once" if clock.jumps == 1 else f"{clock.jumps} times"
    return [f"the clock of {info.path} jumps {often}: its frames go on there without a gap"]
