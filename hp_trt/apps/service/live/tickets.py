"""Tickets: who may open the socket of which session, once, within half a minute.

A browser cannot set a header on a socket, so whoever has asked for a session over HTTP gets a ticket to show there. It
is signed, so that any process with the same secret can read it, and carries all that such a process needs: the session,
whose it is, and what was wished for. That it is used once is known to the process that took it, or, where several
share the secret, to what they share.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engines.errors import InputError
from engines.fields import parse_json

_LONGEST = 4096  # characters
_OF_WHAT = b"hp-trt live ticket 1\0"  # the secret may sign other things
_ASK = "ask for another one with POST /v1/live"


class TicketRefused(InputError):
    """A ticket that opens nothing: forged, expired, used, or of another session."""


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """What a ticket says."""

    session: str
    caller: str
    wishes: Mapping[str, Any]


class Tickets:
    """Issues tickets and takes them. `clock` is wall time in seconds, the same for all that share the `secret`.

    `ticks` is a clock that nobody sets: what was used is remembered by it, for ten times as long as a ticket lives, so
    that a wall clock which is set back makes no ticket good twice. `first_use`, given what is random in a ticket, says
    whether no other process has taken it: none does where there is one process.
    """

    def __init__(
        self,
        secret: bytes | None = None,
        *,
        lives_s: float = 30.0,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        first_use: Callable[[str], bool] = lambda once: True,
    ) -> None:
        self._secret = secrets.token_bytes(32) if secret is None else secret
        if len(self._secret) < 16:
            raise InputError(f"the secret of tickets has {len(self._secret)} bytes; give at least 16, of chance")
        self._lives_s, self._clock, self._ticks, self._first_use = lives_s, clock, ticks, first_use
        self._used: dict[str, float] = {}  # when they were used

    def issue(self, session: str, caller: str, wishes: Mapping[str, Any]) -> str:
        said = {
            "session": session,
            "caller": caller,
            "wishes": dict(wishes),
            "expires": self._clock() + self._lives_s,
            "once": secrets.token_urlsafe(9),
        }
        body = _packed(json.dumps(said, separators=(",", ":")).encode())
        return f"{body}.{_packed(self._signature(body))}"

    def take(self, ticket: str) -> Ticket:
        """What it says; it opens nothing any more. Raises TicketRefused."""
        body, _, signature = ticket.partition(".") if len(ticket) <= _LONGEST else ("", "", "")
        if not hmac.compare_digest(_packed(self._signature(body)).encode(), signature.encode("utf-8", "replace")):
            raise TicketRefused(f"the ticket is not one of this service; {_ASK}")
        field = parse_json(_unpacked(body))
        now_s, expires_s = self._clock(), field["expires"].number(-1e15, 1e15)
        # A clock that was set back does not make old tickets good again.
        if not 0 <= expires_s - now_s <= self._lives_s + 1:
            raise TicketRefused(f"the ticket has expired: it is good for {self._lives_s:g} s; {_ASK}")
        once = field["once"].text()
        ticks_s = self._ticks()
        self._used = {other: at_s for other, at_s in self._used.items() if ticks_s - at_s < 10 * self._lives_s}
        if once in self._used or not self._first_use(once):
            raise TicketRefused(f"the ticket was used already; {_ASK}")
        self._used[once] = ticks_s
        return Ticket(
            session=field["session"].text(), caller=field["caller"].text(), wishes=dict(field["wishes"].mapping())
        )

    def _signature(self, body: str) -> bytes:
        return hmac.digest(self._secret, _OF_WHAT + body.encode("utf-8", "replace"), hashlib.sha256)


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unpacked(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:  # signed by us: it is none of ours
        raise TicketRefused(f"the ticket cannot be read; {_ASK}") from error
