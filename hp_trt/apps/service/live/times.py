"""The driver's times: made to go on before a session sees them, and as they were for whoever gets an answer.

A remote clock may repeat itself, jump or be set back. Pictures and sound are moved together where it does, so that both
stay in step, and each answer says its driver's own time. For one thread.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from fractions import Fraction

import numpy as np

from hp_trt.apps.service.live.sound import SoundBeside, SoundClock
from hp_trt.live.session import LiveFrame
from hp_trt.media.clock import SteadyClock

SPEECH_HZ = 16_000  # of the sound of a portrait that speaks: `LiveFrame.sound`
PERIOD_S = Fraction(1, 25)  # of pictures whose times say nothing, and of speech
_REMEMBERED = 1000  # frames on their way; more are none
_JUMP_S = 5  # of a driver's clock; a shorter one is a pause
_AHEAD_S = 3.0  # sound that may come faster than it is spoken
_US = 10**6

Sound = tuple[np.ndarray, int, int]  # (n,) int16, the time of its first sample in microseconds, and its rate in Hz


class DriverTimes:
    """Of one session. `speaks`: whether sound drives it."""

    def __init__(self, *, speaks: bool, sound_s: float) -> None:
        self._speaks = speaks
        self._clock = SteadyClock(PERIOD_S, longest_s=_JUMP_S)
        self._moved_s = Fraction(0)  # of the pictures' clock, lately
        self._arrived: OrderedDict[Fraction, tuple[int, float]] = OrderedDict()
        self._sound_clock, self._beside = SoundClock(), SoundBeside(sound_s)
        self._sound_begun_s: float | None = None
        self._sound_taken_s = 0.0
        self._too_fast = 0

    @property
    def sound_dropped(self) -> int:
        """Pieces that came faster than anyone speaks, or whose pictures never came."""
        return self._too_fast + self._beside.dropped

    def picture(self, time_us: int, came_s: float | None = None) -> Fraction:
        """When a picture is, for the session. `came_s`: when it came, on the monotonic clock [now]."""
        time_s = Fraction(time_us, _US)
        pts_s = self._clock.at(time_s)
        self._moved_s = pts_s - time_s
        self._arrived[pts_s] = time_us, time.monotonic() if came_s is None else came_s
        while len(self._arrived) > _REMEMBERED:
            self._arrived.popitem(last=False)
        return pts_s

    def sound(self, samples: np.ndarray, hz: int, time_us: int) -> Fraction | None:
        """When samples are that drive the session. None where they do not: they wait for their pictures, or came faster
        than anyone speaks."""
        now_s, time_s, length_s = time.monotonic(), Fraction(time_us, _US), Fraction(len(samples), hz)
        self._sound_begun_s = now_s if self._sound_begun_s is None else self._sound_begun_s
        if self._sound_taken_s + length_s > now_s - self._sound_begun_s + _AHEAD_S:
            self._too_fast += 1
            return None
        self._sound_taken_s += float(length_s)
        if self._speaks:
            return self._sound_clock.at(time_s, length_s)
        self._beside.put(samples, hz, time_s + self._moved_s)
        return None

    def of(self, frame: LiveFrame) -> tuple[int, float]:
        """The time that an animated frame's driver said, in microseconds, and when it came, on the monotonic clock."""
        came_s = frame.ready_s - frame.latency_s
        if self._speaks:
            return max(0, round((frame.pts_s - self._sound_clock.moved_s) * _US)), came_s
        while self._arrived:
            pts_s, found = self._arrived.popitem(last=False)
            if pts_s == frame.pts_s:
                return found
        return 0, came_s

    def sound_of(self, frame: LiveFrame) -> Sound | None:
        """What is heard with an animated frame: its own speech, or the microphone up to its end."""
        if frame.sound is not None:
            samples = np.rint(np.clip(frame.sound, -1, 1) * 32767).astype(np.int16)
            return samples, self.of(frame)[0], SPEECH_HZ
        found = self._beside.until(frame.pts_s + PERIOD_S)
        if found is None:
            return None
        samples, begins_s = found
        return samples, max(0, round((begins_s - self._moved_s) * _US)), self._beside.hz
