"""Where the memory of a device comes from and goes to.

A `Pool` owns all memory of its kind until it is closed. A `Lease` is one use of a piece of it: the piece goes back when
the last buffer that holds the lease is gone, even while work on it is still queued, because its history goes with it
(`engines.cuda_order`). Allocating and freeing stop the host, and freeing the whole device, so what is idle is kept:
a clip or a window like the one before finds its memory again, whatever the sizes that take turns.

What is idle is bounded all the same: beyond a quarter of a gigabyte no more of it is kept than was in use at one time,
and no piece that nobody asked for in a long time. Where the device says no, all of it is freed, and the device asked
once more.

Leases are let go by the garbage collector, in any thread and at any time, so letting go only puts the piece on a list.
"""

from __future__ import annotations

import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from engines.cuda_driver import Driver
from engines.cuda_order import Memory, Stream
from engines.errors import EngineMismatch, HpTrtError

ALIGNMENT = 512  # CUDA's own for allocations; TensorRT wants 256
_SMALL = 64 * 1024  # smaller ones are made this large, so that all the small numbers of a step share their pieces
_OLD = 4096  # requests; a live window makes some 30, a clip of 1000 frames some 500
_SPARE = 256 * 2**20  # bytes that may be idle in any case: queued work holds pieces that nobody has in use any more
_BUSY = 3  # pieces that would do but for others' work: a stage and the two beside it have one each. One more is behind
_BUSY_PINNED = 8  # two tensors a group of driving frames, for the groups that are under way
_BUSY_SMALL = 16  # of what is small: a window's handful of numbers, for the windows that are under way


