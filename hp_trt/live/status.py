"""What a live run says of itself while it runs: once a second, in one line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from hp_trt.console import Reporter
from hp_trt.live.session import LiveStats

_EVERY_S = 1.0
_MOST_NOTES = 20  # a stream that changes all the time would fill a terminal


class Status:
    """Tells `report` how a session stands, and every note once."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self.start_s = self._told_s = time.monotonic()
        self._noted: set[str] = set()

    def tick(self, read: Callable[[], LiveStats], notes: Iterable[str] = ()) -> None:
        """Call as often as you like: once a second the stats are read, and something is said.

        `notes` are those of the moment. The session's own count, and are told when it has ended.
        """
        now_s = time.monotonic()
        if now_s - self._told_s < _EVERY_S:
            return
        self._told_s = now_s
        self.note(notes)
        stats = read()
        self._report.status(line(stats), seconds=round(now_s - self.start_s, 3), **facts(stats))

    def note(self, texts: Iterable[str]) -> None:
        for text in texts:
            if text not in self._noted and len(self._noted) < _MOST_NOTES:
                self._noted.add(text)
                self._report.note(text)


def facts(stats: LiveStats) -> dict[str, Any]:
    """For a line of JSON: seconds and frames."""
    return {
        "pushed": stats.pushed,
        "emitted": stats.emitted,
        "dropped_in": stats.dropped_in,
        "dropped_out": stats.dropped_out,
        "held": stats.held,
        "faceless": stats.faceless,
        "queued_in": stats.queued_in,
        "room_in": stats.room_in,
        "queued_out": stats.queued_out,
        "frames_per_s": round(stats.frames_per_s, 3),
        "latency_p50_s": _rounded(stats.latency_p50_s),
        "latency_p99_s": _rounded(stats.latency_p99_s),
        "late": stats.late,
    }


def line(stats: LiveStats) -> str:
    """For a terminal."""
    parts = [f"{stats.frames_per_s:.1f} frames/s", latency(stats)]
    parts.append(f"queue {stats.queued_in} in, {stats.queued_out} out")
    parts.append(f"dropped {stats.dropped_in + stats.dropped_out} of {stats.pushed}")
    if stats.held + stats.faceless:
        parts.append(f"{stats.held + stats.faceless} without a face")
    if stats.late:
        parts.append("late")
    return " | ".join(parts)


def latency(stats: LiveStats) -> str:
    if stats.latency_p50_s is None or stats.latency_p99_s is None:
        return "no frame yet"
    return f"latency p50 {stats.latency_p50_s:.2f} s, p99 {stats.latency_p99_s:.2f} s"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
