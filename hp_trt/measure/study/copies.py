"""What raters are shown: copies that say nothing of where they come from.

A result is copied packet by packet, so that raters see what its maker wrote, and its file says nothing else: no title,
no credentials, no encoder's settings, no sound. What is heard is the driver's, the same beside every contender. Sources
and drivers are there for comparison alone: they are turned upright, made smaller and encoded again, as browsers show
them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import HpTrtError, InputError
from engines.foreign import foreign
from engines.safe_output import refusal, refused_by_disk
from hp_trt.media.audio_track import AudioTrack
from hp_trt.media.clock import begins_s
from hp_trt.media.images import load_image
from hp_trt.media.opening import open_file, video_stream
from hp_trt.media.sound_carrier import CannotCarry
from hp_trt.media.sound_file import open_sound, sound_stream
from hp_trt.media.video import VideoReader, probe
from hp_trt.media.video_writer import VideoWriter

PICTURE_PX, DRIVER_PX = 1024, 720  # the longer side of a source's copy and of a driver's, at most
_SHOWN = ("yuv420p", "yuvj420p")  # what every browser shows of H.264
_HEARD = ("aac", "mp3", "opus")
_H264 = "convert it: ffmpeg -i IN -c:v libx264 -crf 14 -pix_fmt yuv420p OUT.mp4"
_NO_SETTINGS = "filter_units=remove_types=6"  # x264 writes its settings into such units (SEI)
_NEVER_S = Fraction(10**6)


@dataclass(frozen=True)
class Seen:
    """A clip that was looked at."""

    path: Path
    seconds: float
    size: tuple[int, int]  # (width, height) as it is shown; of sound (0, 0)


def look_at_video(path: Path) -> Seen:
    """Raises InputError for what is no video, or has not one picture that can be decoded."""
    info = probe(path)
    return Seen(path, _seconds(path) or float(1 / info.rate), (info.width, info.height))


def look_at_result(path: Path) -> Seen:
    """As `look_at_video`, of a video that browsers show as it is. Raises InputError for any other."""
    seen = look_at_video(path)
    with open_file(path) as container:
        coder = video_stream(container, path).codec_context
        kind, pixels = coder.codec.canonical_name, coder.pix_fmt
    if kind != "h264" or pixels not in _SHOWN:
        raise InputError(
            f"{path} is {kind} in {pixels}, and a result is shown as it is, which browsers can of H.264 in yuv420p; "
            f"{_H264}"
        )
    return seen


def look_at_sound(path: Path) -> Seen:
    """Raises InputError for what has no sound."""
    with open_sound(path) as container, foreign(f"{path} is damaged sound", "save it again, or use another one"):
        stream, first_s, end_s = sound_stream(container, path), begins_s(container), Fraction(0)
        for packet in container.demux(stream):
            if packet.pts is not None:
                end_s = max(end_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
    return Seen(path, float(max(end_s - first_s, Fraction(0))), (0, 0))


def _seconds(path: Path) -> float:
    """From the first picture's time to the end of the last, by the packets; nothing is decoded."""
    with open_file(path) as container, foreign(f"{path} is a damaged video", "save it again, or use another one"):
        stream = video_stream(container, path)
        ticks = [packet.pts for packet in container.demux(stream) if packet.pts is not None and packet.size]
        if len(ticks) < 2:
            return 0.0
        whole = Fraction(max(ticks) - min(ticks)) * stream.time_base
        return float(whole * len(ticks) / (len(ticks) - 1))  # the last picture lasts as the others do


def copy_picture(source: Path, target: Path) -> None:
    """Write `source` as a PNG, upright, of at most `PICTURE_PX` a side."""
    from PIL import Image

    Image.fromarray(_smaller(load_image(source), PICTURE_PX)).save(target, format="PNG")


