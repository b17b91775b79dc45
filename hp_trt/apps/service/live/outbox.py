"""What waits for one viewer: messages, all of them, and pictures, of which the oldest go where it is slow.

For the event loop's thread alone. A viewer that takes nothing is seen here: `slow` is true once twice as many pictures
were dropped in a row as fit, or messages pile up. A viewer over WebRTC gets no messages, and is never too slow: what
its network loses is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from hp_trt.apps.service.live.shown import Shown

Message = TypeVar("Message")
_MOST_MESSAGES = 100


class Outbox(Generic[Message]):
    """`most`: how many pictures wait. `jpeg`: whether the viewer takes them encoded."""

    def __init__(self, most: int, *, jpeg: bool) -> None:
        self.most, self.jpeg = most, jpeg
        self.dropped = 0
        self._in_a_row = 0
        self._messages: deque[Message] = deque()
        self._pictures: deque[Shown] = deque()
        self._some = asyncio.Event()
        self._closed = False

    @property
    def slow(self) -> bool:
        """Whether the viewer takes so little that there is no use in it."""
        return self._in_a_row >= 2 * self.most or len(self._messages) > _MOST_MESSAGES

    def tell(self, message: Message) -> None:
        """A message, before any picture."""
        if len(self._messages) <= _MOST_MESSAGES:
            self._messages.append(message)
            self._some.set()

    def show(self, shown: Shown) -> int:
        """Returns how many pictures were dropped for it."""
        dropped = len(self._pictures) >= self.most
        if dropped:
            self._pictures.popleft()
            self.dropped += 1
            self._in_a_row += 1
        self._pictures.append(shown)
        self._some.set()
        return int(dropped)

    async def take(self) -> Message | Shown | None:
        """The next; None once it is closed and its messages are out."""
        while True:
            if self._messages:
                return self._messages.popleft()
            if self._closed:
                return None
            if self._pictures:
                self._in_a_row = 0
                return self._pictures.popleft()
            self._some.clear()
            await self._some.wait()

    def close(self) -> None:
        """Pictures are forgotten, messages still come out. Twice is fine."""
        self._closed = True
        self._pictures.clear()
        self._some.set()
