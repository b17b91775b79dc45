"""The one protocol between the loop and whatever runs the graphs.

A `Backend` owns memory and opens graphs; a `Session` is one opened graph. The loop in `runtime/` holds `Buffer`s and
never looks inside: on ONNX Runtime a buffer is a numpy array, on TensorRT it is device memory with the same attributes.

Every operation may be asynchronous. It goes to the stream chosen by `Backend.stream`, and waits by itself for whatever
another stream still does to the buffers that it reads or writes: results never depend on the choice of streams. Only
`download`, `Pending.wait` and `synchronize` stop the host for results; a call that needs memory may stop it until some
is free, and a session's first runs of a shape until it is ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from engines.spec import NetworkSpec

StreamName = Literal["copy_in", "denoise", "decode", "copy_out"]


class Buffer(Protocol):
    """Memory of a backend. It goes back to the backend when the last reference to it and to its views is gone, and
    at `Backend.close` at the latest; work that was queued on it before still finds it."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...  # comparable with numpy's names


class Pending(Protocol):
    """A download that was begun."""

    def wait(self) -> np.ndarray:
        """The content, once it has arrived. The caller owns the array. Twice is fine: the same array."""
        ...


class Session(Protocol):
    """One opened graph."""

    spec: NetworkSpec

    def run(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer] | None = None) -> dict[str, Buffer]:
        """Bind by name and run; gives the outputs that are wanted.

        `outputs`: those, each with the buffer that it is written to (same shape and dtype) and that is returned. What
        is not among them is neither copied nor kept. None: all of them, in fresh buffers that belong to the caller.
        Raises ValueError when the inputs are not what `spec` promises, or an output is none of it.
        """
        ...

    def close(self) -> None: ...


class Backend(Protocol):
    """Memory, and graphs opened from files."""

    name: str  # "onnxruntime"
    device: str  # for people: "CPU, 2 threads"
    asynchronous: bool  # work goes on after the call that queued it: then it pays to queue ahead
    calls: int  # of graphs, that a loop may have run at one time, from as many threads, where they are independent
    concurrent: bool  # different sessions may run from different threads at once; else one thread at a time

    @property
    def has_bf16(self) -> bool:
        """Whether it can open a graph with products in bfloat16, whatever it was exported in."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how the graphs have run, a line each; empty where all is well."""
        ...

    def load(
        self,
        spec: NetworkSpec,
        path: Path,
        weights: Path | None = None,
        *,
        threads: int | None = None,
        calls: int = 1,
        bf16: bool = False,
    ) -> Session:
        """Open the graph or plan at `path`. `weights`: the graph to read them from, for a plan that carries none.

        The caller has checked the hashes of what is read here: of a plan that of its bytes, which `prepare` gave.

        `threads`: how many of the CPU's its runs may take, where it runs on one. None: all of them. `calls`: so many of
        its runs may go on at one time, and share these threads. `bf16`: with products in bfloat16, where `has_bf16`.
        """
        ...

    def prepare(self, path: Path, content: memoryview) -> None:
        """The next `load` of `path`, a plan, takes these bytes, held against their hash, and reads no file."""
        ...

    def upload(self, array: np.ndarray) -> Buffer:
        """A buffer with a copy of `array`."""
        ...

    def download(self, buffer: Buffer) -> np.ndarray:
        """The buffer's content, once everything queued on it is done. The caller owns the array."""
        ...

    def fetch(self, buffer: Buffer) -> Pending:
        """Begin a download of what the buffer holds at this point of the queue, and go on."""
        ...

    def empty(self, shape: Sequence[int], dtype: str) -> Buffer: ...

    def zeros(self, shape: Sequence[int], dtype: str) -> Buffer: ...

    def view(self, buffer: Buffer, start: int, stop: int) -> Buffer:
        """`buffer[start:stop]` along axis 0, sharing memory."""
        ...

    def take(self, source: Buffer, indices: Sequence[int], out: Buffer) -> None:
        """`out[...] = source[indices]` along axis 0; indices may repeat. `out` may have a leading
        axis of length 1 in front of the result's shape, and is no part of what `source` is a view of. How a window is
        gathered."""
        ...

    def stream(self, name: StreamName) -> AbstractContextManager[None]:
        """Queue what happens inside on this stream; outside, on "denoise". Uploads and downloads keep to their own."""
        ...

    def overlap_decode(self) -> None:
        """For live sessions: from now on graphs of the lane "decode" run beside the others, for as much more memory as
        they need, and what is opened leaves a CPU's cores to the host between its operations, where these are few.
        Nothing happens where they do anyway, or cannot. Twice is fine."""
        ...

    def synchronize(self) -> None:
        """Wait until everything queued so far is done."""
        ...

    def close(self) -> None: ...