def copy_driver(source: Path, target: Path) -> list[str]:
    """Write the video `source` as an mp4 with its sound, upright, of at most `DRIVER_PX` a side. Notes, a line each."""
    reader = VideoReader(source)
    info = reader.info
    height, width = _smaller(np.zeros((info.height, info.width, 1), np.uint8), DRIVER_PX).shape[:2]
    with VideoWriter(target, width=width, height=height, driving=info) as writer:
        for frame in reader.timed():
            writer.write(_smaller(frame.image, DRIVER_PX), frame.time_s)
    with open_file(target) as container:
        codecs = [stream.codec_context.codec.canonical_name for stream in container.streams.audio]
    unheard = [f"the sound of {source} is {name}, which browsers do not play" for name in codecs if name not in _HEARD]
    return [*reader.notes, *writer.notes, *unheard]


def copy_sound(source: Path, target: Path) -> list[str]:
    """Write the sound of `source` as an m4a. Notes, a line each."""
    import av

    with (
        _copying(target, f"{source} cannot be written as sound that browsers play", "save it again as a wav"),
        av.open(os.fspath(target), "w", format="mp4") as made,
    ):
        try:
            track = AudioTrack(source, made)
        except CannotCarry as error:
            raise InputError(f"{source} cannot be played beside a result: {error}; save it as a wav") from error
        try:
            made.start_encoding()
            track.mux_until(_NEVER_S, start_s=track.begins_s)
        finally:
            track.close()
    return track.notes


def copy_result(source: Path, target: Path) -> None:
    """Write the pictures of `source`, packet by packet, into an mp4. Raises InputError where that would look otherwise,
    and for a damaged one."""
    import av
    from av.bitstream import BitStreamFilterContext

    with (
        _copying(target, f"{source} cannot be copied into an mp4", _H264),
        open_file(source) as found,
        av.open(os.fspath(target), "w", format="mp4", options={"movflags": "+faststart"}) as made,
    ):
        stream = video_stream(found, source)
        track = made.add_stream_from_template(stream)
        sieve = BitStreamFilterContext(_NO_SETTINGS, stream, track)
        first: int | None = None
        for packet in found.demux(stream):
            ends = packet.pts is None and packet.dts is None and not packet.size
            if not packet.size and not ends:  # a pause
                continue
            for part in sieve.filter(None if ends else packet):
                first = _moved(part, stream.time_base, first)
                part.stream = track
                made.mux(part)
    _check_alike(source, target)


@contextmanager
def _copying(target: Path, what: str, advice: str) -> Iterator[None]:
    """What a source's reader or the container refuses is told as `foreign` does, what the disk refuses as it is."""
    with foreign(what, advice):
        try:
            yield
        except HpTrtError:
            raise
        except Exception as error:
            if refused_by_disk(error):
                raise refusal(target, error, left="Nothing was left behind") from error
            raise


def _moved(packet: Any, time_base: Fraction, first: int | None) -> int | None:
    """Give a packet times whose first picture is at 0; the time of that."""
    packet.time_base = time_base
    if first is None:  # the first packet is the first picture, of whatever is decoded later
        first = packet.pts
    packet.pts = None if packet.pts is None else packet.pts - (first or 0)
    packet.dts = None if packet.dts is None else packet.dts - (first or 0)
    return first


def _check_alike(source: Path, target: Path) -> None:
    """Every picture of both, decoded, is the same, and nothing is to be said of them."""
    shown = VideoReader(source)
    try:
        copied = iter(VideoReader(target))
        alike = all(one is not None and np.array_equal(one, other) for one, other in zip_longest(shown, copied))
    except InputError:  # its name is nobody's
        alike = False
    if not alike:
        raise InputError(
            f"{source} looks otherwise once its pictures alone are copied, so what its file says beside them matters; "
            f"{_H264}"
        )
    if shown.notes:
        raise InputError(f"{shown.notes[0]}, and raters would grade that; make {source} again")


def _smaller(image: np.ndarray, most_px: int) -> np.ndarray:
    """(H, W, C), its longer side at most `most_px`."""
    longer = max(image.shape[:2])
    if longer <= most_px:
        return image
    import cv2

    height, width = (max(1, round(side * most_px / longer)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1)
