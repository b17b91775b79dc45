"""The thread that decodes what came from a network and pushes it into a live session.

What waits for it is bounded, and the oldest goes: a sender cannot fill a memory. A frame that cannot be decoded is
counted and told, and the session goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from typing import Any

from engines.errors import HpTrtError
from hp_trt.live.queues import BoundedQueue, Ended
from hp_trt.live.session import LiveSession

Decode = Callable[[], Any]  # what `LiveSession.push` takes; raises InputError


class Feeding:
    """Pushes into `session` until it is closed. `damaged` hears of each frame that could not be used, `failed` of what
    ends the session, which whoever pulls may hear of too."""

    def __init__(
        self,
        session: LiveSession,
        *,
        most: int,
        damaged: Callable[[HpTrtError], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._session, self._damaged, self._failed = session, damaged, failed
        self._queue: BoundedQueue[tuple[Decode, Fraction]] = BoundedQueue(most, "drop-oldest")
        self.damaged_in_a_row = 0
        self._put = self._done = 0
        self._thread = threading.Thread(target=self._run, name="hp-trt live feed", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """What was put in and is not pushed yet, with the one that is being decoded: none of it is forgotten between
        this queue and the session's."""
        return self._put - self._queue.dropped - self._done

    @property
    def dropped(self) -> int:
        return self._queue.dropped

    def put(self, decode: Decode, time_s: Fraction) -> None:
        """What `decode` gives is pushed with that time. Nothing happens once it is closed."""
        with suppress(Ended):
            self._put += 1
            self._queue.put((decode, time_s))

    def close(self) -> None:
        """Forget what waits, and end the thread. The session must have been aborted, or the thread may wait in it."""
        self._queue.abort()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                decode, time_s = self._queue.get()
            except Ended:
                return
            try:
                self._session.push(decode(), time_s)
            except HpTrtError as error:
                self.damaged_in_a_row += 1
                self._damaged(error)
            except Exception as error:
                self._failed(error)
                return
            else:
                self.damaged_in_a_row = 0
            finally:
                self._done += 1
