"""Which hosts a request may be for, and which pages it may come from."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from engines.errors import InputError

_LONGEST = 300
_SHOWN = 80


class ForeignHost(InputError):
    """A request for another host."""


class ForeignOrigin(InputError):
    """A request of a page from another origin."""


class Ours:
    """`hosts`: names, with or without a port; None: all, and any origin. `origins`: as browsers send them,
    http://name:port."""

    def __init__(self, hosts: Collection[str] | None, origins: Collection[str]) -> None:
        self._hosts = None if hosts is None else {host.lower() for host in hosts}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    def check(self, host: str | None, origin: str | None) -> None:
        """Raises ForeignHost, ForeignOrigin. Where there is no Origin a program asks, not a page."""
        if self._hosts is None:
            return
        name = (host or "").lower()
        without_port = name[: name.rindex(":")] if ":" in name.rpartition("]")[2] else name
        if not name or not {name, without_port} & self._hosts:
            raise ForeignHost(f"this server is not called {name[:_SHOWN]!r}; use an address that it was started with")
        if origin is None or origin.lower() in self._origins:
            return
        if not _is_page_of(origin, name):
            raise ForeignOrigin(f"a page of {origin[:_SHOWN]!r} may not use this service; open the service's own page")


def _is_page_of(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin if len(origin) < _LONGEST else "")
    except ValueError:  # half a bracket
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host
