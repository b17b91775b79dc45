"""What happened to a job, kept for whoever listens: a ring that all listeners read, each from where it is.

A listener that is slow loses old progress and holds up nobody: nothing waits in a queue of its own. Events are numbered
from 1 in each life of the service. An id names the life too: `Last-Event-ID` of an earlier life means all there is.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

_KEPT = 256  # of each job


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """One event as a client is told it."""

    number: int
    life: str
    kind: str  # "state", "progress", "note", "result", "error"
    data: dict[str, Any]

    def to_sse(self) -> bytes:
        """As server-sent events have it."""
        data = json.dumps(self.data, separators=(",", ":"))
        return f"id: {self.life}.{self.number}\nevent: {self.kind}\ndata: {data}\n\n".encode()


class Events(Protocol):
    """The events of a job, wherever they are kept: see `JobEvents`."""

    def add(self, kind: str, **data: Any) -> None: ...
    def end(self) -> None: ...
    def begin_again(self) -> None: ...
    def number_of(self, last_event_id: str | None) -> int: ...
    def after(self, number: int) -> tuple[list[JobEvent], bool]: ...
    async def wait(self, number: int, timeout_s: float) -> bool: ...


class JobEvents:
    """The events of a job, kept by its process. `add` and `end` for any thread, `wait` for the loop's."""

    def __init__(self, life: str) -> None:
        self.life = life
        self._lock = threading.Lock()
        self._kept: deque[JobEvent] = deque(maxlen=_KEPT)
        self._number = 0
        self._ended = False
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def add(self, kind: str, **data: Any) -> None:
        """Tell whoever listens."""
        with self._lock:
            self._number += 1
            self._kept.append(JobEvent(number=self._number, life=self.life, kind=kind, data=data))
            waiting = list(self._waiting)
        _wake(waiting)

    def end(self) -> None:
        """There will be no more."""
        with self._lock:
            self._ended = True
            waiting = list(self._waiting)
        _wake(waiting)

    def begin_again(self) -> None:
        """The job is queued again: there will be more."""
        with self._lock:
            self._ended = False

    def number_of(self, last_event_id: str | None) -> int:
        """The number that a `Last-Event-ID` of this life names; 0 for any other."""
        return number_in(self.life, last_event_id)

    def after(self, number: int) -> tuple[list[JobEvent], bool]:
        """The events behind `number` that are still here, and whether these are the last ones."""
        with self._lock:
            return [event for event in self._kept if event.number > number], self._ended

    async def wait(self, number: int, timeout_s: float) -> bool:
        """Until there is one behind `number`, or the end; False when neither came in time."""
        mine = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if self._ended or self._number > number:
                return True
            self._waiting.add(mine)
        try:
            await asyncio.wait_for(mine[1].wait(), timeout_s)
            return True
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiting.discard(mine)

    @property
    def listeners(self) -> int:
        """How many wait just now."""
        with self._lock:
            return len(self._waiting)


def number_in(life: str, last_event_id: str | None) -> int:
    """The number that a `Last-Event-ID` of this life names; 0 for any other."""
    named, _, number = (last_event_id or "").rpartition(".")
    known = named == life and number.isascii() and number.isdigit() and len(number) < 10
    return int(number) if known else 0


def _wake(waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    for loop, event in waiting:
        if not loop.is_closed():
            loop.call_soon_threadsafe(event.set)
