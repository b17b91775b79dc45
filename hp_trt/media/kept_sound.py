"""The sound of a driving video or of speech, kept in a motion file: its packets, copied, and their own times.

The packets lie in a Matroska file, which holds nearly every codec. It counts in milliseconds, and with times so rough a
result would not be the one that the original makes: so the times of the packets are kept beside it, on their own clock.
What a container says of a packet besides, such as how much of its beginning is not heard, is not kept: sound that a
result has to encode anew may then begin with a coder's own silence, a few hundredths of a second of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.foreign import reason
from hp_trt.encoded.encoded_file import LARGEST_BYTES, EncodedFile, is_encoded
from hp_trt.media.clock import begins_s
from hp_trt.media.opening import open_file, open_stream
from hp_trt.media.sound_carrier import CannotCarry, Heading
from hp_trt.media.video import audio_stream, sound_notes

SOUND, TICKS = "sound", "sound_ticks"  # the tensors: a Matroska file, and of each of its packets three numbers
_NONE = -(1 << 63)  # of a packet that has no time
_MOST_TICKS = 1 << 62
_SAME_BYTES = {"fflags": "+bitexact"}  # of the same packets: without it Matroska has random numbers in it
_CODEC_MS = 20  # between packets in the Matroska file, whose times nobody reads
_TIMEOUT_S = 60.0  # of memory, which never waits


@dataclass(frozen=True, kw_only=True)
class KeptSound:
    """Sound that was kept, as `hp_trt.media.audio_track` and live sources take it."""

    name: str  # of the file that holds it, for messages
    content: bytes  # a Matroska file
    ticks: np.ndarray  # (n, 3) int64: of each packet pts, dts and duration, in `time_base`
    time_base: Fraction
    container: str  # FFmpeg's name of what the packets were read from: it decides what of their beginning is heard
    begins_s: Fraction  # where that file begins, on its own clock

    def open(self) -> Any:
        """PyAV's container with one sound, for its owner to close. Raises InputError."""
        opened = open_stream(io.BytesIO(self.content), f"the sound in {self.name}", timeout_s=_TIMEOUT_S, kind="sound")
        if audio_stream(opened) is None or len(opened.streams) != 1:
            opened.close()
            raise InputError(f"the sound in {self.name} is none that can be decoded here; make that file again")
        return opened

    def packets(self, container: Any, stream: Any) -> Iterator[Any]:
        """The packets of what `open` gave, each with its own times; behind them the empty one that ends a demuxer."""
        number = 0
        for packet in container.demux(stream):
            if packet.size:
                if number == len(self.ticks):
                    raise InputError(f"the sound in {self.name} has more packets than times; make that file again")
                pts, dts, duration = (int(tick) for tick in self.ticks[number])
                packet.pts, packet.dts = (None if tick == _NONE else tick for tick in (pts, dts))
                packet.duration, packet.time_base = duration, self.time_base
                number += 1
            yield packet


def keep_sound(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], list[str]]:
    """The sound that a player takes of a video or a file of sound: the tensors to keep, what to say of them in a
    header, and what a user should know. Nothing but a note where it cannot be kept; nothing at all where there is none.

    Raises InputError.
    """
    with open_file(path) as container:
        if not container.streams.audio:
            return {}, {}, []
        stream = audio_stream(container)
        try:
            if stream is None:
                raise CannotCarry("this FFmpeg has no decoder for it")
            content, ticks = _copied(container, stream)
        except CannotCarry as error:
            return {}, {}, [f"the sound of {path.name} is missing in the motion file: {error}"]
        said = {
            "time_base": str(Fraction(stream.time_base)),
            "container": container.format.name,
            "begins_s": str(begins_s(container)),
        }
        return {SOUND: np.frombuffer(content, np.uint8), TICKS: ticks}, said, sound_notes(container, path.name)


