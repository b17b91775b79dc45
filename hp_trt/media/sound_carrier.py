"""Sound on its way from one container into another, packet by packet, wherever packets come from.

Copied as it is where the result's container may hold it, encoded to AAC where not. Which that is is asked twice: a
table says what players expect, and the container itself whether it takes this rate and these channels.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from hp_trt.media.clock import SteadyClock
from hp_trt.media.sound_encoder import SoundEncoder, placed, resampler

# What players expect inside each container; FFmpeg would let more in.
_COPIED_CODECS = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac"},
    "matroska": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "vorbis", "flac"},
    "mpegts": {"aac", "mp3", "mp2", "ac3", "eac3", "opus"},
    "flv": {"aac", "mp3"},
}
_NEEDS_AAC_HEADER = {"mp4", "mov", "matroska", "flv"}
_TRIED = 200  # packets, for one that can be decoded


class CannotCarry(Exception):
    """Why this sound is not in the result, in words that go on from "the sound of X is missing in the result: "."""


class SoundCarrier:
    """Packets of the sound `stream` on their way into `output` (an open PyAV container of `container_format`).

    `copies`: whether packets stay as they are [if they may]. `early`: whether the packet before the first that is heard
    comes along [if the container can say so]. `source`: the format that the packets come from [the stream's container].
    Raises CannotCarry.
    """

    def __init__(
        self,
        stream: Any,
        output: Any,
        container_format: str,
        *,
        copies: bool | None = None,
        early: bool | None = None,
        source: str | None = None,
    ) -> None:
        codec = stream.codec_context.codec.canonical_name
        self._copies = may_be_copied(stream, container_format) if copies is None else copies
        self._early = early
        if early is None:
            self._early = _holds_early(source or stream.container.format.name, container_format, self._copies)
        self._block_s = Fraction(1024, stream.rate or 48_000)  # of a packet that does not say how long it is
        self._filter: Any = None
        self._encoder: SoundEncoder | None = None
        self.damaged = self.carried = 0  # packets: those that nobody can decode, and those that came out
        if self._copies:
            self._track = output.add_stream_from_template(stream)
            self._clock = SteadyClock(self._block_s)
            self._period_s: Fraction | None = None
            self._heading = Heading(codec)
            if codec == "aac" and container_format in _NEEDS_AAC_HEADER and not stream.codec_context.extradata:
                self._filter = _aac_without_adts(stream)
        else:
            if not (stream.rate and stream.channels):
                raise CannotCarry("the file says neither its rate nor its channels")
            self._encoder = SoundEncoder(output, rate=stream.rate, channels=stream.channels)

    def carry(
        self, packet: Any, *, start_s: Fraction, frames: Sequence[Any] | None = None
    ) -> Iterator[tuple[Fraction, Any]]:
        """What `output` should hold of `packet`: when each begins, on the source's clock, and the packet to mux.

        Times increase, with the jumps of the source's clock closed; what is heard before `start_s` is left out. An
        empty packet is the one with which a demuxer ends: it gives what the encoder held back. `frames`: what somebody
        has decoded of the packet already, whose decoder knows one reader alone.
        """
        for time_s, part in self._encoded(packet, frames) if self._encoder else self._copied(packet, start_s):
            self.carried += 1
            if not self._is_before(start_s, time_s, part):
                yield time_s, part

    def end(self) -> Iterator[tuple[Fraction, Any]]:
        """What the encoder holds back, where the source was left before its own end."""
        if self._encoder:
            yield from _timed(self._encoder.end())

    @property
    def changed(self) -> bool:
        """Whether copied sound became another kind, which its track cannot say, and ended there."""
        return self._copies and self._heading.changed

    def _copied(self, packet: Any, start_s: Fraction) -> Iterator[tuple[Fraction, Any]]:
        import av

        if not packet.size or self._heading.differs(packet):
            return
        ticks, time_base = packet.pts if packet.pts is not None else packet.dts, packet.time_base
        given_s = None if ticks is None else Fraction(ticks) * time_base
        time_s = self._clock.at(given_s, period_s=self._period_s)
        self._period_s = Fraction(packet.duration or 0) * time_base or None
        if self._is_before(start_s, time_s, packet):
            return  # here, because the filter's first packet has the header that a container needs
        try:
            parts = self._filter.filter(packet) if self._filter else [packet]
        except (av.FFmpegError, ValueError):
            self.damaged += 1
            return
        for part in parts:
            part.time_base = time_base  # the filter does not say
            part.stream = self._track
            part.pts = part.dts = ticks if given_s == time_s else round(time_s / time_base)  # none is out of order
            yield time_s, part

    def _is_before(self, start_s: Fraction, time_s: Fraction, packet: Any) -> bool:
        """A codec needs the packet before its first to begin without a gap: it stays where a container can hold it."""
        lasts_s = Fraction(packet.duration or 0) * packet.time_base or self._block_s
        return time_s + (lasts_s if self._early else 0) < start_s

    def _encoded(self, packet: Any, frames: Sequence[Any] | None) -> Iterator[tuple[Fraction, Any]]:
        import av

        assert self._encoder is not None
        ends = packet.pts is None and packet.dts is None and not packet.size
        if not packet.size and not ends:  # a pause, as NUT writes it
            return
        try:
            for frame in packet.decode() if frames is None else frames:
                yield from _timed(self._encoder.encode(frame))
        except (av.FFmpegError, ValueError):  # a damaged packet is a moment of silence
            self.damaged += 1
        if ends:
            yield from _timed(self._encoder.end())


class Entry:
    """Where sound enters a result, whose time 0 is that of its first picture."""

    def __init__(self, output: Any) -> None:
        self._output = output
        self._last_dts: int | None = None

    def mux(self, packet: Any, start_s: Fraction) -> None:
        """Write `packet`, whose times are the source's; `start_s` becomes 0."""
        shift = round(start_s / packet.time_base)
        dts = (packet.dts if packet.dts is not None else packet.pts) - shift
        if self._last_dts is not None and dts <= self._last_dts:
            return  # a muxer would refuse what goes back
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = self._last_dts = dts
        self._output.mux(packet)


class Heading:
    """What packets of `codec` say at their beginning of their own rate and channels."""

    def __init__(self, codec: str) -> None:
        self._codec, self._first = codec, b""
        self.changed = False

    def differs(self, packet: Any) -> bool:
        """Whether `packet` is of another kind than the first; one that says nothing is of the same."""
        said = self._said(bytes(memoryview(packet)[:8]) if packet.size >= 8 else b"")
        self._first = self._first or said
        if said and said != self._first:
            self.changed = True
        return bool(said) and said != self._first

    def _said(self, head: bytes) -> bytes:
        if self._codec == "aac" and head[:1] == b"\xff" and head[1] & 0xF6 == 0xF0:  # ADTS
            return bytes([head[2] & 0xFD, head[3] & 0xC0])  # profile, rate, channels
        if self._codec in ("mp3", "mp2") and head[:1] == b"\xff" and head[1] & 0xE0 == 0xE0:
            return bytes([head[1] & 0x1E, head[2] & 0x0C, (head[3] >> 6 == 3) + 1])  # version, layer, rate, mono
        if self._codec == "ac3" and head[:2] == b"\x0b\x77":
            return bytes([head[4] & 0xC0, head[5] & 0xF8, head[6] & 0xE0, 1])  # rate, version, channels
        return b""


def check_decoded(container: Any, stream: Any) -> None:
    """Raise CannotCarry when none of the first 200 packets can be decoded, or nobody can place its channels."""
    import av

    tried = 0
    try:
        for packet in container.demux(stream):
            tried += 1
            try:
                for frame in packet.decode():
                    resampler("mono", frame.sample_rate).resample(placed(frame))
                    return
            except av.FFmpegError as error:
                found: Exception = error
                if tried >= _TRIED:
                    raise CannotCarry(f"none of its first {tried} packets can be decoded ({found})") from error
            except ValueError as error:
                raise CannotCarry(str(error)) from error
    except (av.FFmpegError, OSError):  # cut off
        pass
    raise CannotCarry("not one of its packets can be decoded")


def may_be_copied(stream: Any, container_format: str) -> bool:
    """Whether the container takes this stream as it is: some codecs may have only some rates there."""
    import av

    if stream.codec_context.codec.canonical_name not in _COPIED_CODECS.get(container_format, ()):
        return False
    if not (stream.rate and stream.channels):
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container_format) as tried:
            tried.add_stream_from_template(stream)
            tried.start_encoding()
    except (av.FFmpegError, ValueError, OverflowError):
        return False
    return True


def _holds_early(source: str, container_format: str, copies: bool) -> bool:
    """Whether the result can say that its sound begins a little before its pictures, so that those are at 0."""
    if container_format in ("mp4", "mov"):
        return True
    # Matroska says how much of a track's beginning is not heard: known of what it held before, and of our encoder.
    return container_format == "matroska" and (not copies or source.startswith("matroska"))


def _timed(packets: Iterator[Any]) -> Iterator[tuple[Fraction, Any]]:
    for packet in packets:
        yield Fraction(packet.pts or 0) * packet.time_base, packet


def _aac_without_adts(stream: Any) -> Any:
    """Transport streams say in every packet of AAC what other containers say once, in their header."""
    from av.bitstream import BitStreamFilterContext

    return BitStreamFilterContext("aac_adtstoasc", stream)
