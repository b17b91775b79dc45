"""The few CUDA calls that sessions need, as a protocol and over `cuda.bindings.runtime`.

Everything above speaks of addresses, streams, events and graphs as whole numbers. A code that is not success becomes an
exception that names the call. `cuda.bindings` is imported when a `CudaDriver` is made, and nowhere else.
"""

from __future__ import annotations

import ctypes
import importlib
import threading
from typing import Any, Literal, Protocol

import numpy as np

from engines.errors import EngineMismatch, HpTrtError, InternalError

CopyKind = Literal["h2d", "d2h", "d2d"]


class Driver(Protocol):
    """One device. Whole numbers are handles: 0 is none of them."""

    def malloc(self, size: int) -> int:
        """Device memory, aligned to 256 bytes. Raises EngineMismatch when there is not enough."""
        ...

    def free(self, address: int) -> None: ...

    def host_alloc(self, size: int) -> int:
        """Pinned host memory, which copies can read and write while the host goes on."""
        ...

    def host_free(self, address: int) -> None: ...

    def host_view(self, address: int, size: int) -> np.ndarray:
        """(size,) uint8 over pinned memory, for the host to read and write now: nothing queued may use it."""
        ...

    def memcpy_async(self, to: int, source: int, size: int, kind: CopyKind, stream: int) -> None: ...

    def memset_async(self, address: int, value: int, size: int, stream: int) -> None: ...

    def stream_create(self, *, urgent: bool = False) -> int:
        """`urgent`: its waiting work goes before that of the others, where both are ready."""
        ...

    def stream_destroy(self, stream: int) -> None: ...

    def stream_synchronize(self, stream: int) -> None: ...

    def stream_wait(self, stream: int, event: int) -> None:
        """What is queued on `stream` from now on waits for what `event` holds now."""
        ...

    def event_create(self, *, timed: bool = False) -> int: ...

    def event_destroy(self, event: int) -> None: ...

    def event_record(self, event: int, stream: int) -> None:
        """`event` is what `stream` has queued until now; what it was before is forgotten."""
        ...

    def event_query(self, event: int) -> bool:
        """Whether it has happened."""
        ...

    def event_synchronize(self, event: int) -> None: ...

    def event_elapsed_s(self, start: int, end: int) -> float:
        """Seconds between two timed events that have happened."""
        ...

    def capture_begin(self, stream: int) -> None:
        """What is queued on `stream` from now on is written down instead of done."""
        ...

    def capture_end(self, stream: int) -> int:
        """The graph of what was written down."""
        ...

    def graph_instantiate(self, graph: int) -> int:
        """Something that `graph_launch` takes; it does not need `graph` any more."""
        ...

    def graph_launch(self, executable: int, stream: int) -> None: ...

    def graph_destroy(self, graph: int) -> None: ...

    def executable_destroy(self, executable: int) -> None: ...

    def clear_error(self) -> None:
        """The last error is told and over: libraries that ask for it beside us would take it for theirs."""
        ...

    def memory_info(self) -> tuple[int, int]:
        """Free and total bytes of the device."""
        ...

    def make_current(self) -> None:
        """For libraries that use CUDA beside us: this thread means our device."""
        ...


