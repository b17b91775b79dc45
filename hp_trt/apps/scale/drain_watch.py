"""Whether Ray is about to end this replica: nobody tells a replica, and open sockets are cut without a word.

Ray asks a replica that is to go on for its health every so often, and one that is to end no more. So a question that
stays out is the sign; then the controller is asked, which alone knows. That costs it nothing while all is well.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("hp_trt.scale")


class DrainWatch:
    """`is_ending`: asks the controller, in a thread; may raise. `on_end`: called once, in that thread.

    `every_s`: between two questions for health, in seconds.
    """

    def __init__(self, is_ending: Callable[[], bool], on_end: Callable[[], None], *, every_s: float) -> None:
        self._is_ending, self._on_end, self._every_s = is_ending, on_end, every_s
        self._asked_s: float | None = None  # before the first question a replica begins
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="scale-drain", daemon=True)
        self._thread.start()

    def asked(self) -> None:
        """Ray asked for this replica's health."""
        self._asked_s = time.monotonic()

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._every_s / 2):
            if self._asked_s is None or time.monotonic() - self._asked_s < 2.5 * self._every_s:
                continue
            try:
                if self._is_ending():
                    self._on_end()
                    return
            except Exception as error:  # a controller that is away ends nobody
                log.warning("the controller cannot be asked", extra={"reason": str(error)[:200]})
