"""When each piece of work ran on the device: pairs of events around it, for a timeline without a profiler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from engines.cuda_driver import Driver
from engines.cuda_order import Stream


class Span(NamedTuple):
    """One piece of work on the device, times in seconds since the trace began."""

    name: str  # "denoiser", "upload"
    stream: str
    start_s: float
    seconds: float


class Trace:
    """Off, it costs nothing; on, two events around every piece of work. Owns them."""

    def __init__(self, driver: Driver, origin: Stream, *, on: bool) -> None:
        self._driver = driver
        self._on = on
        self._open: list[tuple[str, str, int, int]] = []
        if on:
            self._origin = driver.event_create(timed=True)
            driver.event_record(self._origin, origin.handle)
            driver.event_synchronize(self._origin)

    @contextmanager
    def span(self, name: str, stream: Stream) -> Iterator[None]:
        if not self._on:
            yield
            return
        start, end = (self._driver.event_create(timed=True) for _ in range(2))
        self._open.append((name, stream.name, start, end))
        self._driver.event_record(start, stream.handle)
        try:
            yield
        finally:
            self._driver.event_record(end, stream.handle)

    def spans(self) -> list[Span]:
        """What ran since the last call, once it is done. Stops the host until then."""
        found = []
        for name, stream, start, end in self._open:
            self._driver.event_synchronize(end)
            start_s = self._driver.event_elapsed_s(self._origin, start)
            found.append(Span(name, stream, start_s, self._driver.event_elapsed_s(start, end)))
        self._forget()
        return sorted(found, key=lambda span: span.start_s)

    def close(self) -> None:
        self._forget()
        if self._on:
            self._driver.event_destroy(self._origin)
        self._on = False

    def _forget(self) -> None:
        for *_, start, end in self._open:
            self._driver.event_destroy(start)
            self._driver.event_destroy(end)
        self._open = []
