"""Where the memory of a device comes from and goes to.

A `Pool` owns all memory of its kind until it is closed. A `Lease` is one use of a piece of it: the piece goes back when
the last buffer that holds the lease is gone, even while work on it is still queued, because its history goes with it
(`engines.cuda_order`). A pool with nothing that fits frees what it has idle before it asks for more, so it never holds
more than was in use at one time, whatever the number and the lengths of the clips.

Leases are let go by the garbage collector, in any thread and at any time, so letting go only puts the piece on a list.
"""

from __future__ import annotations

import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from engines.cuda_driver import Driver
from engines.cuda_order import Memory
from engines.errors import HpTrtError

ALIGNMENT = 512  # CUDA's own for allocations; TensorRT wants 256
_SMALL = 64 * 1024  # smaller ones are made this large, so that all the small numbers of a step share their pieces


class Lease:
    """One use of a piece of memory, which belongs to the pool again when this is collected."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory


class Pool:
    """Pieces of device memory. Not for two threads at once, but for letting go."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._idle: list[Memory] = []  # in the order in which they came back
        self._returned: deque[Memory] = deque()  # by the garbage collector; idle from the next call on
        self._in_use: set[Memory] = set()
        self._closed = False

    @property
    def held_bytes(self) -> int:
        """In use and idle together: what the device has given us."""
        self._collect()
        return sum(memory.size for memory in (*self._idle, *self._in_use))

    def take(self, size: int) -> Lease:
        """At least `size` bytes, of any content. Raises EngineMismatch when the device has not so much."""
        self._collect()
        fitting = self._fitting(size)
        return self._lease(fitting[0] if fitting else self._more(size))

    def trim(self) -> None:
        """Free what is idle; waits until the work that was queued on it is done."""
        self._collect()
        while self._idle:
            memory = self._idle.pop()
            memory.wait()
            self._free(memory.address)

    def close(self) -> None:
        """Free everything, once nothing is queued any more. Buffers that are left are of no use."""
        self._closed = True
        self.trim()
        for memory in self._in_use:
            self._free(memory.address)
        self._in_use = set()

    def _fitting(self, size: int) -> list[Memory]:
        """The idle pieces that are large enough and not much too large, the smallest first."""
        size = _rounded(size)
        most = size + max(size // 4, _SMALL)
        return sorted((m for m in self._idle if size <= m.size <= most), key=lambda m: m.size)

    def _more(self, size: int) -> Memory:
        self.trim()
        size = _rounded(size)
        memory = Memory(self._allocate(size), size)
        self._idle.append(memory)
        return memory

    def _lease(self, memory: Memory) -> Lease:
        self._idle.remove(memory)
        self._in_use.add(memory)
        lease = Lease(memory)
        # At exit nobody waits for memory.
        weakref.finalize(lease, self._give_back, memory).atexit = False
        return lease

    def _give_back(self, memory: Memory) -> None:
        self._returned.append(memory)

    def _collect(self) -> None:
        while self._returned:
            memory = self._returned.popleft()
            self._in_use.discard(memory)
            self._idle.append(memory)

    def _allocate(self, size: int) -> int:
        return self._driver.malloc(size)

    def _free(self, address: int) -> None:
        self._driver.free(address)


class PinnedPool(Pool):
    """Pieces of pinned host memory, which copies run through while the host goes on."""

    def take_for_host(self, size: int) -> Lease:
        """A piece that the host may write at once.

        Of two pieces still in use by copies the one given back first is waited for, being ready first: a third would
        only be behind them.
        """
        self._collect()
        fitting = self._fitting(size)
        memory = next((m for m in fitting if m.idle()), None)
        if memory is None:
            memory = min(fitting, key=self._idle.index) if len(fitting) >= 2 else self._more(size)
        memory.wait()
        return self._lease(memory)

    def close(self) -> None:
        """Free all but what callers still hold as arrays: that goes when they let go of it."""
        self._closed = True  # first: what is let go from now on is freed by whoever lets go
        self.trim()

    def _more(self, size: int) -> Memory:
        # Without `trim`: it would wait for copies in progress, each of which may wait for the network's work.
        for memory in [m for m in self._idle if m.idle()]:
            self._idle.remove(memory)
            self._free(memory.address)
        size = _rounded(size)
        memory = Memory(self._allocate(size), size)
        self._idle.append(memory)
        return memory

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
