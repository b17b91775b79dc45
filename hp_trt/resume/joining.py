"""Chunks joined into one video, without encoding them again, with the sound beside.

Every chunk begins with a picture that needs no other and has the same header, so its packets go into the result as they
are. Their times are counted anew, in frames from the first one on: no chunk's rounding adds to another's. Packets are
read as they are written, so memory does not grow with the length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from engines.errors import OutputError
from hp_trt.media.audio_track import AudioTrack, naming_sound
from hp_trt.media.opening import open_file
from hp_trt.media.sound_carrier import CannotCarry
from hp_trt.media.video_writer import SUFFIXES, time_base

# Frames by which a picture is decoded before it is shown: x264's B-frames may refer to B-frames. Each packet's decoding
# time is its place in the file, less this, whatever an encoder of a chunk of one or two frames says.
_REORDERED = 2
_SILENT = "give the sound as WAV: ffmpeg -i SOUND sound.wav"


def join_chunks(
    files: Sequence[Path],
    path: Path,
    *,
    result: Path,
    rate: Fraction,
    sound: Path | None = None,
    begins_s: Fraction | None = None,
    ticks: Sequence[int] | None = None,
) -> tuple[int, list[str]]:
    """Write `files`, chunks in their order, into `path`, in the container that the name `result` ends in.

    `sound`: the file whose sound goes in; what is at `begins_s` on its clock is heard with the first picture (None:
    what it begins with), and what is heard more than half a second behind the last picture is left out.
    `ticks`: when each frame is shown, in `time_base(rate)`; None: one after the other at `rate`.
    Returns how many frames there are, and what a user should know.
    Raises OutputError that names `result`, OSError, and FFmpeg's own.
    """
    import av

    output = av.open(str(path.absolute()), "w", format=SUFFIXES[result.suffix.lower()])
    track: AudioTrack | None = None
    try:
        with open_file(files[0]) as first:
            template = first.streams.video[0]
            header = template.codec_context.extradata
            pictures = output.add_stream_from_template(template)
        pictures.time_base, pictures.rate = time_base(rate), rate
        track, notes = open_sound(sound, output)
        output.start_encoding()
        if begins_s is None:
            begins_s = track.begins_s if track else Fraction(0)
        packets = _packets(files, header, result, rate)
        frames = _mux(packets, output, pictures, track, result=result, rate=rate, start_s=begins_s, ticks=ticks)
        output.close()
        return frames, [*notes, *(track.notes if track else ())]
    finally:
        with suppress(Exception):  # the disk that is full while writing is full while closing
            output.close()
        if track:
            track.close()


def open_sound(sound: Path | None, output: Any) -> tuple[AudioTrack | None, list[str]]:
    """The track of a sound on its way into an open container; None and a note where it cannot be carried."""
    if sound is None:
        return None, []
    try:
        return AudioTrack(sound, output), []
    except CannotCarry as error:
        return None, [f"the sound of {sound} is missing in the result: {error}"]


def _mux(
    packets: Iterator[Any],
    output: Any,
    pictures: Any,
    track: AudioTrack | None,
    *,
    result: Path,
    rate: Fraction,
    start_s: Fraction,
    ticks: Sequence[int] | None,
) -> int:
    tick_s = time_base(rate)
    period = max(1, round(1 / rate / tick_s))

    def shown(frame: int) -> int:
        """In ticks; of the frames before the first one, which only decoding times are of, one period each."""
        if ticks is None or frame < 0:
            return frame * period
        if frame >= len(ticks):  # the chunks have more frames than the clip: told by who counts them
            return ticks[-1] + (frame - len(ticks) + 1) * period
        return ticks[frame]

    number = 0
    for number, packet in enumerate(packets, 1):
        packet.stream, packet.time_base = pictures, tick_s
        packet.pts, packet.dts, packet.duration = shown(packet.pts), shown(number - 1 - _REORDERED), period
        output.mux(packet)
        if track:
            with naming_sound(result, track, _SILENT):
                track.mux_until(start_s + (shown(number - 1) + period) * tick_s, start_s=start_s)
    if track:
        with naming_sound(result, track, _SILENT):
            track.finish(start_s + (shown(number - 1) + period) * tick_s, start_s=start_s)
    return number


def _packets(files: Sequence[Path], header: bytes | None, result: Path, rate: Fraction) -> Iterator[Any]:
    """Every packet in the order of decoding, its `pts` the number of its frame in the whole."""
    begin = 0
    for path in files:
        with open_file(path) as chunk:
            stream = chunk.streams.video[0]
            if stream.codec_context.extradata != header:
                raise OutputError(
                    f"{result} could not be written: {path} was encoded by another version of x264 than the chunks "
                    "before it; begin anew with --restart"
                )
            count = 0
            for packet in chunk.demux(stream):
                if packet.size:
                    packet.pts = begin + round(packet.pts * stream.time_base * rate)
                    count += 1
                    yield packet
            begin += count
