"""The one protocol between the loop and whatever runs the graphs.

A `Backend` owns memory and opens graphs; a `Session` is one opened graph. The loop in
`runtime/` holds `Buffer`s and never looks inside: on ONNX Runtime's CPU provider a buffer is
a numpy array, on TensorRT it will be device memory with the same three attributes. Every
operation may be asynchronous; only `download` waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.spec import NetworkSpec


class Buffer(Protocol):
    """Memory of a backend. Freed by the backend that made it, at `Backend.close` at the latest."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...  # comparable with numpy's names


class Session(Protocol):
    """One opened graph."""

    spec: NetworkSpec

    def run(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer] | None = None) -> dict[str, Buffer]:
        """Bind by name and run.

        An output named in `outputs` is written there (same shape and dtype) and that buffer is
        returned; the others are fresh and belong to the caller. Raises ValueError when
        the inputs are not what `spec` promises.
        """
        ...

    def close(self) -> None: ...


class Backend(Protocol):
    """Memory, and graphs opened from files."""

    name: str  # "onnxruntime"
    device: str  # for people: "CPU, 2 threads"

    def load(self, spec: NetworkSpec, path: Path) -> Session: ...

    def upload(self, array: np.ndarray) -> Buffer:
        """A buffer with a copy of `array`."""
        ...

    def download(self, buffer: Buffer) -> np.ndarray:
        """The buffer's content, once everything queued on it is done. The caller owns the array."""
        ...

    def empty(self, shape: Sequence[int], dtype: str) -> Buffer: ...

    def zeros(self, shape: Sequence[int], dtype: str) -> Buffer: ...

    def view(self, buffer: Buffer, start: int, stop: int) -> Buffer:
        """`buffer[start:stop]` along axis 0, sharing memory."""
        ...

    def take(self, source: Buffer, indices: Sequence[int], out: Buffer) -> None:
        """`out[...] = source[indices]` along axis 0; indices may repeat. `out` may have a leading
        axis of length 1 in front of the result's shape. How a window is gathered."""
        ...

    def close(self) -> None: ...