class CudaDriver:
    """`Driver` over the CUDA runtime. Any thread may call it, one at a time.

    `cuda`: the module cuda.bindings.runtime, imported when not given.
    """

    def __init__(self, device_id: int = 0, cuda: Any = None) -> None:
        self._cuda = cuda = cuda or importlib.import_module("cuda.bindings.runtime")
        self._device_id = device_id
        self._thread = threading.local()
        kinds = cuda.cudaMemcpyKind
        self._kinds = {
            "h2d": kinds.cudaMemcpyHostToDevice,
            "d2h": kinds.cudaMemcpyDeviceToHost,
            "d2d": kinds.cudaMemcpyDeviceToDevice,
        }
        self.make_current()

    def malloc(self, size: int) -> int:
        try:
            return int(self._call("cudaMalloc", size))
        except _OutOfMemory as error:
            free, total = self.memory_info()
            raise out_of_memory(size, free, total) from error

    def free(self, address: int) -> None:
        self._call("cudaFree", address)

    def host_alloc(self, size: int) -> int:
        try:
            return int(self._call("cudaHostAlloc", size, self._cuda.cudaHostAllocDefault))
        except _OutOfMemory as error:
            raise EngineMismatch(
                f"{size / 1e9:.2f} GB of pinned host memory cannot be had; let go of frames that are not needed any "
                "more, or give this process more memory"
            ) from error

    def host_free(self, address: int) -> None:
        self._call("cudaFreeHost", address)

    def host_view(self, address: int, size: int) -> np.ndarray:
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def memcpy_async(self, to: int, source: int, size: int, kind: CopyKind, stream: int) -> None:
        self._call("cudaMemcpyAsync", to, source, size, self._kinds[kind], stream)

    def memset_async(self, address: int, value: int, size: int, stream: int) -> None:
        self._call("cudaMemsetAsync", address, value, size, stream)

    def stream_create(self, *, urgent: bool = False) -> int:
        least, greatest = self._call("cudaDeviceGetStreamPriorityRange")  # the greatest is the lowest number
        priority = greatest if urgent else least
        return int(self._call("cudaStreamCreateWithPriority", self._cuda.cudaStreamNonBlocking, priority))

    def stream_destroy(self, stream: int) -> None:
        self._call("cudaStreamDestroy", stream)

    def stream_synchronize(self, stream: int) -> None:
        self._call("cudaStreamSynchronize", stream)

    def stream_wait(self, stream: int, event: int) -> None:
        self._call("cudaStreamWaitEvent", stream, event, 0)

    def event_create(self, *, timed: bool = False) -> int:
        flags = self._cuda.cudaEventDefault if timed else self._cuda.cudaEventDisableTiming
        return int(self._call("cudaEventCreateWithFlags", flags))

    def event_destroy(self, event: int) -> None:
        self._call("cudaEventDestroy", event)

    def event_record(self, event: int, stream: int) -> None:
        self._call("cudaEventRecord", event, stream)

    def event_query(self, event: int) -> bool:
        self.make_current()
        (code,) = self._cuda.cudaEventQuery(event)
        if code == self._cuda.cudaError_t.cudaErrorNotReady:
            self.clear_error()  # an answer, and yet it stays as the last error, for others to find
            return False
        self._check("cudaEventQuery", code)
        return True

    def event_synchronize(self, event: int) -> None:
        self._call("cudaEventSynchronize", event)

    def event_elapsed_s(self, start: int, end: int) -> float:
        return float(self._call("cudaEventElapsedTime", start, end)) / 1e3

    def capture_begin(self, stream: int) -> None:
        # Of this thread: what others do meanwhile, such as allocate, is none of the graph's business.
        self._call("cudaStreamBeginCapture", stream, self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)

    def capture_end(self, stream: int) -> int:
        return int(self._call("cudaStreamEndCapture", stream))

    def graph_instantiate(self, graph: int) -> int:
        return int(self._call("cudaGraphInstantiate", graph, 0))

    def graph_launch(self, executable: int, stream: int) -> None:
        self._call("cudaGraphLaunch", executable, stream)

    def graph_destroy(self, graph: int) -> None:
        self._call("cudaGraphDestroy", graph)

    def executable_destroy(self, executable: int) -> None:
        self._call("cudaGraphExecDestroy", executable)

    def clear_error(self) -> None:
        self.make_current()
        self._cuda.cudaGetLastError()  # its code is the error itself

    def memory_info(self) -> tuple[int, int]:
        free, total = self._call("cudaMemGetInfo")
        return int(free), int(total)

    def make_current(self) -> None:
        if not getattr(self._thread, "ready", False):
            (code,) = self._cuda.cudaSetDevice(self._device_id)
            self._check("cudaSetDevice", code)
            self._thread.ready = True

    def _call(self, name: str, *arguments: Any) -> Any:
        """What the call returns beside its code: nothing, one value or several."""
        self.make_current()
        code, *values = getattr(self._cuda, name)(*arguments)
        self._check(name, code)
        return values[0] if len(values) == 1 else values

    def _check(self, name: str, code: Any) -> None:
        if code == self._cuda.cudaError_t.cudaSuccess:
            return
        if code == self._cuda.cudaError_t.cudaErrorMemoryAllocation:
            self.clear_error()  # this one is over when it is told; others stay
            raise _OutOfMemory(f"{name} failed: {code.name}")
        raise InternalError(f"{name} failed: {code.name}")


class _OutOfMemory(InternalError):
    """Told better by whoever knows how much was wanted; raised as it is by calls that allocate on their own."""


def out_of_memory(size: int, free: int, total: int) -> HpTrtError:
    """What to raise for `size` bytes of device memory where there are only so many."""
    return EngineMismatch(
        f"{size / 1e9:.2f} GB of GPU memory were wanted, {free / 1e9:.2f} of {total / 1e9:.2f} GB are free; "
        "close other programs on this GPU, or use a bundle with a smaller --size or --frames: "
        f"{free / 1e9:.2f} GB would fit"
    )
