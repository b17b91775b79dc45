"""A CUDA device made of host memory that keeps a record and believes nobody.

Every call is done at once, in the order it was made; whether a real device might have done it in another order is
judged by vector clocks. Each stream and the host count their own work, and know how much of the others' lies before
it: a stream learns it from the host that queues (what the host has waited for), and from the events that it waits for;
the host from whatever it synchronises with. Two accesses to the same bytes, one of them a write, must lie one before
the other in that sense, else `Race`. Bytes, not allocations: two halves of a buffer may be used at the same time.

Addresses are never used again, so that whoever uses one after it was freed is found out. `Misuse` is everything else
that CUDA would punish or, worse, forgive.
"""

from __future__ import annotations

import bisect
import threading
import traceback
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.cuda_driver import CopyKind, out_of_memory
from engines.errors import InternalError

HOST = 0  # the host's place in clocks; streams have their handles
Clock = dict[int, int]
Range = tuple[int, int]  # address, size


class Misuse(AssertionError):
    """Something that CUDA does not allow, or that we do not."""


class Race(AssertionError):
    """Two uses of the same bytes that nothing puts in order."""


@dataclass
class _Access:
    start: int
    stop: int
    who: int
    count: int
    writes: bool
    what: str


@dataclass
class _Block:
    address: int
    data: np.ndarray
    pinned: bool
    freed: bool = False
    accesses: list[_Access] = field(default_factory=list)
    looking: list[weakref.ref] = field(default_factory=list)  # host arrays over it


@dataclass
class _Event:
    timed: bool
    clock: Clock | None = None  # when it was recorded, if it was
    time_s: float = 0.0


@dataclass
class Operation:
    """One piece of queued work: what it touches, and what it does."""

    what: str
    reads: Sequence[Range]
    writes: Sequence[Range]
    work: Callable[[], None]
    owner: object = None  # a TensorRT context, whose state a graph must not see changed


@dataclass
class _Executable:
    operations: list[Operation]
    last: tuple[int, int] | None = None  # stream and count of its last launch


