"""How many frames a video promises, and whether it has kept its word.

A header's own count is often wrong without anything being amiss: an edit list hides frames that the file still has (a
cut by stream copy), and an AVI counts empty chunks, which repeat a frame. The index lists what is really there to be
shown. And a header may simply lie: a file has fewer frames than bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Promise:
    """What stands in a file's header."""

    frames: int | None = None  # None: it does not say
    listed: bool = False  # each of them by the index, so that the number is true of the whole file


UNKNOWN = Promise()


def promise_of(stream: Any, file_bytes: int) -> Promise:
    """Of a stream of pictures that was just opened, in a file of so many bytes."""
    counted = stream.frames
    if not counted > 0:
        return UNKNOWN
    entries = getattr(stream, "index_entries", None)  # PyAV has it since version 17
    if entries is None:
        known = stream.duration and stream.average_rate
        lasting = round(stream.duration * stream.time_base * stream.average_rate) if known else counted
        return Promise(min(counted, lasting) if counted <= file_bytes else None)
    # An AVI that was cut off has lost its index, and FFmpeg lists only what it has seen.
    if len(entries) > 1 or counted == 1:
        shown = sum(1 for entry in entries if entry.size and not entry.is_discard)
        return Promise(shown or None, listed=True)
    return Promise(counted if counted <= file_bytes else None)


@dataclass
class Delivery:
    """What came of it, packet by packet."""

    packets: int = 0  # whole ones, with pictures to be shown
    damaged: int = 0  # that could not be decoded
    cut_off: bool = False  # the file ended before its container did

    def take(self, packet: Any) -> None:
        """A packet as it was demuxed."""
        if packet.size and not packet.is_discard and not packet.is_corrupt:  # FFmpeg's word for one cut short
            self.packets += 1

    def falls_short(self, promise: Promise) -> bool:
        """Whether something that was promised is missing or broken."""
        return bool(self.cut_off or self.damaged or self.packets < (promise.frames or 0))
