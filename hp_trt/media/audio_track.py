"""The sound of a driving video, or of a file of sound alone, carried into the result packet by packet.

Packets are read only as far as the pictures have come, so nothing is buffered whole. Sound that cannot be carried is
left out and told (`notes`): the pictures are what was asked for, and a result without sound is better than none.
A motion file is one of these files: its sound is the original's (`hp_trt.media.kept_sound`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from engines.errors import OutputError
from engines.foreign import reason
from hp_trt.media.clock import begins_s
from hp_trt.media.kept_sound import kept_sound
from hp_trt.media.opening import open_file
from hp_trt.media.sound_carrier import CannotCarry, Entry, Heading, SoundCarrier, check_decoded, may_be_copied
from hp_trt.media.video import audio_stream, sound_notes

# Sound may outlast the picture by this much; a clip that was cut short takes its sound with it.
_OVERHANG_S = Fraction(1, 2)


class AudioTrack:
    """The sound of the file `source` on its way into `output` (an open PyAV container). Raises CannotCarry."""

    def __init__(self, source: Path, output: Any) -> None:
        self._source, self._kept = source, kept_sound(source)
        self._input = self._opened()
        try:
            self._stream = audio_stream(self._input)
            self._several = sound_notes(self._input, source)
            self._carrier = self._carried_by(output, output.format.name)
        except BaseException:
            self._input.close()
            raise
        self._entry = Entry(output)
        self._packets: Iterator[tuple[Fraction, Any]] | None = None
        self._waiting: tuple[Fraction, Any] | None = None

    @property
    def begins_s(self) -> Fraction:
        """Where its file begins on its own clock, in seconds: time 0 of pictures that are made for the sound."""
        return begins_s(self._input) if self._kept is None else self._kept.begins_s

    @property
    def kind(self) -> str:
        """What a message calls this sound."""
        stream = self._stream
        return f"{stream.codec_context.codec.canonical_name}, {stream.rate} Hz, {_channels(stream.channels)}"

    @property
    def notes(self) -> list[str]:
        """What a user should know, once the clip is written."""
        if not self._carrier.carried and self._carrier.damaged:
            return [f"the sound of {self._source} is missing in the result: none of its packets can be used"]
        notes = list(self._several)
        if self._carrier.damaged:
            notes.append(f"the sound of {self._source} is damaged: {self._carrier.damaged} packets of it are silent")
        return notes

    def mux_until(self, time_s: Fraction, *, start_s: Fraction) -> None:
        """Write the packets that begin before `time_s`; `start_s` becomes 0. Both on the driving video's clock."""
        if self._packets is None:
            read = self._packets_of(self._input, self._stream)
            self._packets = (part for packet in read for part in self._carrier.carry(packet, start_s=start_s))
        while True:
            if self._waiting is None:
                self._waiting = next(self._packets, None)
            if self._waiting is None or self._waiting[0] >= time_s:
                return
            self._entry.mux(self._waiting[1], start_s)
            self._waiting = None

    def finish(self, end_s: Fraction, *, start_s: Fraction) -> None:
        """Write the rest, as far as it belongs to pictures that end at `end_s`."""
        self.mux_until(end_s + _OVERHANG_S, start_s=start_s)

    def close(self) -> None:
        self._input.close()

    def _opened(self) -> Any:
        return open_file(self._source) if self._kept is None else self._kept.open()

    def _packets_of(self, container: Any, stream: Any) -> Iterator[Any]:
        return _demuxed(container, stream) if self._kept is None else self._kept.packets(container, stream)

    def _carried_by(self, output: Any, container_format: str) -> SoundCarrier:
        """Copied, unless it becomes another kind on the way: a track has one header."""
        import av

        stream = self._stream
        if stream is None:
            known = self._input.streams.audio
            raise CannotCarry("this FFmpeg has no decoder for it" if known else "the file has none")
        copies = may_be_copied(stream, container_format) and not self._changes()
        if not copies:
            with self._opened() as ahead:
                check_decoded(ahead, ahead.streams[stream.index])
        try:
            came_in = None if self._kept is None else self._kept.container
            return SoundCarrier(stream, output, container_format, copies=copies, source=came_in)
        except (av.FFmpegError, ValueError, OverflowError) as error:
            raise CannotCarry(f"{self.kind} cannot be encoded ({reason(error)})") from error

    def _changes(self) -> bool:
        heading = Heading(self._stream.codec_context.codec.canonical_name)
        if self._stream.codec_context.extradata or self._kept is not None:
            return False
        with open_file(self._source) as ahead:
            return any(heading.differs(packet) for packet in _demuxed(ahead, ahead.streams[self._stream.index]))


@contextmanager
def naming_sound(path: Path, track: AudioTrack, advice: str) -> Iterator[None]:
    """Where the container of the result `path` refuses the sound of `track` in the block, an OutputError says so.

    What the disk refuses passes. `advice`: what to do then.
    """
    import av

    try:
        yield
    except (av.FFmpegError, ValueError, OverflowError) as error:
        if getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise  # the disk's
        raise OutputError(
            f"{path} could not be written: it does not take the sound ({track.kind}): {reason(error)}; {advice}"
        ) from error


def _demuxed(container: Any, stream: Any) -> Iterator[Any]:
    """The track's packets, up to where the file is cut off."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            yield next(packets)
        except (StopIteration, av.FFmpegError):
            return


def _channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")
