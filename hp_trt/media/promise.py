"""How many frames a video promises, and whether it has kept its word.

A header's own count is often wrong without anything being amiss: an edit list hides frames that the file still has (a
cut by stream copy), and an AVI counts empty chunks, which repeat a frame. The index lists what is really there to be
shown. And a header may simply lie: a file has fewer frames than bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_CUT_OFF_S = 1  # so much less than a header promised is worth a word


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What stands in a file's header."""

    frames: int | None = None  # to be shown; None: it does not say
    listed: bool = False  # each of them by the index, so that the number is true of the whole file
    duration_s: Fraction | None = None
    end_s: Fraction | None = (
        None  # of the last packet, of sound too, which may outlast the pictures; None: not looked at
    )


def promise_of(container: Any, stream: Any) -> Promise:
    """Of a file that was just opened, and its stream of pictures."""
    duration = stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, 10**6)
    frames, listed = _frames(stream, container.size)
    return Promise(frames=frames, listed=listed, duration_s=duration or None)


def _frames(stream: Any, file_bytes: int) -> tuple[int | None, bool]:
    counted = stream.frames
    if counted <= 0:
        return None, False
    entries = getattr(stream, "index_entries", None)  # PyAV has it since version 17
    if entries is None:
        known = stream.duration and stream.average_rate
        lasting = round(stream.duration * stream.time_base * stream.average_rate) if known else counted
        return min(counted, lasting) if counted <= file_bytes else None, False
    # An AVI that was cut off has lost its index, and FFmpeg lists only what it has seen.
    if len(entries) > 1 or counted == 1:
        return sum(1 for entry in entries if entry.size and not entry.is_discard) or None, True
    return counted if counted <= file_bytes else None, False


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


def shortfall(
    name: object, promise: Promise, delivery: Delivery, *, frames: int, start_s: Fraction, end_s: Fraction
) -> list[str]:
    """What a user should know of a file of which `frames` came, from `start_s` until `end_s` on its clock.

    A line, or none.
    """
    if delivery.cut_off or delivery.damaged or delivery.packets < (promise.frames or 0):
        of = f" of {promise.frames}" if promise.frames else ""
        return [f"{name} is damaged or cut off: the {frames}{of} frames that can be decoded are used"]
    # A duration is counted from 0 where times begin later (Matroska), from the first where they begin below 0.
    lasted_s = max(end_s, promise.end_s or end_s) - min(start_s, Fraction(0))
    missing_s = float((promise.duration_s or 0) - lasted_s)
    if not promise.frames and missing_s > _CUT_OFF_S:  # a header without a frame count: only its duration tells
        return [f"the pictures of {name} end {missing_s:.1f} s before the file should: its {frames} frames are used"]
    return []
