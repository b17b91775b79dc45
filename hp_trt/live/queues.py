"""Queues that never grow, and what they do when they are full."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, Literal, TypeVar, get_args

from engines.errors import InputError, LiveTimeout
from hp_trt.interface import arguments

Policy = Literal["block", "drop-oldest", "latest"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
Item = TypeVar("Item")


class Ended(Exception):  # no error: how a queue says that nothing more comes
    """Nothing more comes out, or may be put in."""


class BoundedQueue(Generic[Item]):
    """At most `most` items, in order, between any number of threads.

    Full, it makes whoever puts wait ("block"), lets go of the oldest item ("drop-oldest"), or of all of them ("latest":
    what is taken is as new as can be). Closed, it still gives what it holds. Aborted, it gives nothing. Nobody waits on
    a queue that has ended.
    """

    def __init__(self, most: int, policy: Policy = "block") -> None:
        if not isinstance(policy, str) or policy not in POLICIES:
            raise InputError(f"there is no policy {arguments.shown(policy)}; there are: {', '.join(POLICIES)}")
        if most < 1:
            raise InputError(f"a queue holds at least 1 item, got {most}")
        self.most, self.policy = most, policy
        self.dropped = 0
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        """Whether nothing more goes in."""
        return self._closed

    @property
    def full(self) -> bool:
        return len(self._items) >= self.most

    def put(self, item: Item) -> int:
        """Append; returns how many older items were let go of for it. Raises Ended."""
        with self._changed:
            if self.policy == "block":
                self._changed.wait_for(lambda: self._closed or not self.full)
            if self._closed:
                raise Ended
            before = self.dropped
            if self.policy == "latest":
                self._drop(len(self._items))
            elif self.full:
                self._drop(1)
            self._items.append(item)
            self._changed.notify_all()
            return self.dropped - before

    def wait_for_room(self) -> None:
        """Until the next `put` would neither wait nor let go of anything. Raises Ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self.full)
            if self._closed:
                raise Ended

    def get(self, timeout_s: float | None = None) -> Item:
        """The oldest item, as soon as there is one. Raises Ended, LiveTimeout."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._items:
                if self._closed:
                    raise Ended
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise LiveTimeout(f"nothing came within {timeout_s:g} s; pull again, or see the session's stats")
                self._changed.wait(left if left is None else min(left, threading.TIMEOUT_MAX))
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[Item]:
        """The items as they come, until it has ended."""
        while True:
            try:
                yield self.get()
            except Ended:
                return

    def close(self, last: Iterable[Item] = ()) -> None:
        """Nothing more goes in but `last`, room or not; what is inside still comes out. Twice is fine."""
        with self._changed:
            if not self._closed:
                self._items.extend(last)
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Close, and forget what is inside; it does not count as dropped."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._items.popleft()
        self.dropped += count
