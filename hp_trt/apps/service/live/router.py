"""The routes of live sessions, for an application to mount: begin, come back, end, the socket, WHIP and WHEP.

Whoever mounts them says who a caller is, looks at hosts and origins before they are reached, sockets included
(`hp_trt.apps.service.app.Gate`), and answers a Problem.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response, WebSocket
from fastapi.responses import JSONResponse

from engines.fields import parse_json
from hp_trt.apps.service.bodies import answers
from hp_trt.apps.service.live.answers import LiveRoute, body_of
from hp_trt.apps.service.live.engine import Wishes
from hp_trt.apps.service.live.sessions import LiveSessions
from hp_trt.apps.service.live.websocket import converse
from hp_trt.apps.service.live.whip import add_whip
from hp_trt.apps.service.problems import Problem

_MOST_BYTES = 4096
_REFUSED = ("unauthorized", "not-found", "too-slow", "too-large", "impossible", "busy", "draining")


def live_router(sessions: LiveSessions, *, who: Callable[..., Any]) -> APIRouter:
    """`who`: a dependency of FastAPI's that gives the caller's name, a str, or refuses."""
    router = APIRouter(prefix="/v1/live", tags=["live"], route_class=LiveRoute)
    ticket: dict[int, Any] = {201: {"content": {"application/json": {"schema": _TICKET}}}}

    @router.post("", status_code=201, responses=answers(*_REFUSED, more=ticket))
    async def begin(request: Request, caller: str = Depends(who)) -> Response:
        """A live session: its id, the ticket of its socket, which is good once and for half a minute, and the socket's
        address."""
        body = await body_of(request, _MOST_BYTES)
        try:
            wished = parse_json(body).found if body.strip() else {}
        except ValueError as error:
            text = f"the body is no JSON that can be read ({error}); send an object, or nothing"
            raise Problem("bad-request", text) from error
        session, issued = sessions.reserve(caller, Wishes.read(wished))
        said = _ticket(sessions, session, issued) | {"driver": sessions.engine.driver}
        said["ice_servers"] = sessions.ice_servers
        return JSONResponse(said, status_code=201, headers={"Location": f"/v1/live/{session}"})

    @router.post("/{session}/ticket", status_code=201, responses=answers("unauthorized", "not-found", more=ticket))
    async def come_back(session: str, caller: str = Depends(who)) -> Response:
        """Another ticket for a session whose connection broke."""
        return JSONResponse(_ticket(sessions, session, sessions.ticket(session, caller)), status_code=201)

    @router.delete("/{session}", status_code=204, responses=answers("unauthorized", "not-found"))
    async def end(session: str, caller: str = Depends(who)) -> Response:
        """End it."""
        sessions.end(session, caller)
        return Response(status_code=204)

    @router.websocket("/{session}/socket")
    async def socket(websocket: WebSocket, session: str) -> None:
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
        "socket": sessions.socket(session),
    }
