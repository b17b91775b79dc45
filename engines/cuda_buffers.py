"""Buffers on a CUDA device: the half of the `Backend` protocol that moves numbers, whoever computes with them.

Who owns what:

    streams, pools, trace   `CudaBuffers`, until `close`
    a buffer's memory       the pool; lent to the buffer and its views, and given back when the last of them is gone
    pinned upload memory    the pool; lent until the array is copied into it, and not written again before it has left
    pinned download memory  the pool; lent to the `Pending` and to every array made of it, beyond `close` if need be

Uploads run on "copy_in" and downloads on "copy_out", through pinned memory; gathering and clearing run on the chosen
stream, like the graphs. Not for two threads at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self, get_args

import numpy as np

from engines.backend import Buffer, Pending, StreamName
from engines.cuda_driver import Driver
from engines.cuda_memory import DeviceBuffer, Lease, PinnedArray, PinnedPool, Pool
from engines.cuda_order import Mark, Stream, ordered
from engines.cuda_trace import Span, Trace
from engines.errors import InternalError


class CudaBuffers:
    """Streams and memory of one device. Raises EngineMismatch where memory runs out."""

    asynchronous = True
    calls = 1
    concurrent = False

    def __init__(self, driver: Driver, *, trace: bool = False) -> None:
        self.driver = driver
        # Denoising fills the device for as long as there are windows. Somebody waits for the frames that are decoded
        # and copied beside it, and for the numbers that come in.
        self.streams = {name: Stream(driver, name, urgent=name != "denoise") for name in get_args(StreamName)}
        self.current = self.streams["denoise"]
        self.pool = Pool(driver)
        self.trace = Trace(driver, self.current, on=trace)
        self._pinned = PinnedPool(driver)
        self._closed = False

    def upload(self, array: np.ndarray) -> DeviceBuffer:
        source, stream = np.ascontiguousarray(array), self.streams["copy_in"]
        with self.stream("copy_in"):
            buffer = self.empty(np.shape(array), str(source.dtype))
        if not buffer.nbytes:
            return buffer
        pinned = self._pinned.take_for_host(buffer.nbytes)
        view = self.driver.host_view(pinned.memory.address, buffer.nbytes)
        view[:] = source.reshape(-1).view(np.uint8)
        with ordered(stream, reads=[pinned.memory], writes=[buffer.memory]), self.trace.span("upload", stream):
            self.driver.memcpy_async(buffer.address, pinned.memory.address, buffer.nbytes, "h2d", stream.handle)
        return buffer

    def download(self, buffer: Buffer) -> np.ndarray:
        return self.fetch(buffer).wait()

    def fetch(self, buffer: Buffer) -> Pending:
        source, stream = device_buffer(buffer), self.streams["copy_out"]
        self._check_open()
        pinned = self._pinned.take(max(source.nbytes, 1), stream)
        with ordered(stream, reads=[source.memory], writes=[pinned.memory]), self.trace.span("download", stream):
            self.driver.memcpy_async(pinned.memory.address, source.address, source.nbytes, "d2h", stream.handle)
        arrived = pinned.memory.writer
        assert arrived is not None
        return _Download(self, pinned, arrived, source.shape, source.dtype)

    def empty(self, shape: Sequence[int], dtype: str) -> DeviceBuffer:
        self._check_open()
        sizes, kind = tuple(int(n) for n in shape), np.dtype(dtype)
        size = int(np.prod(sizes, dtype=np.int64)) * kind.itemsize
        return DeviceBuffer(sizes, kind, self.pool.take(max(size, 1), self.current))

    def zeros(self, shape: Sequence[int], dtype: str) -> DeviceBuffer:
        buffer, stream = self.empty(shape, dtype), self.current
        with ordered(stream, writes=[buffer.memory]):
            self.driver.memset_async(buffer.address, 0, buffer.nbytes, stream.handle)
        return buffer

    def view(self, buffer: Buffer, start: int, stop: int) -> DeviceBuffer:
        assert 0 <= start < stop <= buffer.shape[0], f"[{start}:{stop}] of {buffer.shape}"
        whole = device_buffer(buffer)
        step = whole.nbytes // whole.shape[0]
        return DeviceBuffer(
            (stop - start, *whole.shape[1:]), whole.dtype, whole.lease, offset=whole.offset + start * step
        )

    def take(self, source: Buffer, indices: Sequence[int], out: Buffer) -> None:
        whole, target, stream = device_buffer(source), device_buffer(out), self.current
        assert min(indices) >= 0, f"{indices} of {whole.shape}"
        assert max(indices) < whole.shape[0], f"{indices} of {whole.shape}"
        result = (len(indices), *whole.shape[1:])
        assert target.shape in (result, (1, *result)), f"{target.shape} for {result}"
        assert target.dtype == whole.dtype, f"{target.dtype} for {whole.dtype}"
        assert target.memory is not whole.memory, "gathered within one buffer"
        step, to = whole.nbytes // whole.shape[0], target.address
        self._check_open()
        with ordered(stream, reads=[whole.memory], writes=[target.memory]):
            for first, length in runs(indices):
                self.driver.memcpy_async(to, whole.address + first * step, length * step, "d2d", stream.handle)
                to += length * step

    def copy(self, source: DeviceBuffer, to: DeviceBuffer, stream: Stream) -> None:
        """Device to device. The caller has put it in order."""
        self.driver.memcpy_async(to.address, source.address, source.nbytes, "d2d", stream.handle)

    @contextmanager
    def stream(self, name: StreamName) -> Iterator[None]:
        before, self.current = self.current, self.streams[name]
        try:
            yield
        finally:
            self.current = before

    def synchronize(self) -> None:
        for stream in self.streams.values():
            stream.synchronize()

    def spans(self) -> list[Span]:
        """When each graph, upload and download ran on the device since the last call. Empty without `trace`."""
        return self.trace.spans()

    def close(self) -> None:
        """Wait for the device and give everything back but arrays that callers hold. Twice is fine."""
        if self._closed:
            return
        self._closed = True
        self.synchronize()
        self.trace.close()
        self.pool.close()
        self._pinned.close()
        for stream in self.streams.values():
            stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise InternalError("the backend is closed; open another one")


class _Download:
    """Holds the pinned memory until it has arrived; from then on the array does."""

    def __init__(
        self, owner: CudaBuffers, pinned: Lease, arrived: Mark, shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self._owner = owner
        self._pinned = pinned
        self._arrived = arrived
        self._shape = shape
        self._dtype = dtype
        self._array: np.ndarray | None = None

    def wait(self) -> np.ndarray:
        if self._array is None:
            if not self._owner._closed:  # closing has waited for it
                self._arrived.wait()
            self._array = np.asarray(PinnedArray(self._owner.driver, self._pinned, self._shape, self._dtype))
        return self._array


def device_buffer(buffer: Buffer) -> DeviceBuffer:
    assert isinstance(buffer, DeviceBuffer), f"a buffer of another backend: {type(buffer)}"
    return buffer


def runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """(first, length) of each run of consecutive indices: a window is gathered by one copy a run."""
    found: list[tuple[int, int]] = []
    for index in indices:
        if found and sum(found[-1]) == index:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((index, 1))
    return found
