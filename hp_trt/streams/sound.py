"""Sound that waits for its pictures.

A source's thread puts packets in as it meets them; the sink takes those that belong before the picture at hand, however
late that comes. What waits is bounded: where a file keeps sound and pictures far apart the oldest goes, and is counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from hp_trt.media.sound_carrier import Entry, SoundCarrier

Frames = Sequence[Any] | None  # of a packet that somebody has decoded
_LONGEST_S = 600  # of waiting sound: more than any session holds of pictures
_MOST_BYTES = 64 * 2**20


class WaitingSound:
    """A bounded queue of packets in the order of their times; safe from two threads."""

    def __init__(self, *, longest_s: float = _LONGEST_S, most_bytes: int = _MOST_BYTES) -> None:
        self._longest_s, self._most_bytes = longest_s, most_bytes
        self._packets: deque[tuple[Fraction, Any, Frames]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self.lost = 0  # packets that had to go

    def put(self, time_s: Fraction, packet: Any, frames: Frames = None) -> None:
        """Add PyAV's `packet`, which begins at `time_s` on the source's clock; `frames`: where they are decoded."""
        with self._lock:
            self._packets.append((time_s, packet, frames))
            self._bytes += packet.size
            while len(self._packets) > 1 and (
                self._bytes > self._most_bytes or time_s - self._packets[0][0] > self._longest_s
            ):
                self._pop()
                self.lost += 1

    def take_until(self, time_s: Fraction) -> list[tuple[Any, Frames]]:
        """The packets that begin before `time_s`, which are no longer in the queue then, and their frames."""
        taken = []
        with self._lock:
            while self._packets and self._packets[0][0] < time_s:
                taken.append(self._pop())
        return taken

    def _pop(self) -> tuple[Any, Frames]:
        _, packet, frames = self._packets.popleft()
        self._bytes -= packet.size
        return packet, frames


class LiveSound:
    """The sound `stream`, taken from `waiting` into `output` on a clock that begins with the first picture.

    Raises CannotCarry.
    """

    def __init__(self, stream: Any, waiting: WaitingSound, output: Any, container_format: str) -> None:
        self._waiting = waiting
        # An mp4 that must be playable at any moment has no list yet that says where its sound is entered.
        early = False if container_format in ("mp4", "mov") else None
        self._carrier = SoundCarrier(stream, output, container_format, early=early)
        self._entry = Entry(output)

    @property
    def notes(self) -> list[str]:
        """What became of sound that could not be carried, a line each."""
        found = []
        if self._carrier.changed:
            found.append("the sound changes its rate or its channels on the way: it ends there")
        if self._carrier.damaged:
            kept = "silent" if self._carrier.carried else "all that there are: the result has no sound"
            found.append(f"packets of sound that cannot be decoded: {self._carrier.damaged}, {kept}")
        return found

    def mux_until(self, time_s: Fraction, *, start_s: Fraction) -> None:
        """Write what begins from `start_s`, which becomes 0, and before `time_s`, both on the source's clock."""
        for packet, frames in self._waiting.take_until(time_s):
            self._mux(self._carrier.carry(packet, start_s=start_s, frames=frames), start_s)

    def finish(self, end_s: Fraction, *, start_s: Fraction) -> None:
        self.mux_until(end_s, start_s=start_s)
        self._mux(self._carrier.end(), start_s)

    def _mux(self, parts: Iterator[tuple[Fraction, Any]], start_s: Fraction) -> None:
        for _, packet in parts:
            self._entry.mux(packet, start_s)
