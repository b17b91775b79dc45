"""The routes of live sessions, for an application to mount: begin, come back, end, the socket, WHIP and WHEP.

Whoever mounts them says who a caller is, and which hosts and origins are ours. Both are checked here: a page of another
origin must not drive a local service, and a name that somebody else's server has given to our address must not make its
pages ours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from fastapi import APIRouter, Depends, Request, Response, WebSocket
from fastapi.responses import JSONResponse

from engines.fields import parse_json
from hp_trt.apps.service.live.answers import BadRequest, answers, body_of, route_class
from hp_trt.apps.service.live.engine import Wishes
from hp_trt.apps.service.live.ours import ForeignHost, ForeignOrigin, Ours
from hp_trt.apps.service.live.sessions import LiveSessions
from hp_trt.apps.service.live.websocket import converse
from hp_trt.apps.service.live.whip import add_whip

_MOST_BYTES = 4096


def live_router(
    sessions: LiveSessions, *, who: Callable[..., Any], hosts: Collection[str] | None, origins: Collection[str] = ()
) -> APIRouter:
    """`who`: a dependency of FastAPI's that gives the caller's name, a str, or refuses. `hosts`: names, with or without
    a port, that requests may be for, such as 127.0.0.1; None: whoever mounts them looks at hosts and origins before
    they are reached. `origins`: pages that may connect beside those of these hosts.
    """
    ours = Ours(hosts, origins)
    router = APIRouter(prefix="/v1/live", tags=["live"], route_class=route_class(ours))
    ticket: dict[int | str, Any] = {201: {"content": {"application/json": {"schema": _TICKET}}}}

    @router.post("", status_code=201, responses=ticket | answers(400, 403, 413, 422, 429, 503))
    async def begin(request: Request, caller: str = Depends(who)) -> Response:
        """A live session: its id, the ticket of its socket, which is good once and for half a minute, and the socket's
        address."""
        body = await body_of(request, _MOST_BYTES)
        try:
            wished = parse_json(body).found if body.strip() else {}
        except ValueError as error:
            raise BadRequest(f"the body is no JSON that can be read ({error}); send an object, or nothing") from error
        session, issued = sessions.reserve(caller, Wishes.read(wished))
        said = _ticket(sessions, session, issued) | {"driver": sessions.engine.driver}
        said["ice_servers"] = sessions.ice_servers
        return JSONResponse(said, status_code=201, headers={"Location": f"/v1/live/{session}"})

    @router.post("/{session}/ticket", status_code=201, responses=ticket | answers(400, 403, 404))
    async def come_back(session: str, caller: str = Depends(who)) -> Response:
        """Another ticket for a session whose connection broke."""
        return JSONResponse(_ticket(sessions, session, sessions.ticket(session, caller)), status_code=201)

    @router.delete("/{session}", status_code=204, responses=answers(400, 403, 404))
    async def end(session: str, caller: str = Depends(who)) -> Response:
        """End it."""
        sessions.end(session, caller)
        return Response(status_code=204)

    @router.websocket("/{session}/socket")
    async def socket(websocket: WebSocket, session: str) -> None:
        try:
            ours.check(websocket.headers.get("host"), websocket.headers.get("origin"))
        except (ForeignHost, ForeignOrigin):
            await websocket.close(1008)  # before it is accepted: 403, and the page learns nothing
            return
        await converse(websocket, sessions, session)

    add_whip(router, sessions, who=who)
    return router


_ICE_SERVER = {
    "type": "object",
    "required": ["urls"],
    "properties": {
        "urls": {"type": "array", "items": {"type": "string"}},
        "username": {"type": "string"},
        "credential": {"type": "string"},
    },
}
_TICKET = {
    "type": "object",
    "required": ["id", "ticket", "expires_s", "socket"],
    "properties": {
        "id": {"type": "string"},
        "ticket": {"type": "string"},
        "expires_s": {"type": "number"},
        "socket": {"type": "string"},
        "driver": {"enum": ["video", "audio"]},
        "ice_servers": {"type": "array", "items": _ICE_SERVER},
    },
}


def _ticket(sessions: LiveSessions, session: str, ticket: str) -> dict[str, Any]:
    return {
        "id": session,
        "ticket": ticket,
        "expires_s": sessions.limits.ticket_s,
        "socket": f"/v1/live/{session}/socket",
    }