class Lease:
    """One use of a piece of memory, which belongs to the pool again when this is collected."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory


class Pool:
    """Pieces of device memory. Not for two threads at once, but for letting go."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._idle: dict[Memory, int] = {}  # -> the request before which it came back; the first came back first
        self._returned: deque[Memory] = deque()  # by the garbage collector; idle from the next call on
        self._in_use: set[Memory] = set()
        self._idle_bytes = self._used_bytes = self._most_bytes = 0  # the most in use at one time
        self._requests = 0
        self._closed = False

    @property
    def held_bytes(self) -> int:
        """In use and idle together: what the device has given us."""
        self._collect()
        return self._idle_bytes + self._used_bytes

    def take(self, size: int, stream: Stream) -> Lease:
        """At least `size` bytes, of any content, to be used on `stream` first: a piece that has nothing queued on other
        streams, as long as there are few that have. Raises EngineMismatch when the device has not so much."""
        self._collect()
        fitting = self._fitting(size)
        memory = next((m for m in fitting if not m.holds_up(stream)), None) or next(
            (m for m in fitting if m.idle()), None
        )
        if memory is None:
            memory = self._first_back(fitting) if len(fitting) >= _most_busy(size, _BUSY) else self._more(size)
        return self._lease(memory)

    def trim(self) -> None:
        """Free what is idle; waits until the work that was queued on it is done."""
        self._collect()
        for memory in list(self._idle):
            self._drop(memory)

    def close(self) -> None:
        """Free everything, once nothing is queued any more. Buffers that are left are of no use."""
        self._closed = True
        self.trim()
        for memory in self._in_use:
            self._free(memory.address)
        self._in_use, self._used_bytes = set(), 0

    def _fitting(self, size: int) -> list[Memory]:
        """The idle pieces that are large enough and not much too large, the smallest first."""
        size = _rounded(size)
        most = size + max(size // 4, _SMALL)
        return sorted((m for m in self._idle if size <= m.size <= most), key=lambda m: m.size)

    def _first_back(self, fitting: list[Memory]) -> Memory:
        return next(m for m in self._idle if m in fitting)

    def _more(self, size: int) -> Memory:
        size = _rounded(size)
        try:
            address = self._allocate(size)
        except EngineMismatch:
            if not self._idle:
                raise
            self.trim()
            address = self._allocate(size)
        memory = Memory(address, size)
        self._put_back(memory)
        return memory

    def _lease(self, memory: Memory) -> Lease:
        del self._idle[memory]
        self._in_use.add(memory)
        self._idle_bytes -= memory.size
        self._used_bytes += memory.size
        self._most_bytes = max(self._most_bytes, self._used_bytes)
        self._requests += 1
        self._bound()
        lease = Lease(memory)
        # At exit nobody waits for memory.
        weakref.finalize(lease, self._give_back, memory).atexit = False
        return lease

    def _give_back(self, memory: Memory) -> None:
        self._returned.append(memory)

    def _collect(self) -> None:
        while self._returned:
            memory = self._returned.popleft()
            if memory in self._in_use:
                self._in_use.remove(memory)
                self._used_bytes -= memory.size
            self._put_back(memory)

    def _put_back(self, memory: Memory) -> None:
        self._idle[memory] = self._requests
        self._idle_bytes += memory.size

    def _bound(self) -> None:
        """Free what has been idle for long, and the oldest of what is too much; nothing that is to be waited for."""
        for memory, since in list(self._idle.items()):
            if self._idle_bytes <= max(self._most_bytes, _SPARE) and self._requests - since <= _OLD:
                return
            if memory.idle():
                self._drop(memory)

    def _drop(self, memory: Memory) -> None:
        del self._idle[memory]
        self._idle_bytes -= memory.size
        memory.wait()
        self._free(memory.address)

    def _allocate(self, size: int) -> int:
        return self._driver.malloc(size)

    def _free(self, address: int) -> None:
        self._driver.free(address)


class PinnedPool(Pool):
    """Pieces of pinned host memory, which copies run through while the host goes on."""

    def take_for_host(self, size: int) -> Lease:
        """A piece that the host may write at once.

        Of `_BUSY_PINNED` pieces still in use by copies the one given back first is waited for, being ready first: one
        more would only be behind them.
        """
        self._collect()
        fitting = self._fitting(size)
        memory = next((m for m in fitting if m.idle()), None)
        if memory is None:
            enough = len(fitting) >= _most_busy(size, _BUSY_PINNED)
            memory = self._first_back(fitting) if enough else self._more(size)
        memory.wait()
        return self._lease(memory)

    def close(self) -> None:
        """Free all but what callers still hold as arrays: that goes when they let go of it."""
        self._closed = True  # first: what is let go from now on is freed by whoever lets go
        self.trim()

    def _give_back(self, memory: Memory) -> None:
        if not self._closed:
            super()._give_back(memory)
            return
        with suppress(HpTrtError):  # the process ends, and the driver was faster
            self._free(memory.address)

    def _allocate(self, size: int) -> int:
        return self._driver.host_alloc(size)

    def _free(self, address: int) -> None:
        self._driver.host_free(address)


@dataclass(frozen=True, eq=False)
class DeviceBuffer:
    """A C-contiguous tensor in device memory; views of it hold the same lease."""

    shape: tuple[int, ...]
    dtype: np.dtype
    lease: Lease
    offset: int = 0  # bytes

    @property
    def memory(self) -> Memory:
        return self.lease.memory

    @property
    def address(self) -> int:
        return self.memory.address + self.offset

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class PinnedArray:
    """What numpy sees of pinned memory: every array and view made of it holds the lease.

    The host may look now: what was queued on it is over.
    """

    def __init__(self, driver: Driver, lease: Lease, shape: tuple[int, ...], dtype: np.dtype) -> None:
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self._bytes = driver.host_view(lease.memory.address, size)
        self._lease = lease  # after the bytes: attributes go in this order, and these lie in what is given back
        self.__array_interface__ = {
            **self._bytes.__array_interface__,
            "shape": shape,
            "typestr": dtype.str,
            "strides": None,
            "descr": [("", dtype.str)],
        }


def _rounded(size: int) -> int:
    return max(-(-size // ALIGNMENT) * ALIGNMENT, _SMALL)


def _most_busy(size: int, large: int) -> int:
    return _BUSY_SMALL if size <= _SMALL else large
