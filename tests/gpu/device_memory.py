"""The most GPU memory that was in use on the device while something ran, by looking often."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

LOOK_EVERY_S = 0.005


class PeakMemory:
    """A context manager; `peak_bytes` afterwards, None on a CPU. Counts whoever else uses the device, too."""

    def __init__(self, device: str) -> None:
        self.peak_bytes: int | None = None
        self._on = device == "cuda"
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        if self._on:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._on:
            self._thread.join()

    def _look(self) -> None:
        from cuda.bindings import runtime as cuda

        while True:
            code, free, total = cuda.cudaMemGetInfo()
            if code == cuda.cudaError_t.cudaSuccess:
                self.peak_bytes = max(self.peak_bytes or 0, total - free)
            if self._done.wait(LOOK_EVERY_S):
                return

    def __str__(self) -> str:
        return "" if self.peak_bytes is None else f", {self.peak_bytes / 2**30:.1f} GiB in use on the device at most"