def kept_sound(source: Path | str) -> KeptSound | None:
    """The sound in a motion file; None: `source` is no such file. Raises InputError, CannotCarry for one without."""
    if not is_encoded(source):
        return None
    file = EncodedFile(Path(source), "motion")
    found = sound_of(file)
    if found is None:
        raise CannotCarry("the file has none")
    file.check_content()
    return found


def sound_of(file: EncodedFile) -> KeptSound | None:
    """The sound in a motion file, where there is one. Raises InputError for one that cannot be."""
    if SOUND not in file.tensors:
        return None
    file.require_bytes(SOUND)
    file.require(TICKS, "int64", (None, 3))
    with file.reading():
        said = file.about["sound"]
        ticks = file.array(TICKS)
        if ((np.abs(ticks) > _MOST_TICKS) & (ticks != _NONE)).any() or (ticks[:, 2] < 0).any():
            raise ValueError(f"{TICKS} has times that no clock shows")
        return KeptSound(
            name=str(file.path),
            content=file.array(SOUND).tobytes(),
            ticks=ticks,
            time_base=fraction(said["time_base"].text(most=60), least=Fraction(1, 10**9), most=Fraction(10)),
            container=said["container"].text(most=200),
            begins_s=fraction(said["begins_s"].text(most=60), least=Fraction(-(10**9)), most=Fraction(10**9)),
        )


def fraction(text: str, *, least: Fraction, most: Fraction) -> Fraction:
    """What a header says as "1/25". ValueError."""
    above, _, below = text.partition("/")
    if not all(part.lstrip("-").isdecimal() and part.isascii() for part in (above, below or "1")) or below == "0":
        raise ValueError(f"{text!r} is no fraction")
    found = Fraction(int(above), int(below or 1))
    if not least <= found <= most:
        raise ValueError(f"{text} should be {least} to {most}")
    return found


def _copied(container: Any, stream: Any) -> tuple[bytes, np.ndarray]:
    """The packets of the sound `stream` in a Matroska file, and their times. Raises CannotCarry."""
    import av

    heading, rows, kept, size = Heading(stream.codec_context.codec.canonical_name), [], io.BytesIO(), 0
    try:
        with av.open(kept, "w", format="matroska", options=_SAME_BYTES) as output:
            track = output.add_stream_from_template(stream)
            for packet in _demuxed(container, stream):
                if not packet.size:
                    continue
                size += packet.size
                if size > LARGEST_BYTES // 2:
                    raise CannotCarry(f"it has more than {LARGEST_BYTES >> 21} MiB")
                if not stream.codec_context.extradata and heading.differs(packet):
                    raise CannotCarry("it becomes another kind on its way")
                rows.append([_NONE if tick is None else tick for tick in (packet.pts, packet.dts)])
                rows[-1].append(packet.duration or 0)
                packet.time_base, packet.stream = Fraction(1, 1000), track
                packet.pts = packet.dts = _CODEC_MS * len(rows)
                packet.duration = _CODEC_MS
                output.mux(packet)
            if not rows:
                raise CannotCarry("not one of its packets can be read")
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise CannotCarry(f"Matroska does not take it ({reason(error)})") from error
    _check_copy(kept, len(rows))
    return kept.getvalue(), np.array(rows, np.int64).reshape(-1, 3)


def _check_copy(kept: io.BytesIO, packets: int) -> None:
    """As many packets come back as went in, or times would be those of others. Raises CannotCarry."""
    with open_stream(io.BytesIO(kept.getvalue()), "the sound", timeout_s=_TIMEOUT_S, kind="sound") as again:
        found = sum(1 for packet in _demuxed(again, again.streams.audio[0]) if packet.size)
    if found != packets:
        raise CannotCarry(f"Matroska gives {found} of its {packets} packets back")


def _demuxed(container: Any, stream: Any) -> Iterator[Any]:
    """The track's packets, up to where the file is cut off."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            yield next(packets)
        except (StopIteration, av.FFmpegError):
            return
