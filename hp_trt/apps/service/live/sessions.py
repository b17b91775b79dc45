"""Which live sessions there are, whose they are, and how many more there may be.

`reserve` is what `POST /v1/live` does: it keeps a place for as long as its ticket lives. `enter` is what the socket
does with the ticket, in this process or another one with the same secret. For the event loop's thread alone.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engines.errors import HpTrtError, InputError
from hp_trt.apps.service.live.channel import LiveChannel, Meter
from hp_trt.apps.service.live.engine import Engine, Portraits, Wishes, no_portraits
from hp_trt.apps.service.live.limits import LiveLimits
from hp_trt.apps.service.live.pictures import shrunk
from hp_trt.apps.service.live.protocol import Draining
from hp_trt.apps.service.live.tickets import TicketRefused, Tickets
from hp_trt.apps.service.live.watch import DRAINED, LEFT
from hp_trt.encoded.encoded_file import is_encoded
from hp_trt.media.images import load_image
from hp_trt.media.portrait import Picture, Portrait

_RETRY_S = 5.0  # to a cluster whose places are taken


class LiveBusy(HpTrtError):
    """Every place is taken, the caller's or all; `retry_s`: when to ask again."""

    def __init__(self, message: str, *, retry_s: float) -> None:
        super().__init__(message)
        self.retry_s = retry_s


class LiveDraining(HpTrtError):
    """The server is about to end, and begins nothing."""


class LiveUnknown(InputError):
    """No session of that id, or not the caller's."""


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """A place for a session."""

    caller: str
    wishes: Wishes
    until_s: float  # on the monotonic clock


class LiveShared(Protocol):
    """What processes that share a secret tell each other. For the event loop's thread: none of it takes long.

    `here`: whether this process has sessions; one that has none gives tickets for the others'. `sockets`: below which
    address their sockets are.
    """

    @property
    def here(self) -> bool: ...
    @property
    def sockets(self) -> str: ...

    def processes(self) -> int:
        """How many of the others have sessions."""

    def first_use(self, once: str) -> bool:
        """Whether a ticket was taken by none of them, and is taken now."""

    def elsewhere(self, caller: str | None = None) -> int:
        """How many sessions of a caller the others have; None: of all callers."""

    def tell(self, callers: Sequence[str]) -> None:
        """Whose sessions this process has now."""


def _any(wishes: Wishes) -> None:
    pass


def _no_meter(name: str, value: float, where: str) -> None:
    pass


