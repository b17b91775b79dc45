"""What is happening, and how long it took: events for whoever listens, spans for the bench.

A stage ("motion", "denoise", "decode") begins, measures its units of work one by one, and ends. A bar, a line of
json and a timeline are all made from the same events. Between two units whoever asked for the work may call it off.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

from engines.errors import Cancelled, InputError
from engines.fields import shown

_MOST_SPANS = 10**9


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened in a stage, times in seconds since the recorder was made."""

    stage: str
    kind: Literal["begin", "unit", "end"]
    done: int  # units of work, this one included
    total: int | None  # None: not known yet
    start_s: float
    seconds: float  # the unit's; for "end", the sum over all units: a stage that waits for its consumer is not billed

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Stages:
    """Passes events to `listener` as they happen and keeps the units as `spans`.

    On a backend that works on by itself a unit's time is that of queueing it, and of waiting for what came before.
    A stage is one thread's at a time; different ones may run beside each other, and so may a stage's units that are
    `timed` elsewhere: their seconds then add up to more than passed. `most_spans`: keep the latest so many; without it
    all are kept, and grow with the work.
    `settle` is called before a unit's end is taken: with `Backend.synchronize` the times are those of the work, and
    the work is slower, because nothing overlaps. `cancel`: once it is set, by any thread, the next stage or unit raises
    Cancelled where it would begin. Raises InputError for what is none of these.
    """

    def __init__(
        self,
        listener: Callable[[Event], None] | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        settle: Callable[[], None] | None = None,
        most_spans: int | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        for name, function in (("listener", listener), ("clock", clock), ("settle", settle)):
            if not (callable(function) or (function is None and name != "clock")):
                raise InputError(f"{name} needs a function, got {shown(function)}")
        if cancel is not None and not isinstance(cancel, threading.Event):
            raise InputError(f"cancel needs a threading.Event, got {shown(cancel)}")
        whole = isinstance(most_spans, int) and not isinstance(most_spans, bool)
        if most_spans is not None and not (whole and 0 <= most_spans <= _MOST_SPANS):
            raise InputError(f"most_spans needs a whole number of 0 to {_MOST_SPANS}, got {shown(most_spans)}")
        self.spans: list[Event] | deque[Event] = [] if most_spans is None else deque(maxlen=most_spans)
        self._listener = listener
        self._clock = clock
        self._settle = settle
        self._cancel = cancel
        self._origin_s = clock()
        self._open: dict[str, _Open] = {}

    def begin(self, stage: str, total: int | None = None) -> None:
        """Start a stage of `total` units, from zero if there was one of this name before. Raises Cancelled."""
        self._check_wanted()
        self._open[stage] = _Open(total=total)
        self._tell(stage, "begin", start_s=self._now(), seconds=0.0)

    @contextmanager
    def unit(self, stage: str, units: int = 1) -> Iterator[None]:
        """Time one piece of work that is worth `units`; one that raises is not counted. Raises Cancelled."""
        self._check_wanted()
        start_s = self._now()
        yield
        if self._settle is not None:
            self._settle()
        self.ran(stage, (start_s, self._now() - start_s), units)

    def timed(self, work: Callable[[], object]) -> Callable[[], tuple[float, float]]:
        """`work`, for any thread: it gives when it began and how long it took, in seconds, for `ran`.

        It raises Cancelled where it would begin.
        """

        def run() -> tuple[float, float]:
            self._check_wanted()
            start_s = self._now()
            work()
            if self._settle is not None:
                self._settle()
            return start_s, self._now() - start_s

        return run

    def ran(self, stage: str, when: tuple[float, float], units: int = 1) -> None:
        """Count a piece of work that another thread may have done: its beginning and its seconds, as `timed` says."""
        start_s, seconds = when
        progress = self._open.setdefault(stage, _Open())
        progress.done += units
        progress.seconds += seconds
        self.spans.append(self._tell(stage, "unit", start_s=start_s, seconds=seconds))

    def end(self, stage: str) -> None:
        self._tell(stage, "end", start_s=self._now(), seconds=self._open[stage].seconds)

    def _check_wanted(self) -> None:
        """Raises Cancelled when the work was called off."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("the work was cancelled by who asked for it; nothing was written under a final name")

    def _now(self) -> float:
        return self._clock() - self._origin_s

    def _tell(self, stage: str, kind: Literal["begin", "unit", "end"], *, start_s: float, seconds: float) -> Event:
        progress = self._open[stage]
        event = Event(
            stage=stage, kind=kind, done=progress.done, total=progress.total, start_s=start_s, seconds=seconds
        )
        if self._listener is not None:
            self._listener(event)
        return event


@dataclass(kw_only=True)
class _Open:
    total: int | None = None
    done: int = 0
    seconds: float = 0.0
