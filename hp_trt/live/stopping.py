"""Ctrl-C and kill end a live run in order: the first asks, the second does not wait."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Stop:
    """`event` is set once the run should end. `number` is the signal that asked, None where none did."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.number: signal.Signals | None = None
        self.protected = False  # while a recording is completed, no signal interrupts

    def on_signal(self, number: int, *_: Any) -> None:
        if self.number is not None and not self.protected:
            raise KeyboardInterrupt
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
