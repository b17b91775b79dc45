"""What the routes of live sessions answer where something is wrong: RFC 9457, by the kind of our error."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from engines.errors import FaceNotFound, HpTrtError, InputError
from hp_trt.apps.service.live.ours import ForeignHost, ForeignOrigin, Ours
from hp_trt.apps.service.live.sessions import LiveBusy, LiveDraining, LiveUnknown

_MEDIA_TYPE = "application/problem+json"
_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


class BadRequest(InputError):
    """A request that is not what the interface says."""


class TooLarge(InputError):
    """A body over the limit."""


class WrongType(InputError):
    """A body of another type than this route takes."""


_DRAINED_S = 15.0  # until a service that ends is there again

# The first that fits: status, slug, title.
_KINDS: tuple[tuple[type[HpTrtError], int, str, str], ...] = (
    (ForeignHost, 400, "foreign-host", "The request is for another host"),
    (ForeignOrigin, 403, "foreign-origin", "A page elsewhere may not do this"),
    (BadRequest, 400, "bad-request", "The request is not what the interface says"),
    (TooLarge, 413, "too-large", "More than the limit"),
    (WrongType, 415, "unsupported-media", "Nothing that is read here"),
    (LiveUnknown, 404, "not-found", "There is nothing here"),
    (LiveBusy, 429, "busy", "Everything is taken"),
    (LiveDraining, 503, "draining", "The service is ending"),
    (FaceNotFound, 422, "no-face", "No face was found"),
    (InputError, 422, "impossible", "Understood, and impossible"),
    (HpTrtError, 500, "internal", "A mistake of the service"),
)


def problem(error: HpTrtError) -> Response:
    """The answer to one of our errors."""
    status, slug, title = next(row[1:] for row in _KINDS if isinstance(error, row[0]))
    retry_s = error.retry_s if isinstance(error, LiveBusy) else _DRAINED_S
    headers = {"Retry-After": str(max(1, round(retry_s)))} if status in (429, 503) else {}
    said = {"type": f"urn:hp-trt:{slug}", "title": title, "status": status, "detail": str(error)}
    return Response(json.dumps(said), status, headers, media_type=_MEDIA_TYPE)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: these, and those that any route may have."""
    titles = {401: "A token is needed", **{status: title for _, status, _, title in reversed(_KINDS)}}
    found: dict[int | str, dict[str, Any]] = {}
    for status in sorted({400, 401, 403, 500, *statuses}):
        found[status] = {"description": titles[status], "content": {_MEDIA_TYPE: {"schema": _SCHEMA}}}
        if status in (429, 503):
            found[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
        if status == 401:
            found[status]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return found


def route_class(ours: Ours) -> type[APIRoute]:
    """Routes that are for our hosts and pages alone, and turn our errors into problems."""

    class LiveRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def checked(request: Request) -> Response:
                try:
                    ours.check(request.headers.get("host"), request.headers.get("origin"))
                    return await handle(request)
                except HpTrtError as error:
                    return problem(error)

            return checked

    return LiveRoute


async def body_of(request: Request, most_bytes: int) -> bytes:
    """All of it. Raises TooLarge while it comes."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most_bytes:
            raise TooLarge(f"the body has more than {most_bytes} bytes; send less")
    return bytes(body)
