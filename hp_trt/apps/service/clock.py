"""The time of day, as it was when the service started and has gone on since: a clock that is set jumps past it."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyTime:
    """Seconds since 1970 that never jump while the process lives. For any thread."""

    def __init__(self, wall_s: Callable[[], float] = time.time, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._steady_s = steady_s
        self._begin_s = wall_s() - steady_s()

    def __call__(self) -> float:
        return self._begin_s + self._steady_s()

    def past(self, moment_s: float) -> float:
        """A moment of an earlier process, whose clock may have been ahead: at most now."""
        return min(moment_s, self())
