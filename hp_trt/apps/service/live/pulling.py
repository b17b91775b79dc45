"""The thread that takes animated frames from a live session and hands them to an event loop.

A thread of its own for each session, not one of the loop's pool: that has a few, and each session would hold one for as
long as it lasts. At most `most` frames are on their way or wait for their turn to be shown; then the thread waits, and
the session's own queue drops.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from hp_trt.live.session import LiveFrame, LiveSession

_TICK_S = 0.5


class Pulling:
    """Calls, in the loop: `came` with what `make`, in the thread, made of each frame, then `ended` with the error."""

    def __init__(
        self,
        session: LiveSession,
        *,
        make: Callable[[LiveFrame], Any],
        came: Callable[[Any], None],
        ended: Callable[[BaseException | None], None],
        most: int,
    ) -> None:
        self._session, self._make, self._came, self._ended = session, make, came, ended
        self._room = threading.Semaphore(most)
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hp-trt live pull", daemon=True)
        self._thread.start()

    def shown(self) -> None:
        """One that came has been shown, or was forgotten."""
        self._room.release()

    def close(self) -> None:
        """End the thread. The session must have been aborted."""
        self._stop.set()
        self._room.release()
        self._thread.join()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            while not self._stop.is_set():
                try:
                    frame = self._session.pull(timeout_s=_TICK_S)
                except TimeoutError:
                    continue
                if frame is None:
                    break
                made = self._make(frame)
                self._room.acquire()
                self._call(self._came, made)
        except BaseException as caught:  # for the loop
            error = caught
        self._call(self._ended, error)

    def _call(self, function: Callable[[Any], None], given: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, given)
        except RuntimeError:  # the loop is closed, and nobody is left to hear it
            self._stop.set()
