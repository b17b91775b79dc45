"""Whose turn it is at the graphs of a Runtime: threads that animate with one Runtime, kept apart.

Sessions, buffers and face locators are for one thread at a time. Each piece of a clip, from one frame that it gives to
the next, is made in a turn; between two pieces any other thread may have its turn. So a clip that nobody takes frames
of holds up nobody, and two clips in one thread go on side by side as well. What a clip keeps from piece to piece is its
own, so the order of turns changes no bit of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Protocol, TypeVar
from weakref import WeakSet

from engines.errors import InputError

Item = TypeVar("Item")


class Abortable(Protocol):
    """What ends before the graphs do: a live session."""

    def abort(self) -> None: ...


class Turns:
    """The turns at one Runtime's graphs, until it is closed."""

    def __init__(self) -> None:
        # Reentrant: whoever listens to events is called in the middle of a turn, and may encode a portrait.
        self.lock = threading.RLock()
        self.closed = False
        self._sessions: WeakSet[Abortable] = WeakSet()

    def check_open(self) -> None:
        """Raises InputError when the runtime is closed."""
        if self.closed:
            raise InputError("this Runtime is closed; open another one")

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A turn, as soon as nobody else has one. Raises InputError when the runtime is closed."""
        with self.lock:
            self.check_open()
            yield

    def one_by_one(self, items: Generator[Item, None, None]) -> Generator[Item, None, None]:
        """The same items, each made in a turn of its own."""
        with closing(items):
            while True:
                with self.taken():
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item

    def end_with_it(self, session: Abortable) -> None:
        """`session` is aborted when the runtime is closed."""
        self._sessions.add(session)

    def close(self, release: Callable[[], None]) -> None:
        """Nobody gets a turn from now on; `release` is called in the last one. Twice is fine."""
        with self.lock:
            self.closed = True
            sessions = list(self._sessions)
        for session in sessions:  # not in a turn: their threads may wait for one
            session.abort()
        with self.lock:
            release()
