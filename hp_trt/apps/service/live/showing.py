"""Animated pictures on their way to who watches: each waits for its turn, at the driver's pace.

A window's pictures come at once; `hp_trt.live.playout` says when each is to be seen. For the event loop's thread alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from statistics import median
from typing import Any

from hp_trt.apps.service.live.outbox import Outbox
from hp_trt.apps.service.live.shown import Shown
from hp_trt.live.playout import Playout

_SOON_S = 0.001  # no timer is finer
_REMEMBERED = 200  # pictures


class Showing:
    """`shown` is called for each picture that has had its turn."""

    def __init__(self, shown: Callable[[Shown], None]) -> None:
        self._shown = shown
        self.viewers: set[Outbox[Any]] = set()
        self.dropped = 0  # by viewers that were too slow
        self._playout = Playout()
        self._waiting: deque[tuple[float, Shown]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._held_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._server_s: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def held_p50_s(self) -> float | None:
        """How long pictures waited for their turn, lately."""
        return median(self._held_s) if self._held_s else None

    @property
    def server_p50_s(self) -> float | None:
        """From when a driving frame came until its picture's turn, lately."""
        return median(self._server_s) if self._server_s else None

    @property
    def jpeg_wanted(self) -> bool:
        """Whether anybody takes encoded pictures. For any thread."""
        return any(viewer.jpeg for viewer in tuple(self.viewers))

    def put(self, shown: Shown, *, pts_s: Fraction, ready_s: float) -> None:
        due_s = self._playout.due_s(pts_s, ready_s)
        self._held_s.append(max(due_s - ready_s, 0.0))
        self._waiting.append((due_s, shown))
        if self._timer is None:
            self._show_due()

    def forget(self) -> None:
        """What waits is not shown any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()

    def _show_due(self) -> None:
        """Every picture whose turn it is, and a timer for the next."""
        self._timer = None
        while self._waiting:
            due_s, shown = self._waiting[0]
            wait_s = due_s - time.monotonic()
            if wait_s > _SOON_S:
                self._timer = asyncio.get_running_loop().call_later(wait_s, self._show_due)
                return
            self._waiting.popleft()
            self.dropped += sum(viewer.show(shown) for viewer in self.viewers)
            self._server_s.append(shown.latency_us() / 1e6)
            self._shown(shown)
