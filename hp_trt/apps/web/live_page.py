"""The live page: one document, its script and its style, served by the service itself. Nothing of another host is
loaded, and the browser is told to refuse it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, Response

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_FILES = ("live.js", "microphone.js", "live.css")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def live_page() -> APIRouter:
    """`/live` and what it needs. It calls `/v1/live` of the same host."""
    router = APIRouter(include_in_schema=False)

    @router.get("/live")
    async def page() -> Response:
        return _file("live.html")

    for name in _FILES:
        router.add_api_route(f"/live/{name}", _getter(name), methods=["GET"])
    return router


def _getter(name: str) -> Callable[[], Awaitable[Response]]:
    async def get() -> Response:
        return _file(name)

    return get


def _file(name: str) -> Response:
    path = _STATIC / name
    return Response(path.read_bytes(), media_type=_TYPES[path.suffix], headers=_HEADERS)
