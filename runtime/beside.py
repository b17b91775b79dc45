"""Calls of graphs that run beside one another, where they do not need each other's results.

Two calls with a core each make more than two calls after another with two cores each: small operations do not scale,
and between them threads wait for one another. Which results there are does not depend on it: a call has the same
inputs whenever it runs, and whoever began it takes what it made, in the thread that began it.

Where a backend runs one call at a time, or orders its work itself, what is begun is done when `begin` returns.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")


class Beside:
    """`calls` at one time (`engines.backend.Backend.calls`); more wait for their turn, in the order they were begun."""

    def __init__(self, calls: int = 1) -> None:
        self.calls = calls
        self._pool = ThreadPoolExecutor(calls, thread_name_prefix="call") if calls > 1 else None

    def begin(self, call: Callable[[], Made]) -> Future[Made]:
        """Have `call` run. What it raises is raised by the future; here, where nothing runs beside it."""
        if self._pool is not None:
            return self._pool.submit(call)
        done: Future[Made] = Future()
        done.set_result(call())
        return done

    def close(self) -> None:
        """Wait for those that run; those that wait for their turn never do. Twice is fine."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