class LiveSessions:
    """The sessions on one engine.

    `portraits` finds a caller's portrait by its id. `check` raises HpTrtError for wishes that no session can have,
    before there is a place for one. `secret` signs tickets: the same in all processes that share them. `ice_servers`
    are WebRTC's, for both sides; none of other people's unless they stand here. `meter` hears of `sessions`,
    `latency_s` and `ended`, each with a value and where. `shared`: this is one of several processes, and which of them
    a ticket will come to is not known: none keeps a place for it.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        portraits: Portraits = no_portraits,
        check: Callable[[Wishes], None] = _any,
        limits: LiveLimits | None = None,
        secret: bytes | None = None,
        ice_servers: Sequence[Mapping[str, Any]] = (),
        meter: Meter = _no_meter,
        shared: LiveShared | None = None,
    ) -> None:
        self.engine, self.limits, self.ice_servers = engine, limits or LiveLimits(), tuple(ice_servers)
        more: dict[str, Any] = {} if shared is None else {"first_use": shared.first_use}
        self.tickets = Tickets(secret, lives_s=self.limits.ticket_s, **more)
        self._shared = shared
        self._portraits, self._check, self._meter = portraits, check, meter
        self._channels: dict[str, LiveChannel] = {}
        self._reserved: dict[str, Reserved] = {}
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._channels)

    def reserve(self, caller: str, wishes: Wishes) -> tuple[str, str]:
        """A place for a session: its id, and the ticket that opens its socket. Raises LiveBusy, LiveDraining, and what
        `check` and `portraits` raise."""
        self._check(wishes)
        if wishes.portrait is not None:
            self._portraits(caller, wishes.portrait)
        session = secrets.token_urlsafe(12)
        self._check_room(caller, session)
        if self._shared is None:
            until_s = time.monotonic() + self.limits.ticket_s
            self._reserved[session] = Reserved(caller=caller, wishes=wishes, until_s=until_s)
        return session, self.tickets.issue(session, caller, wishes.as_json())

    def socket(self, session: str) -> str:
        """The address of a session's socket, without host."""
        return f"{'/v1/live' if self._shared is None else self._shared.sockets}/{session}/socket"

    def ticket(self, session: str, caller: str) -> str:
        """Another ticket for a session that is there: its connection broke. Raises LiveUnknown."""
        channel = self._channels.get(session)
        if channel is None or channel.caller != caller or channel.end is not None:
            raise _unknown(session)
        return self.tickets.issue(session, caller, {})

    def enter(self, session: str, ticket: str) -> LiveChannel:
        """The session that a ticket is for, begun where it is not there. Raises TicketRefused, LiveBusy, LiveUnknown,
        LiveDraining."""
        said = self.tickets.take(ticket)
        if said.session != session:
            raise TicketRefused("the ticket is for another session; ask for one with POST /v1/live")
        return self._channels.get(session) or self._begin(session, said.caller, Wishes.read(said.wishes))

    def of(self, session: str, caller: str) -> LiveChannel:
        """A caller's session, begun where a place was reserved for it. Raises LiveUnknown, LiveBusy, LiveDraining."""
        channel = self._channels.get(session)
        if channel is not None and channel.caller == caller and channel.end is None:
            return channel
        reserved = self._reserved.get(session)
        if reserved is None or reserved.caller != caller or reserved.until_s < time.monotonic():
            raise _unknown(session)
        return self._begin(session, caller, reserved.wishes)

    def end(self, session: str, caller: str) -> None:
        """The caller wants no more of it. Raises LiveUnknown."""
        if self._reserved.get(session, None) is not None and self._reserved[session].caller == caller:
            del self._reserved[session]
            return
        self.of(session, caller).finish(LEFT)

    def choose(self, channel: LiveChannel, portrait: str) -> None:
        """Another portrait of the service's own, by its id."""
        channel.choose(lambda: self._small(self._portraits(channel.caller, portrait)))

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, tell whoever is connected, and end all of it after so many seconds at the latest."""
        self._draining = True
        self._reserved.clear()
        for channel in self._channels.values():
            channel.tell(Draining(seconds=seconds))
        await self._empty(seconds)
        await self.close()

    async def close(self) -> None:
        """End every session; returns once none of their threads runs."""
        self._draining = True
        for channel in tuple(self._channels.values()):
            channel.finish(DRAINED)
        await self._empty(None)

    async def _empty(self, seconds: float | None) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _begin(self, session: str, caller: str, wishes: Wishes) -> LiveChannel:
        if self._shared is not None and not self._shared.here:
            raise LiveUnknown(f"no session is here; its socket is below {self._shared.sockets}, as POST /v1/live said")
        self._check_room(caller, session)
        self._reserved.pop(session, None)
        channel = LiveChannel(
            session=session, caller=caller, engine=self.engine, wishes=wishes, limits=self.limits, meter=self._meter
        )
        self._channels[session] = channel
        self._tell_count()
        task = asyncio.create_task(self._forget(channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if wishes.portrait is not None:
            self.choose(channel, wishes.portrait)
        return channel

    async def _forget(self, channel: LiveChannel) -> None:
        """Its place is free when nothing of it runs any more."""
        await channel.closed.wait()
        del self._channels[channel.id]
        self._tell_count()

    def _tell_count(self) -> None:
        self._meter("sessions", len(self._channels), "")
        if self._shared is not None:
            self._shared.tell([channel.caller for channel in self._channels.values()])

    def _check_room(self, caller: str, session: str) -> None:
        if self._draining:
            raise LiveDraining("the server is about to end; ask again in a moment")
        now_s = time.monotonic()
        self._reserved = {name: one for name, one in self._reserved.items() if one.until_s >= now_s}
        others: list[LiveChannel | Reserved] = [one for name, one in self._channels.items() if name != session]
        others += [one for name, one in self._reserved.items() if name != session]
        own = sum(one.caller == caller for one in others)
        if (shared := self._shared) is not None:
            own += shared.elsewhere(caller)
            if not shared.here and shared.elsewhere() >= (most := self.limits.sessions * shared.processes()):
                raise LiveBusy(f"all {most} places for live sessions are taken; ask again later", retry_s=_RETRY_S)
        if own >= self.limits.sessions_of_a_caller:
            raise LiveBusy(
                f"{_live(own)} of yours already, at most {self.limits.sessions_of_a_caller} may be; end one first",
                retry_s=self._retry_s(others),
            )
        if len(others) >= self.limits.sessions:
            raise LiveBusy(
                f"{_live(len(others))} here already, at most {self.limits.sessions} may be; ask again later",
                retry_s=self._retry_s(others),
            )

    def _retry_s(self, others: Iterable[LiveChannel | Reserved]) -> float:
        """A place that nobody has come for is free soon, one that is taken at any time."""
        free_s = [one.until_s - time.monotonic() for one in others if isinstance(one, Reserved)]
        return max(1.0, min(free_s, default=self.limits.ticket_s))

    def _small(self, portrait: Portrait | Picture) -> Portrait | Picture:
        """A picture from a file no larger than what is sent live; others, and what is encoded already, as they are."""
        if isinstance(portrait, Path | str) and not is_encoded(portrait):
            return shrunk(load_image(portrait), self.limits.portrait_px)
        return portrait


def _live(count: int) -> str:
    return "1 live session is" if count == 1 else f"{count} live sessions are"


def _unknown(session: str) -> LiveUnknown:
    return LiveUnknown(f"there is no live session {session[:40]!r} of yours; begin one with POST /v1/live")
