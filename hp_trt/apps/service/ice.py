"""Servers that WebRTC may ask for a way through a NAT: STUN says how one is seen from outside, TURN passes media on.

None is asked unless the operator names it. Both sides of a session are told of the same ones, credentials included: a
browser signs in at a TURN server by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engines.errors import InputError
from engines.fields import shown
from hp_trt.interface import arguments

_MOST = 10  # servers, and addresses of each
_LONGEST = 500
# RFC 7064 and 7065, but for addresses of IPv6, which aiortc does not read, and for stuns, which it does not ask.
_URL = re.compile(
    r"(stun|turns?):([A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)(?::(\d{1,5}))?(\?transport=[a-z]+)?"
)
_TRANSPORTS = {"stun": (None,), "turn": (None, "udp", "tcp"), "turns": (None, "tcp")}
_KEYS = ("urls", "username", "credential")
_NEEDED = "needed is stun:NAME, turn:NAME or turns:NAME, with :PORT, and of turn with ?transport=udp or tcp"


@dataclass(frozen=True, kw_only=True)
class IceServer:
    """One server. Checked when made; raises InputError."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 0 < len(self.urls) <= _MOST:
            raise InputError(f"ice_servers: a server has 1 to {_MOST} urls, got {len(self.urls)}; {_NEEDED}")
        for url in self.urls:
            _check_url(url)
        for name in ("username", "credential"):
            text = getattr(self, name)
            if text is not None and not (isinstance(text, str) and 0 < len(text) <= _LONGEST and text.isprintable()):
                raise InputError(f"ice_servers: a {name} is a text of 1 to {_LONGEST} printable letters; correct it")
        needs, has = any(url.startswith("turn") for url in self.urls), self.username is not None
        if has != (self.credential is not None) or needs != has:
            raise InputError(
                f"ice_servers: {', '.join(self.urls)} "
                + ("is a TURN server, which needs" if needs else "is a STUN server, or has one of the two without")
                + " username and credential; "
                + ("give both, as a table of the file of settings" if needs else "leave both out")
            )

    def to_json(self) -> dict[str, Any]:
        """As a browser's RTCIceServer has it."""
        made: dict[str, Any] = {"urls": list(self.urls)}
        return made if self.username is None else made | {"username": self.username, "credential": self.credential}


def read_ice_servers(where: str, value: Any) -> tuple[IceServer, ...]:
    """Of settings: addresses, or tables of `urls`, `username` and `credential`. Raises InputError, naming `where`."""
    given = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or len(given) > _MOST:
        raise InputError(f"{where} is a list of at most {_MOST} servers, got {arguments.shown(value)}")
    try:
        return tuple(_server(one) for one in given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _server(value: Any) -> IceServer:
    if isinstance(value, IceServer):
        return value
    if isinstance(value, str):
        return IceServer(urls=(value.strip(),))
    if not isinstance(value, Mapping) or "urls" not in value or value.keys() - set(_KEYS):
        named = sorted(map(str, value)) if isinstance(value, Mapping) else type(value).__name__
        raise InputError(f"a server is an address, or a table of {', '.join(_KEYS)}, got {shown(named)}")
    urls = value["urls"]
    listed = (urls,) if isinstance(urls, str) else urls
    if not isinstance(listed, list | tuple):
        raise InputError(f"urls is an address or a list of them, got {shown(urls)}")
    return IceServer(urls=tuple(listed), username=value.get("username"), credential=value.get("credential"))


def _check_url(url: Any) -> None:
    found = _URL.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        raise InputError(f"ice_servers: {shown(url)} is no address of a server; {_NEEDED}")
    scheme, _, port, transport = found.groups()
    if port is not None and not 0 < int(port) < 65_536:
        raise InputError(f"ice_servers: {shown(url)} has no port of 1 to 65535; {_NEEDED}")
    if (transport and transport.removeprefix("?transport=")) not in _TRANSPORTS[scheme]:
        raise InputError(f"ice_servers: {shown(url)} has a transport that {scheme} does not know; {_NEEDED}")