class _View:
    """Bytes that numpy may look at; arrays made of it keep it alive, so that we know of them."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data
        self.__array_interface__ = data.__array_interface__


class FakeDriver:
    """`engines.cuda_driver.Driver` with `total_bytes` of device memory. `calls` counts them by name."""

    def __init__(self, total_bytes: int = 1 << 30) -> None:
        self.total_bytes = total_bytes
        self.calls: Counter[str] = Counter()
        self.timed_events = 0  # that were ever made
        self.urgent: set[int] = set()  # streams that were asked to be
        self.peak_bytes = 0
        self._blocks: list[_Block] = []  # by address, freed ones too
        self._next_address = 1 << 20
        self._next_handle = 1
        self._clocks: dict[int, Clock] = {HOST: {HOST: 0}}
        self._events: dict[int, _Event] = {}
        self._graphs: dict[int, list[Operation]] = {}
        self._executables: dict[int, _Executable] = {}
        self._capturing: dict[int, list[Operation]] = {}
        self._invalidated: set[int] = set()  # streams in which something was queued that a graph cannot hold
        self._error = ""  # what cudaGetLastError would say
        self._time_s = 0.0
        self.problems: list[str] = []  # found where nothing can be raised: in finalizers

    # What tests ask

    @property
    def used_bytes(self) -> int:
        return sum(len(b.data) for b in self._blocks if not b.freed and not b.pinned)

    @property
    def pinned_bytes(self) -> int:
        return sum(len(b.data) for b in self._blocks if not b.freed and b.pinned)

    def require_clean(self) -> None:
        """Raise Misuse when anything was not given back, or went wrong where nobody was told.

        Pinned memory under an array that still lives is not left behind.
        """
        if self.problems:
            raise Misuse("; ".join(self.problems))
        looked_at = sum(len(b.data) for b in self._blocks if not b.freed and any(v() for v in b.looking))
        left = {
            "device bytes": self.used_bytes,
            "pinned bytes": self.pinned_bytes - looked_at,
            "streams": len(self._clocks) - 1,
            "events": len(self._events),
            "graphs": len(self._graphs) + len(self._executables),
            "captures": len(self._capturing),
        }
        if any(left.values()):
            raise Misuse(f"left behind: {', '.join(f'{n} {what}' for what, n in left.items() if n)}")

    def is_capturing(self, stream: int) -> bool:
        return stream in self._capturing

    def forbid_capture(self, stream: int) -> None:
        """Something is queued that a graph cannot hold: the capture ends in an error, which stays until cleared."""
        self._invalidated.add(stream)
        self._error = "cudaErrorStreamCaptureUnsupported"

    def require_no_error(self) -> None:
        """What a library does after its own calls: an error that others have left is blamed on it."""
        if self._error:
            raise Misuse(f"{self._error} was left behind")

    def is_over(self, stream: int, count: int) -> bool:
        """Whether the host knows that the stream has done its first `count` pieces of work."""
        return self._clocks[HOST].get(stream, 0) >= count

    def waits_for(self, stream: int, other: int) -> bool:
        """Whether what is queued on `stream` next comes after anything that was queued on `other`."""
        return self._clocks[stream].get(other, 0) > 0

    def sees(self, stream: int, other: int) -> int:
        """How many pieces of work of `other` what is queued on `stream` next comes after."""
        return self._clocks[stream].get(other, 0)

    def done_by(self, stream: int) -> int:
        """How many pieces of work were queued on it."""
        return self._clocks[stream][stream]

    def graph_of(self, owner: object) -> bool:
        """Whether a graph that could be launched holds work of `owner`."""
        return any(op.owner == owner for e in self._executables.values() for op in e.operations)

    def read(self, address: int, size: int) -> np.ndarray:
        """The bytes, for the work of an operation: no questions asked but that they exist."""
        block = self._block(address, size)
        return block.data[address - block.address : address - block.address + size]

    def queue(self, stream: int, operation: Operation) -> None:
        """Do it in the stream's order, or write it down where the stream is being captured."""
        self._known_stream(stream)
        if stream in self._capturing:
            self._capturing[stream].append(operation)
            return
        self._run(stream, operation)

    # The protocol

    def malloc(self, size: int) -> int:
        self._call("malloc", synchronises=True)
        if self.used_bytes + size > self.total_bytes:
            raise out_of_memory(size, self.total_bytes - self.used_bytes, self.total_bytes)
        address = self._allocate(size, pinned=False)
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        return address

    def free(self, address: int) -> None:
        self._call("free", synchronises=True)
        self._free(address, pinned=False)

    def host_alloc(self, size: int) -> int:
        self._call("host_alloc", synchronises=True)
        return self._allocate(size, pinned=True)

    def host_free(self, address: int) -> None:
        self._call("host_free", synchronises=True)
        block = self._free(address, pinned=True)
        if any(view() is not None for view in block.looking):
            raise Misuse(f"pinned memory at {address:#x} freed under an array")

    def host_view(self, address: int, size: int) -> np.ndarray:
        self._call("host_view")
        block = self._block(address, size)
        if not block.pinned:
            raise Misuse(f"the host looks at device memory at {address:#x}")
        self._access(block, address, size, HOST, writes=True, what="the host")
        view = _View(self.read(address, size))
        block.looking = [*(v for v in block.looking if v() is not None), weakref.ref(view)]
        return np.asarray(view)

    def memcpy_async(self, to: int, source: int, size: int, kind: CopyKind, stream: int) -> None:
        self._call("memcpy_async")
        for address, pinned in ((to, kind == "d2h"), (source, kind == "h2d")):
            if self._block(address, size).pinned is not pinned:
                raise Misuse(f"a copy {kind} with {address:#x} on the wrong side")
        if self._block(to, size) is self._block(source, size) and abs(to - source) < size:
            raise Misuse("a copy onto itself")
        if kind == "d2h":
            self._nobody_looks(to, size)

        def work() -> None:
            self.read(to, size)[:] = self.read(source, size)

        self.queue(stream, Operation(f"copy {kind}", [(source, size)], [(to, size)], work))

    def memset_async(self, address: int, value: int, size: int, stream: int) -> None:
        self._call("memset_async")

        def work() -> None:
            self.read(address, size)[:] = value

        self.queue(stream, Operation("set", [], [(address, size)], work))

    def stream_create(self, *, urgent: bool = False) -> int:
        self._call("stream_create")
        handle = self._handle()
        self.urgent |= {handle} if urgent else set()
        self._clocks[handle] = {handle: 0}
        return handle

    def stream_destroy(self, stream: int) -> None:
        self._call("stream_destroy")
        self._known_stream(stream)
        if self._clocks[HOST].get(stream, 0) < self._clocks[stream][stream]:
            raise Misuse(f"stream {stream} destroyed with work in flight")
        del self._clocks[stream]

    def stream_synchronize(self, stream: int) -> None:
        self._call("stream_synchronize", synchronises=True)
        self._known_stream(stream)
        _join(self._clocks[HOST], self._clocks[stream])

    def stream_wait(self, stream: int, event: int) -> None:
        self._call("stream_wait")
        self._known_stream(stream)
        if stream in self._capturing:
            raise Misuse("a capture that waits for work outside of it")
        _join(self._clocks[stream], self._recorded(event).clock or {})

    def event_create(self, *, timed: bool = False) -> int:
        self._call("event_create")
        handle = self._handle()
        self._events[handle] = _Event(timed)
        self.timed_events += timed
        return handle

    def event_destroy(self, event: int) -> None:
        self._call("event_destroy")
        self._known_event(event)
        del self._events[event]

    def event_record(self, event: int, stream: int) -> None:
        self._call("event_record")
        self._known_stream(stream)
        if stream in self._capturing:
            raise Misuse("an event for others recorded inside a capture")
        self._launch(stream)
        found = self._known_event(event)
        found.clock, found.time_s = dict(self._clocks[stream]), self._time_s

    def event_query(self, event: int) -> bool:
        """As slow as can be: it has happened only when something else has already waited for it."""
        self._call("event_query")
        clock = self._recorded(event).clock or {}
        return all(self._clocks[HOST].get(who, 0) >= count for who, count in clock.items())

    def event_synchronize(self, event: int) -> None:
        self._call("event_synchronize", synchronises=True)
        _join(self._clocks[HOST], self._recorded(event).clock or {})

    def event_elapsed_s(self, start: int, end: int) -> float:
        self._call("event_elapsed_s")
        for event in (start, end):
            if not self._recorded(event).timed:
                raise Misuse(f"event {event} keeps no time")
            if not self.event_query(event):
                raise Misuse(f"the time of event {event} before it has happened")
        return self._events[end].time_s - self._events[start].time_s

    def capture_begin(self, stream: int) -> None:
        self._call("capture_begin")
        self._known_stream(stream)
        if stream in self._capturing:
            raise Misuse(f"stream {stream} is being captured already")
        self._capturing[stream] = []

    def capture_end(self, stream: int) -> int:
        self._call("capture_end")
        if stream not in self._capturing:
            raise Misuse(f"stream {stream} is not being captured")
        operations = self._capturing.pop(stream)
        if stream in self._invalidated:
            self._invalidated.discard(stream)
            self._error = "cudaErrorStreamCaptureInvalidated"
            raise InternalError(f"cudaStreamEndCapture failed: {self._error}")
        for operation in operations:
            alike = _signature(operation)
            for executable in self._executables.values():
                if any(_signature(other) == alike for other in executable.operations):
                    raise Misuse(f"{operation.what} is captured twice")
        handle = self._handle()
        self._graphs[handle] = operations
        return handle

    def graph_instantiate(self, graph: int) -> int:
        self._call("graph_instantiate")
        if graph not in self._graphs:
            raise Misuse(f"graph {graph} does not exist")
        handle = self._handle()
        self._executables[handle] = _Executable(list(self._graphs[graph]))
        return handle

    def graph_launch(self, executable: int, stream: int) -> None:
        self._call("graph_launch")
        self._known_stream(stream)
        if executable not in self._executables:
            raise Misuse(f"executable {executable} does not exist")
        if stream in self._capturing:
            raise Misuse("a graph launched into a capture")
        found = self._executables[executable]
        for operation in found.operations:
            self._run(stream, operation)
        found.last = (stream, self._clocks[stream][stream])

    def graph_destroy(self, graph: int) -> None:
        self._call("graph_destroy")
        if self._graphs.pop(graph, None) is None:
            raise Misuse(f"graph {graph} does not exist")

    def executable_destroy(self, executable: int) -> None:
        self._call("executable_destroy")
        found = self._executables.pop(executable, None)
        if found is None:
            raise Misuse(f"executable {executable} does not exist")
        if found.last is not None and self._clocks[HOST].get(found.last[0], 0) < found.last[1]:
            raise Misuse(f"executable {executable} destroyed with work in flight")

    def clear_error(self) -> None:
        self._call("clear_error")
        self._error = ""

    def memory_info(self) -> tuple[int, int]:
        self._call("memory_info")
        return self.total_bytes - self.used_bytes, self.total_bytes

    def make_current(self) -> None:
        pass

    # How it judges

    def _call(self, name: str, *, synchronises: bool = False) -> None:
        self.calls[name] += 1
        if synchronises and self._capturing:
            raise Misuse(f"{name} during a capture")

    def _run(self, stream: int, operation: Operation) -> None:
        self._launch(stream)
        ranges = [*((r, False) for r in operation.reads), *((r, True) for r in operation.writes)]
        for (address, size), writes in ranges:
            block = self._block(address, size)
            self._access(block, address, size, stream, writes=writes, what=operation.what)
        operation.work()

    def _launch(self, stream: int) -> None:
        """Queueing: the stream's next work comes after all that the host knows of."""
        _join(self._clocks[stream], self._clocks[HOST])
        self._clocks[stream][stream] += 1
        self._time_s += 1e-3

    def _access(self, block: _Block, address: int, size: int, who: int, *, writes: bool, what: str) -> None:
        clock, kept = self._clocks[who], []
        for other in block.accesses:
            before = clock.get(other.who, 0) >= other.count
            touches = other.start < address + size and address < other.stop
            if touches and not before and (writes or other.writes):
                raise Race(f"{what} ({'writes' if writes else 'reads'}) and {other.what} at {address:#x}, unordered")
            covered = address <= other.start and other.stop <= address + size
            if not (covered and before and (writes or not other.writes) and (writes or other.who == who)):
                kept.append(other)
        if who == HOST:
            clock[HOST] += 1
        kept.append(_Access(address, address + size, who, clock[who], writes, what))
        block.accesses = kept

    def _nobody_looks(self, address: int, size: int) -> None:
        if any(view() is not None for view in self._block(address, size).looking):
            raise Misuse(f"pinned memory at {address:#x} written under an array")

    def _allocate(self, size: int, *, pinned: bool) -> int:
        if size < 1:
            raise Misuse(f"{size} bytes")
        address = self._next_address
        self._next_address += -(-size // 512) * 512 + 4096  # a gap: running over the end hits nothing
        self._blocks.append(_Block(address, np.full(size, 0xFF, np.uint8), pinned))  # 0xFF: NaN, or -1
        return address

    def _free(self, address: int, *, pinned: bool) -> _Block:
        block = self._block(address, 1)
        if block.address != address or block.pinned is not pinned:
            raise Misuse(f"{address:#x} was not allocated so")
        for access in block.accesses:
            if self._clocks[HOST].get(access.who, 0) < access.count:
                raise Misuse(f"{address:#x} freed while {access.what} may still use it")
        block.freed = True
        return block

    def _block(self, address: int, size: int) -> _Block:
        place = bisect.bisect_right(self._blocks, address, key=lambda b: b.address) - 1
        block = self._blocks[place] if place >= 0 else None
        if block is None or address + size > block.address + len(block.data):
            raise Misuse(f"{size} bytes at {address:#x} are nobody's")
        if block.freed:
            raise Misuse(f"{address:#x} is used after it was freed")
        return block

    def _handle(self) -> int:
        self._next_handle += 1
        return self._next_handle

    def _known_stream(self, stream: int) -> None:
        if stream == HOST or stream not in self._clocks:
            raise Misuse(f"stream {stream} does not exist")

    def _known_event(self, event: int) -> _Event:
        if event not in self._events:
            raise Misuse(f"event {event} does not exist")
        return self._events[event]

    def _recorded(self, event: int) -> _Event:
        found = self._known_event(event)
        if found.clock is None:
            raise Misuse(f"event {event} was never recorded")
        return found


class ManyThreads:
    """A `FakeDriver` for several threads, one call at a time. `turn`: a lock whose owner must not wait for the
    device."""

    def __init__(self, driver: FakeDriver) -> None:
        self._driver, self._lock = driver, threading.RLock()
        self.turn: Any = None
        self.waits_in_turn: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)
        return self._locked(name, found) if callable(found) else found

    def _locked(self, name: str, call: Any) -> Any:
        def locked(*args: Any, **named: Any) -> Any:
            if name in ("event_synchronize", "stream_synchronize") and self.turn is not None and self.turn._is_owned():
                self.waits_in_turn.append("".join(traceback.format_stack(limit=8)[:-1]))
            with self._lock:
                return call(*args, **named)

        return locked


def _join(clock: Clock, other: Clock) -> None:
    for who, count in other.items():
        clock[who] = max(clock.get(who, 0), count)


def _signature(operation: Operation) -> tuple:
    return (operation.what, operation.owner, tuple(operation.reads), tuple(operation.writes))
