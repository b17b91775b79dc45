"""The thread that takes frames from a source, or the samples of speech, and pushes them into a session.

It keeps a recording's pace, checks that times go on, and ends the session's input when the source ends, breaks off or
is told to stop. What it waits for is the clock (until `stop`), the session (until that is aborted) or the source (which
has a time limit of its own).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hp_trt.media.clock import LONGEST_PAUSE_S, LONGEST_SLIP_S, SteadyClock
from hp_trt.streams.motion_source import Move
from hp_trt.streams.sound import WaitingSound
from hp_trt.streams.sources import Picture, SoundPacket, Source
from hp_trt.streams.speech import Heard

_NUDGE_S = Fraction(1, 90_000)  # the finest step that every container keeps, but matroska
_LONGEST_PAUSE_S = 5  # in a recording's own pace; a longer one is a jump of its clock

_MOST_NOTES = 20  # of a stream that changes all the time


class Feeder:
    """Pushes `source` into `push`, its sound into `sound`; calls `ended` once, whatever happened.

    `error` is what ended it otherwise than by the source's end or `stop`. `notes` are the user's to read.
    """

    def __init__(
        self,
        source: Source,
        *,
        push: Callable[[Any, Fraction], bool],
        ended: Callable[[], None],
        sound: WaitingSound | None,
        paced: bool,
        seconds: float | None,
        stop: threading.Event,
    ) -> None:
        self._source, self._push, self._ended, self._sound = source, push, ended, sound
        self._paced, self._stop = paced, stop
        self._seconds = None if seconds is None else Fraction(str(seconds))  # as it was written: 0.2 is a fifth
        self._start_s: Fraction | None = None
        self._last_s: Fraction | None = None
        self._moved_s = Fraction(0)  # where a jump of the source's clock was closed
        self._heard = SteadyClock(1 / source.rate)  # sound's own
        self._size: tuple[int, ...] = ()
        self._zero_s = 0.0  # what our clock shows when the source's shows 0
        self.reached_end = False  # --seconds are over
        self.error: BaseException | None = None
        self.notes: list[str] = []
        self._thread = threading.Thread(target=self._run, name="hp-trt-feeder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread ended within `timeout_s`, or never began."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for item in self._source.read():
                if self._stop.is_set():
                    break
                if isinstance(item, SoundPacket):
                    if self._sound is not None:
                        self._sound.put(self._heard.at(item.time_s), item.packet, item.frames)
                elif not self._feed(item):
                    break
        except BaseException as error:  # for the thread that waits for our frames
            if not self._stop.is_set():
                self.error = error
        finally:
            self._ended()

    def _feed(self, item: Picture | Heard | Move) -> bool:
        """Whether the next one is wanted."""
        time_s = self._going_on(item.time_s)
        if self._start_s is None:
            self._start_s = time_s
        if self._seconds is not None and time_s - self._start_s >= self._seconds:
            self.reached_end = True
            return False
        if isinstance(item, Picture):
            self._note_size(item, time_s)
        if self._paced and not self._wait_for(time_s):
            return False
        self._last_s = time_s
        self._push(_handed_in(item), time_s)
        return not self._stop.is_set()

    def _going_on(self, time_s: Fraction) -> Fraction:
        """`time_s`, moved a little where a sloppy clock repeats itself.

        What is no pause but another clock is closed: nobody waits for days, and no sink fills them.
        """
        time_s += self._moved_s
        if self._last_s is None:
            return time_s
        ahead_s, period_s = time_s - self._last_s, 1 / self._source.rate
        if -LONGEST_SLIP_S <= ahead_s <= LONGEST_PAUSE_S:
            # Of times that go back a little, the next may be right: half a period leaves room for it.
            return time_s if ahead_s > 0 else self._last_s + (_NUDGE_S if ahead_s >= -period_s else period_s / 2)
        jump = f"{float(ahead_s):.0f} s ahead" if ahead_s > 0 else f"{float(-ahead_s):.0f} s back"
        self._note(f"the times of {self._source.name} jump {jump}: frames go on without a gap")
        self._moved_s -= ahead_s - period_s
        return self._last_s + period_s

    def _note(self, text: str) -> None:
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(text)

    def _note_size(self, picture: Picture, time_s: Fraction) -> None:
        size = picture.image.shape[1::-1]
        if self._size and size != self._size:
            since_s = float(time_s - (self._start_s or 0))
            self._note(
                f"the pictures of {self._source.name} change from {self._size[0]} x {self._size[1]} to "
                f"{size[0]} x {size[1]} after {since_s:.1f} s"
            )
        self._size = size

    def _wait_for(self, time_s: Fraction) -> bool:
        """Wait until our clock shows `time_s`; False when the run ends first."""
        now_s = time.monotonic()
        if self._last_s is None:
            self._zero_s = now_s - float(time_s)
        wait_s = self._zero_s + float(time_s) - now_s
        ahead_s = time_s - (self._last_s or time_s)
        if wait_s > _LONGEST_PAUSE_S and ahead_s > _LONGEST_PAUSE_S:
            self._note(f"the times of {self._source.name} jump {float(ahead_s):.1f} s ahead")
            self._zero_s, wait_s = now_s - float(time_s), 0
        return wait_s <= 0 or not self._stop.wait(wait_s)


def _handed_in(item: Picture | Heard | Move) -> Any:
    """What a session takes of it."""
    if isinstance(item, Heard):
        return item.samples, item.rate
    return item.image if isinstance(item, Picture) else item.frame
