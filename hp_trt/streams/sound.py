"""Sound that waits for its pictures.

A source's thread puts packets in as it meets them; the sink takes those that belong before the picture at hand, however
late that comes. What waits is bounded: where a file keeps sound and pictures far apart the oldest goes, and is counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from hp_trt.media.audio_track import SoundCarrier

_LONGEST_S = 600  # of waiting sound: more than any session holds of pictures
_MOST_BYTES = 64 * 2**20


class WaitingSound:
    """A bounded queue of packets in the order of their times; safe from two threads."""

    def __init__(self, *, longest_s: float = _LONGEST_S, most_bytes: int = _MOST_BYTES) -> None:
        self._longest_s, self._most_bytes = longest_s, most_bytes
        self._packets: deque[tuple[Fraction, Any]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self.lost = 0  # packets that had to go

    def put(self, time_s: Fraction, packet: Any) -> None:
        """Add PyAV's `packet`, which begins at `time_s` on the source's clock."""
        with self._lock:
            self._packets.append((time_s, packet))
            self._bytes += packet.size
            while len(self._packets) > 1 and (
                self._bytes > self._most_bytes or time_s - self._packets[0][0] > self._longest_s
            ):
                self._pop()
                self.lost += 1

    def take_until(self, time_s: Fraction) -> list[Any]:
        """The packets that begin before `time_s`, which are no longer in the queue then."""
        taken = []
        with self._lock:
            while self._packets and self._packets[0][0] < time_s:
                taken.append(self._pop())
        return taken

    def _pop(self) -> Any:
        _, packet = self._packets.popleft()
        self._bytes -= packet.size
        return packet


class LiveSound:
    """The sound `stream`, taken from `waiting` into `output` on a clock that begins with the first picture."""

    def __init__(self, stream: Any, waiting: WaitingSound, output: Any, container_format: str) -> None:
        self._waiting, self._output = waiting, output
        self._carrier = SoundCarrier(stream, output, container_format)
        self._last_dts: int | None = None

    def mux_until(self, time_s: Fraction, *, start_s: Fraction) -> None:
        """Write what begins from `start_s`, which becomes 0, and before `time_s`, both on the source's clock."""
        for packet in self._waiting.take_until(time_s):
            self._mux(self._carrier.carry(packet), start_s)

    def finish(self, end_s: Fraction, *, start_s: Fraction) -> None:
        self.mux_until(end_s, start_s=start_s)
        self._mux(self._carrier.end(), start_s)

    def _mux(self, parts: Iterator[tuple[Fraction, Any]], start_s: Fraction) -> None:
        for time_s, packet in parts:
            if time_s < start_s:
                continue
            shift = round(start_s / packet.time_base)
            dts = (packet.dts if packet.dts is not None else packet.pts) - shift
            if self._last_dts is not None and dts <= self._last_dts:
                continue  # a muxer would refuse what goes back; the pictures' own jump ends the run
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = self._last_dts = dts
            self._output.mux(packet)
