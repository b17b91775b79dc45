"""Connections of clients that do nothing: whoever sends no header, takes nothing, or goes on sending what nobody reads.

uvicorn waits for these for ever; a transport that is closed waits for its reader too, so they are aborted.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hp_trt.apps.service.config import Limits

# Of a body that goes on coming behind its answer so much is thrown away: who is cut off at once loses the answer too.
_MOST_UNREAD = 1 << 26  # bytes
_UNREAD_S = 5.0


class BoundedConnection(H11Protocol):
    """One connection."""

    limits: Limits

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._header: asyncio.TimerHandle | None = None
        self._reader: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._unread_bytes = 0
        self._is_socket = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.abort()
            return
        self._wait_for_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY:
            self._unread_bytes += len(data)
            if self._unread_bytes > _MOST_UNREAD:
                self.transport.abort()
                return
        super().data_received(data)
        if self._is_socket:  # another protocol has the transport now, with rules of its own
            return
        if self._unread is not None and self.conn.their_state is not h11.SEND_BODY:  # it came to its end after all
            self._unread, self._unread_bytes = _cancelled(self._unread), 0
        if self.cycle is not None and not self.cycle.response_complete:
            self._header = _cancelled(self._header)
        elif self._header is None:
            self._wait_for_header()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._forget()
        self._is_socket = True
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._unread = self._later(self._unread, _UNREAD_S)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader = self._later(self._reader, self.limits.reader_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reader = _cancelled(self._reader)

    def _wait_for_header(self) -> None:
        self._header = self._later(self._header, self.limits.header_s)

    def _later(self, timer: asyncio.TimerHandle | None, seconds: float) -> asyncio.TimerHandle:
        """The connection is aborted then, and not when `timer` said."""
        _cancelled(timer)
        return self.loop.call_later(seconds, self.transport.abort)

    def _forget(self) -> None:
        self._header = _cancelled(self._header)
        self._reader, self._unread = _cancelled(self._reader), _cancelled(self._unread)


def bounded_protocol(limits: Limits) -> type[BoundedConnection]:
    """uvicorn makes connections of this class itself, so the limits of a service are the class's."""
    return type("Bounded", (BoundedConnection,), {"limits": limits})


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """What is in its place: none."""
    if timer is not None:
        timer.cancel()
    return None
