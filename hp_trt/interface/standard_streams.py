"""Standard input, output and error as a command can rely on them, however its process was started.

Whoever starts a process may have closed them, sent them to a full disk, or chosen an encoding that lacks the letters of
a file's name. A closed descriptor is given to the next file that is opened, which would then hold what is printed: each
leads to /dev/null instead. Letters that cannot be encoded are escaped. What standard error does not take is no reason
to end otherwise; what standard output does not take is, so that one raises.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

STDOUT, STDERR = 1, 2


@contextmanager
def settled_streams() -> Iterator[None]:
    """For the time of a command. `sys.stdout` stays None where standard output is closed, so that this can be told."""
    before = sys.stderr
    for fd in (0, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            discard(fd)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):  # what it holds back cannot be written: told when it is flushed
                stream.reconfigure(errors="backslashreplace")
    if before is None:  # print would take standard output instead
        sys.stderr = open(STDERR, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    else:
        sys.stderr = cast(TextIO, _Forgiving(before))
    try:
        yield
    finally:
        sys.stderr = before


def discard(fd: int) -> None:
    """What goes to the descriptor `fd` goes nowhere from now on, what is held back for it too."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == fd:
        os.set_inheritable(fd, True)  # as standard streams are
    else:
        os.dup2(nowhere, fd)
        os.close(nowhere)


class _Forgiving:
    """A text stream that drops what it cannot write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        """The interpreter flushes once more when it ends, and has a code of its own when that fails."""
        with suppress(OSError, ValueError):  # a stream without a descriptor
            discard(self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
