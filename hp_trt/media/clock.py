"""Clocks of files as people have them: how fast pictures really come, and times that go on whatever the file says.

A stream's times may be missing, repeat themselves, go back where recordings were put one after another, or jump ahead
by days because a clock was set. `SteadyClock` keeps every distance that a file can mean, and closes the others.
A header's frame rate may be that of a clock: `frame_rate` is what the header says, `measured` what the times say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

FALLBACK_RATE = Fraction(25)
# No pause of a recording, and more than an mp4 holds between two frames: 2^31 ticks of our finest clock, 11 930 s.
LONGEST_PAUSE_S = 10_000
LONGEST_SLIP_S = 1  # what goes back further is another recording; less is a sloppy clock, or pictures out of order
_SLOWEST, _FASTEST = Fraction(1, 3600), 1000  # frames per second that are a rate
_PAUSE_S = 10  # a longer one says nothing of the rate
_MOST_PACKETS, _MOST_BYTES = 50_000, 2**28  # that are looked through
_IRREGULAR = Fraction(1, 2)  # of a period: who is so far apart keeps no rate


class SteadyClock:
    """A stream's times, made to increase. `period_s` is what lies between two of its frames.

    A step of more than `longest_s` is taken for a jump of the clock. `jumps` counts the places where the file's own
    times could not be kept.
    """

    def __init__(self, period_s: Fraction, *, longest_s: int = LONGEST_PAUSE_S) -> None:
        self._period_s, self._longest_s = period_s, longest_s
        self._moved_s = Fraction(0)
        self._last_s: Fraction | None = None
        self._stuck = False
        self.jumps = 0

    def at(self, time_s: Fraction | None, *, period_s: Fraction | None = None) -> Fraction:
        """When the frame of `time_s` is shown, in seconds; None: the file does not say.

        The first keeps its time. `period_s`: of the frame before, where that is known better.
        """
        last_s, period_s = self._last_s, period_s or self._period_s
        if last_s is None:
            self._last_s = time_s if time_s is not None else Fraction(0)
            return self._last_s
        if time_s is None:
            self._last_s = last_s + period_s
            return self._last_s
        ahead_s = time_s + self._moved_s - last_s
        if not -LONGEST_SLIP_S <= ahead_s <= self._longest_s:
            self._moved_s += period_s - ahead_s
            self.jumps += 1
            ahead_s, self._stuck = period_s, False
        elif ahead_s > 0:
            self._stuck = False
        else:  # half a period leaves room for the next, whose time may be right
            ahead_s = period_s if self._stuck else period_s / 2
            self._stuck = True
        self._last_s = last_s + ahead_s
        return self._last_s


class FrameTimes:
    """When the decoded frames of a container are shown, as far as that says it."""

    def __init__(self, container: Any) -> None:
        # An AVI stores no times. FFmpeg counts its chunks: right for when frames leave the decoder, wrong for pictures
        # that do not come in the order in which they are shown.
        self._counted = _counts_chunks(container)
        self._delay: int | None = None

    def of(self, frame: Any) -> Fraction | None:
        """In seconds, on the container's clock."""
        ticks = frame.pts
        if self._counted and frame.dts is not None:
            if self._delay is None:
                self._delay = frame.dts - (frame.dts if ticks is None else ticks)
            ticks = frame.dts - self._delay
        elif self._counted:  # what the decoder held back to the end
            ticks = None
        return None if ticks is None else Fraction(ticks) * frame.time_base


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How pictures come, by their own times."""

    rate: Fraction  # per second, the mean; pauses of more than 10 s do not count
    varies: bool
    end_s: Fraction | None  # where the last packet of any stream ends, on the file's clock; None: not looked at so far


def begins_s(container: Any) -> Fraction:
    """Where an open file begins on its own clock, in seconds: with whichever of its streams is first; 0: it says not.

    An MP3 begins a little after 0, with what is heard first, and a recording may begin at any time.
    """
    return Fraction(container.start_time or 0, 10**6)


def frame_rate(stream: Any) -> Fraction:
    """Frames per second that a header says, or FFmpeg's guess from the first frames; 25 where neither can be."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and _SLOWEST <= rate <= _FASTEST:
            return Fraction(rate).limit_denominator(100_000)
    return FALLBACK_RATE


def measured(container: Any, stream: Any) -> Pace:
    """The pace of the pictures `stream`, from the times of all packets of `container`, which is at its beginning.

    Reads at most 50 000 packets or 256 MB, and decodes none.
    """
    ticks: list[int] = []
    end_s, packets, bytes_read, whole = Fraction(0), 0, 0, False
    demuxed, counted = container.demux(), _counts_chunks(container)
    while packets < _MOST_PACKETS and bytes_read < _MOST_BYTES:
        try:
            packet = next(demuxed)
        except Exception:  # the end, or damage, which is told when the pictures are read
            whole = True
            break
        packets, bytes_read = packets + 1, bytes_read + packet.size
        tick = packet.dts if counted or packet.pts is None else packet.pts
        if tick is None or not packet.size or not packet.time_base:  # the end, or an empty chunk of an AVI
            continue
        end_s = max(end_s, (tick + (packet.duration or 0)) * packet.time_base)
        if packet.stream_index == stream.index:
            ticks.append(tick)
    rate, varies = _mean(frame_rate(stream), ticks, Fraction(stream.time_base))
    return Pace(rate=rate, varies=varies, end_s=end_s if whole else None)


def _counts_chunks(container: Any) -> bool:
    return bool(container.format.name == "avi")


def _mean(said: Fraction, ticks: list[int], tick_s: Fraction) -> tuple[Fraction, bool]:
    """The mean rate, and whether frames come at all distances; `said` where the times agree with it."""
    steps = [
        step
        for run in _runs(ticks, round(LONGEST_SLIP_S / tick_s))
        for step in _steps(run)
        if step * tick_s <= _PAUSE_S
    ]
    if not steps:
        return said, False
    mean = len(steps) / (sum(steps) * tick_s)
    if not _SLOWEST <= mean <= _FASTEST:
        return said, False
    blur = mean * 2 / sum(steps)  # the first time and the last are rounded to a tick
    varies = (max(steps) - min(steps) - 2) * mean * tick_s > _IRREGULAR
    if not varies:
        usual = [rate for rate in _usual(mean) if abs(rate - mean) <= blur]
        if usual:  # a header may have been guessed from times with the same blur: it only helps to choose
            return min(usual, key=lambda rate: abs(rate - said)), False
        if abs(said - mean) <= blur:
            return said, False
    elif abs(said / mean - 1) < Fraction(1, 1000):
        return said, True
    return mean.limit_denominator(1000), varies


def _runs(ticks: list[int], back: int) -> Iterator[list[int]]:
    """Recordings that were put one after another: each begins more than `back` before what the last one came to."""
    begin, latest = 0, ticks[0] if ticks else 0
    for index, tick in enumerate(ticks):
        if tick < latest - back:
            yield ticks[begin:index]
            begin, latest = index, tick
        latest = max(latest, tick)
    yield ticks[begin:]


def _steps(ticks: list[int]) -> list[int]:
    """From each picture to the next that is shown."""
    shown = sorted(set(ticks))
    return [later - sooner for sooner, later in pairwise(shown)]


def _usual(rate: Fraction) -> Iterable[Fraction]:
    """Rates that cameras have, near `rate`: whole ones, and those of NTSC."""
    yield Fraction(max(1, round(rate)))
    yield Fraction(1000 * max(1, round(rate * 1001 / 1000)), 1001)
