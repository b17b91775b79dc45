"""The driving video's sound, carried into the result packet by packet.

Copied as it is where the result's container may hold it, encoded to AAC where not. Packets are read only as far as
the pictures have come, so nothing is buffered whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from hp_trt.video import audio_stream

# What players expect inside each container; FFmpeg would let more in.
_COPIED_CODECS = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac"},
    "matroska": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "vorbis", "flac"},
}
# Sound may outlast the picture by this much; a clip that was cut short takes its sound with it.
_OVERHANG_S = Fraction(1, 2)


class AudioTrack:
    """One stream of `source` on its way into `output` (an open PyAV container)."""

    def __init__(self, source: Path, output: Any) -> None:
        import av

        self._output = output
        self._input = av.open(str(source.absolute()))
        self._stream = audio_stream(self._input)
        if self._stream.codec_context.codec.canonical_name in _COPIED_CODECS[output.format.name]:
            self._track = output.add_stream_from_template(self._stream)
            self._packets = self._copied()
        else:
            # Raw sound often names no layout, and more than two channels rarely survive a player.
            layout = "mono" if self._stream.channels == 1 else "stereo"
            self._track = output.add_stream("aac", rate=self._stream.rate, layout=layout)
            self._packets = self._encoded()
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

    def _copied(self) -> Iterator[tuple[Fraction, Any]]:
        for packet in self._demuxed():
            if packet.dts is None:  # the flush packet at the end
                continue
            time = Fraction(packet.pts if packet.pts is not None else packet.dts) * packet.time_base
            packet.stream = self._track
            yield time, packet

    def _encoded(self) -> Iterator[tuple[Fraction, Any]]:
        import av

        for packet in self._demuxed():
            try:
                frames = packet.decode()
            except av.FFmpegError:  # a damaged packet is a moment of silence
                continue
            for frame in frames:
                yield from self._timed(self._track.encode(frame))
        yield from self._timed(self._track.encode(None))

    def _timed(self, packets: list[Any]) -> Iterator[tuple[Fraction, Any]]:
        for packet in packets:
            yield Fraction(packet.pts or 0) * packet.time_base, packet

    def _demuxed(self) -> Iterator[Any]:
        """The track's packets, up to where the file is cut off."""
        import av

        packets = self._input.demux(self._stream)
        while True:
            try:
                yield next(packets)
            except (StopIteration, av.FFmpegError):
                return
