"""Streams, and the order between them: who used a piece of memory last, and who has to wait for that.

Work on one stream runs in order. Between streams, `ordered` makes it so: a reader waits for the last writer, a writer
for the last writer and for every reader since. Memory that goes from one owner to the next takes its history along, so
nothing has to stop when it does. Only `Mark.wait` and `Stream.synchronize` stop the host.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from engines.cuda_driver import Driver


class Stream:
    """A queue of the device, an `urgent` one before the others. Owns its handle and its events."""

    def __init__(self, driver: Driver, name: str, *, urgent: bool = False) -> None:
        self.name = name
        self.handle = driver.stream_create(urgent=urgent)
        self._driver = driver
        self._marks = 0
        self._seen: dict[Stream, int] = {}  # how far this stream has already waited for others
        self._events: list[int] = []
        self._idle: deque[int] = deque()  # filled by whichever thread lets go of a mark

    def mark(self) -> Mark:
        """The place that the queue has reached now."""
        if self._idle:
            event = self._idle.popleft()
        else:
            event = self._driver.event_create()
            self._events.append(event)
        self._driver.event_record(event, self.handle)
        self._marks += 1
        return Mark(self, self._marks, event)

    def after(self, mark: Mark | None) -> None:
        """What is queued from now on waits until `mark` is reached."""
        if mark is None or not self.waits_for(mark):
            return
        self._driver.stream_wait(self.handle, mark.event)
        self._seen[mark.stream] = mark.number

    def waits_for(self, mark: Mark) -> bool:
        """Whether `after` has to queue anything: not for work of its own, and not for what it has waited for."""
        return mark.stream is not self and self._seen.get(mark.stream, 0) < mark.number

    def synchronize(self) -> None:
        """Wait on the host until everything queued is done."""
        self._driver.stream_synchronize(self.handle)

    def close(self) -> None:
        """After `synchronize`. Its marks are of no use any more."""
        for event in self._events:
            self._driver.event_destroy(event)
        self._events = []
        self._driver.stream_destroy(self.handle)


class Mark:
    """A place in a stream's queue. Its event is the stream's again when nobody asks for the place any more."""

    def __init__(self, stream: Stream, number: int, event: int) -> None:
        self.stream = stream
        self.number = number
        self.event = event
        self._reached = False

    def reached(self) -> bool:
        """Whether the device has come here."""
        self._reached = self._reached or self.stream._driver.event_query(self.event)
        return self._reached

    def wait(self) -> None:
        """Stop the host until the device has come here."""
        if not self._reached:
            self.stream._driver.event_synchronize(self.event)
            self._reached = True

    def __del__(self) -> None:
        self.stream._idle.append(self.event)


@dataclass(eq=False)
class Memory:
    """A piece of device or pinned memory, owned by a pool, and its last uses."""

    address: int
    size: int
    writer: Mark | None = None
    readers: dict[Stream, Mark] = field(default_factory=dict)  # since the last write, the last of each stream

    def uses(self) -> list[Mark]:
        """All that must be over before the host may write here, or the memory may be freed."""
        return [*([self.writer] if self.writer else []), *self.readers.values()]

    def idle(self) -> bool:
        return all(mark.reached() for mark in self.uses())

    def holds_up(self, stream: Stream) -> bool:
        """Whether what `stream` does with it next would wait for another stream, as far as is known without asking."""
        return any(stream.waits_for(mark) for mark in self.uses())

    def wait(self) -> None:
        """Stop the host until nothing that was queued uses this memory."""
        for mark in self.uses():
            mark.wait()
        self.writer, self.readers = None, {}


@contextmanager
def ordered(stream: Stream, *, reads: Iterable[Memory] = (), writes: Iterable[Memory] = ()) -> Iterator[None]:
    """What is queued on `stream` inside reads and writes these, and waits for the others that do."""
    reads, writes = list(reads), list(writes)
    for memory in (*reads, *writes):
        stream.after(memory.writer)
    for memory in writes:
        for reader in memory.readers.values():
            stream.after(reader)
    try:
        yield
    finally:  # also after an error: part of the work may be queued
        mark = stream.mark()
        for memory in reads:
            memory.readers[stream] = mark
        for memory in writes:
            memory.writer, memory.readers = mark, {}
