"""Pipes and files as PyAV reads and writes them, so that no wait is without end.

FFmpeg's own file input and output cannot be woken once it waits for a pipe, and goes on writing to a disk that is full.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress
from pathlib import Path

_TICK_MS = 100  # how long a wait may take to notice that the run ends
_AT_ONCE = 4096  # bytes that a pipe which has room takes without waiting (POSIX: PIPE_BUF)
LAST_WAIT_S = 2.0  # for a reader, once the run ends


class PipeReader:
    """A file object for `av.open`. TimeoutError when nothing comes for `timeout_s`; empty once `stop` is set.

    `stopped_by` is what ended the wait from outside, such as Ctrl-C: FFmpeg would swallow it.
    """

    def __init__(self, fd: int, *, timeout_s: float, stop: threading.Event) -> None:
        self._fd, self._timeout_s, self._stop = fd, timeout_s, stop
        self.stopped_by: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            if not _wait(self._fd, select.POLLIN, self._stop, self._timeout_s):
                if self._stop.is_set():
                    return b""
                raise TimeoutError(f"nothing came for {self._timeout_s:g} s")
            return os.read(self._fd, size)
        except Exception:
            raise
        except BaseException as error:
            self.stopped_by = error
            return b""


class PipeWriter:
    """A file object for `av.open`; waits for a slow reader until `stop` is set, then a little more."""

    def __init__(self, fd: int, *, stop: threading.Event) -> None:
        self._fd, self._stop = fd, stop
        self._broken: OSError | None = None

    def write(self, data: bytes) -> int:
        """All of `data`. BrokenPipeError: the reader is gone; TimeoutError: the run ends, and it reads no more."""
        if self._broken:
            raise self._broken
        rest = memoryview(data)
        try:
            while rest:
                if not _wait(self._fd, select.POLLOUT, self._stop, None):
                    ended_s = time.monotonic()
                    while not _wait(self._fd, select.POLLOUT, None, _TICK_MS / 1000):
                        if time.monotonic() - ended_s > LAST_WAIT_S:
                            raise TimeoutError("nobody reads it any more")
                rest = rest[os.write(self._fd, rest[:_AT_ONCE]) :]
        except OSError as error:
            self._broken = error
            raise
        return len(data)


class PartWriter:
    """A file object for `av.open` on `path`. After the first write that fails it takes everything and writes nothing.

    So what a full disk has left stays as it is: a muxer that completes a file half would make it worse.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b", buffering=0)
        self._position = 0
        self.broken: OSError | None = None

    def write(self, data: bytes) -> int:
        if not self.broken:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[self._file.write(rest) or 0 :]
            except OSError as error:
                self.broken = error
                raise
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        if self.broken:
            self._position = offset if whence == 0 else self._position + offset
            return self._position
        self._position = self._file.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    def settle(self) -> None:
        """Wait until the disk has it all. OSError: it has not, though it took it."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self.broken = error
            raise

    def shut(self) -> None:
        """Not `close`: PyAV would call that too early."""
        with suppress(OSError):
            self._file.close()


def _wait(fd: int, events: int, stop: threading.Event | None, timeout_s: float | None) -> bool:
    """Whether `fd` is ready, within `timeout_s` and before `stop`. A pipe whose other end is gone counts as ready."""
    poll = select.poll()
    poll.register(fd, events)
    end_s = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        if poll.poll(0 if stop and stop.is_set() else _TICK_MS):
            return True
        if (stop and stop.is_set()) or (end_s is not None and time.monotonic() >= end_s):
            return False
