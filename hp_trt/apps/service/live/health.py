"""How a live session is doing: whether it is late and why, and the rate that its client is asked for.

Late is whoever has no room for a frame, or had none a moment ago: each window that is taken makes room for a while.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from hp_trt.apps.service.live.limits import LiveLimits
from hp_trt.apps.service.live.pace import Pace
from hp_trt.apps.service.live.protocol import Rate, Stats
from hp_trt.apps.service.live.showing import Showing
from hp_trt.live.session import LiveStats

_MOMENT_S = 1.0


class Health:
    """Of one session."""

    def __init__(self, limits: LiveLimits) -> None:
        self.pace = Pace(most=limits.frames_per_s, least=limits.slowest_per_s)
        self._most_per_s = limits.frames_per_s
        self._full_s, self._late = -math.inf, False
        self._dropped_in = self._dropped_by_readers = 0

    def look(self, now_s: float, stats: LiveStats, *, paced: bool) -> Rate | None:
        """Call some times a second. What to ask the client for, where it is another rate now; `paced`: whether its rate
        is its own to choose."""
        if stats.late or stats.dropped_in > self._dropped_in:
            self._dropped_in, self._full_s = stats.dropped_in, now_s
        self._late = now_s - self._full_s < _MOMENT_S
        if not paced or not self.pace.look(now_s, late=self._late, animated_per_s=stats.frames_per_s):
            return None
        few = f"frames come faster than the {stats.frames_per_s:.1f} a second that are animated here"
        return Rate(frames_per_s=self.pace.rate, why=few if self._late else "there is time for more")

    def stats(self, stats: LiveStats, *, taken: int, showing: Showing, dropped: Mapping[str, int]) -> Stats:
        """For the client, once a second. `dropped`: where, with what the session does not know of itself."""
        slow = dropped["reader"] > self._dropped_by_readers
        self._dropped_by_readers = dropped["reader"]
        return Stats(
            frames_per_s=round(stats.frames_per_s, 2),
            engine_p50_s=_rounded(stats.latency_p50_s),
            engine_p99_s=_rounded(stats.latency_p99_s),
            held_p50_s=_rounded(showing.held_p50_s),
            server_p50_s=_rounded(showing.server_p50_s),
            taken=taken,
            animated=stats.emitted,
            dropped={**dropped, "in": stats.dropped_in, "out": stats.dropped_out},
            faceless=stats.faceless + stats.held,
            late=self._late,
            why="engine" if self._late else "reader" if slow else "rate" if self.pace.rate < self._most_per_s else "",
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
