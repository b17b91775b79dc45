"""Ctrl-C and kill end a live run in order: the first asks, the second does not wait.

Neither raises: an exception in the middle of what FFmpeg asks of us would be lost there, and a file with it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Stop:
    """`event` is set once the run should end, `hurry` once it should not wait for anything any more.

    `number` is the signal that asked, None where none did.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.hurry = threading.Event()
        self.number: signal.Signals | None = None

    def on_signal(self, number: int, *_: Any) -> None:
        if self.number is not None:
            self.hurry.set()
        self.number = signal.Signals(number)
        self.event.set()


@contextmanager
def stopping(stop: Stop) -> Iterator[Stop]:
    """Ctrl-C and SIGTERM set `stop` inside the block. Elsewhere than in the main thread signals stay as they are."""
    before: dict[signal.Signals, Any] = {}
    with suppress(ValueError):  # not the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, stop.on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
