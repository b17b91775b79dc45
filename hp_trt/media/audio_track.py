"""The driving video's sound, carried into the result packet by packet.

Copied as it is where the result's container may hold it, encoded to AAC where not. Packets are read only as far as
the pictures have come, so nothing is buffered whole. `SoundCarrier` is the part that does not care where packets
come from; `AudioTrack` gives it those of a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from hp_trt.media.opening import open_file
from hp_trt.media.video import audio_stream

# What players expect inside each container; FFmpeg would let more in.
_COPIED_CODECS = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac"},
    "matroska": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "vorbis", "flac"},
    "mpegts": {"aac", "mp3", "mp2", "ac3", "eac3", "opus"},
    "flv": {"aac", "mp3"},
}
_NEEDS_AAC_HEADER = {"mp4", "mov", "matroska", "flv"}
# Sound may outlast the picture by this much; a clip that was cut short takes its sound with it.
_OVERHANG_S = Fraction(1, 2)


class SoundCarrier:
    """Packets of the sound `stream` on their way into `output` (an open PyAV container of `container_format`)."""

    def __init__(self, stream: Any, output: Any, container_format: str) -> None:
        codec = stream.codec_context.codec.canonical_name
        self._copies = codec in _COPIED_CODECS.get(container_format, ())
        self._filter: Any = None
        if self._copies:
            self._track = output.add_stream_from_template(stream)
            if codec == "aac" and container_format in _NEEDS_AAC_HEADER and not stream.codec_context.extradata:
                self._filter = _aac_without_adts(stream)
        else:
            # Raw sound often names no layout, and more than two channels rarely survive a player.
            layout = "mono" if stream.channels == 1 else "stereo"
            self._track = output.add_stream("aac", rate=stream.rate, layout=layout)

    def carry(self, packet: Any) -> Iterator[tuple[Fraction, Any]]:
        """What `output` should hold of `packet`: when each begins, on the source's clock, and the packet to mux.

        A packet without dts is the one with which a demuxer ends; it gives what the encoder held back.
        """
        return self._copied(packet) if self._copies else self._encoded(packet)

    def end(self) -> Iterator[tuple[Fraction, Any]]:
        """What the encoder holds back, where the source was left before its own end."""
        if not self._copies:
            yield from self._timed(self._track.encode(None))

    def _copied(self, packet: Any) -> Iterator[tuple[Fraction, Any]]:
        if packet.dts is None:
            return
        time_base = packet.time_base
        for part in self._filter.filter(packet) if self._filter else (packet,):
            part.time_base = time_base  # the filter does not say
            part.stream = self._track
            yield Fraction(part.pts if part.pts is not None else part.dts) * time_base, part

    def _encoded(self, packet: Any) -> Iterator[tuple[Fraction, Any]]:
        import av

        try:
            frames = packet.decode()
        except av.FFmpegError:  # a damaged packet is a moment of silence
            return
        for frame in frames:
            yield from self._timed(self._track.encode(frame))
        if packet.dts is None:
            yield from self._timed(self._track.encode(None))

    def _timed(self, packets: list[Any]) -> Iterator[tuple[Fraction, Any]]:
        for packet in packets:
            yield Fraction(packet.pts or 0) * packet.time_base, packet


class AudioTrack:
    """One stream of the file `source` on its way into `output` (an open PyAV container)."""

    def __init__(self, source: Path, output: Any) -> None:
        self._output = output
        self._input = open_file(source)
        self._stream = audio_stream(self._input)
        carrier = SoundCarrier(self._stream, output, output.format.name)
        self._packets = (part for packet in self._demuxed() for part in carrier.carry(packet))
        self._waiting: tuple[Fraction, Any] | None = None

    def mux_until(self, time_s: Fraction) -> None:
        """Write the packets that begin before `time_s` on the driving video's clock."""
        while True:
            if self._waiting is None:
                self._waiting = next(self._packets, None)
            if self._waiting is None or self._waiting[0] >= time_s:
                return
            self._output.mux(self._waiting[1])
            self._waiting = None

    def finish(self, end_s: Fraction) -> None:
        """Write the rest, as far as it belongs to pictures that end at `end_s`."""
        self.mux_until(end_s + _OVERHANG_S)

    def close(self) -> None:
        self._input.close()

    def _demuxed(self) -> Iterator[Any]:
        """The track's packets, up to where the file is cut off."""
        import av

        packets = self._input.demux(self._stream)
        while True:
            try:
                yield next(packets)
            except (StopIteration, av.FFmpegError):
                return


def _aac_without_adts(stream: Any) -> Any:
    """Transport streams say in every packet of AAC what other containers say once, in their header."""
    from av.bitstream import BitStreamFilterContext

    return BitStreamFilterContext("aac_adtstoasc", stream)
