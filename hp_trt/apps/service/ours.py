"""Whether a request that a browser sends comes from a page of the host that it asks."""

from __future__ import annotations

from urllib.parse import urlsplit

_LONGEST = 300


def is_page_of(origin: str, host: str) -> bool:
    """`origin`: as a browser sends it, http://name:port; `host`: of the same request, with its port."""
    try:
        parts = urlsplit(origin if len(origin) < _LONGEST else "")
    except ValueError:  # half a bracket
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower() != ""
