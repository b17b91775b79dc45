"""An engine without networks: real live sessions over streams that make a picture brighter."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from engines.errors import FaceNotFound
from hp_trt.live.session import LiveSession
from hp_trt.media.portrait import Portrait
from runtime.stages import Stages
from tests.hp_trt.live.fake_stream import WINDOW, FakeStream

NO_FACE = 7  # the level of a portrait without one


def picture(level: int, size: int = 32) -> np.ndarray:
    return np.full((size, size, 3), level, np.uint8)


@dataclass
class SpeakingStream(FakeStream):
    """Sound of 16 kHz moves it: a frame is 640 samples, as bright as they are loud."""

    left: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int16))
    next_s: Fraction | None = None

    def taken(self, item, pts_s, now_s, number):
        samples, hz = item
        samples = samples[(np.arange(round(len(samples) * 16_000 / hz)) * (hz / 16_000)).astype(int)]
        self.next_s = pts_s if self.next_s is None else self.next_s
        self.left = np.concatenate([self.left, samples])
        frames = []
        while len(self.left) >= 640:
            frames.append((self.left[:640], self.next_s))
            self.left, self.next_s = self.left[640:], self.next_s + Fraction(1, 25)
        return frames

    def sound(self, item):
        return (item / 32768).astype(np.float32)

    def see(self, item, index):
        return picture(int(np.abs(item).max()) // 256)


class FakeEngine:
    """`before_denoise` is called for each window; `opening` for each session."""

    def __init__(
        self,
        *,
        driver: str = "video",
        before_denoise: Callable[[], Any] = lambda: None,
        opening: Callable[[], Any] = lambda: None,
        queue: int = 2 * WINDOW,
        paste: Callable[[np.ndarray], np.ndarray] = lambda crop: crop,
    ) -> None:
        self.driver, self._before, self._opening, self._queue, self._paste = (
            driver,
            before_denoise,
            opening,
            queue,
            paste,
        )
        self.sessions: list[LiveSession] = []
        self.wishes: list[Any] = []

    def open(self, portrait, wishes) -> LiveSession:
        self._opening()
        stream = (SpeakingStream if self.driver == "audio" else FakeStream)(before_denoise=self._before)
        self.wishes.append(wishes)
        self.sessions.append(
            LiveSession(
                stream,
                self.portrait(portrait),
                opener=self,
                policy="drop-oldest",
                queue_in=self._queue,
                queue_out=2 * self._queue,
                stages=Stages(),
            )
        )
        return self.sessions[-1]

    def portrait(self, given) -> Portrait:
        """A portrait whose level is added to every frame."""
        if isinstance(given, Portrait):
            return given
        level = int(np.asarray(given)[0, 0, 0])
        if level == NO_FACE:
            raise FaceNotFound("no face was found in the portrait; give a picture with one face")
        return Portrait(image=given, path=None, notes=(), paste=self._paste, encoded=level)

    def stream(self, portrait, profile, after):
        raise AssertionError("no test asks for another profile")


def nothing_runs() -> bool:
    """Whether no thread of a live session runs any more; those that are about to end are waited for."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("hp-trt live")]
    for thread in threads:
        thread.join(5)
    return not any(thread.is_alive() for thread in threads)
