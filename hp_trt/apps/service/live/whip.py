"""WHIP in and WHEP out: a live session's media for programs that speak neither our socket nor JavaScript.

OBS and others send by WHIP (RFC 9725) what drives the portrait, players receive by WHEP what is animated. An offer is
posted, the answer comes back whole with a `Location`, and DELETE there ends it. Who sends keeps the session alive as a
socket does; who only watches does not.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from engines.errors import InputError
from hp_trt.apps.service.bodies import answers
from hp_trt.apps.service.live.answers import body_of
from hp_trt.apps.service.live.protocol import MOST_TEXT
from hp_trt.apps.service.live.sessions import LiveBusy, LiveSessions, LiveUnknown
from hp_trt.apps.service.live.webrtc import Peer
from hp_trt.apps.service.problems import Problem

_SDP = "application/sdp"
_MOST = {"whip": 1, "whep": 4}  # each viewer is another encoder
_OFFER = {"requestBody": {"required": True, "content": {_SDP: {"schema": {"type": "string"}}}}}
_ANSWER: dict[int, Any] = {201: {"content": {_SDP: {"schema": {"type": "string"}}}}}
_REFUSED = (
    "unauthorized", "not-found", "too-slow", "too-large", "unsupported-media", "impossible", "busy", "draining",
)  # fmt: skip


def add_whip(router: APIRouter, sessions: LiveSessions, *, who: Callable[..., Any]) -> None:
    """Add the routes to `router`."""
    peers: dict[tuple[str, str], tuple[str, Peer]] = {}  # session and resource -> whip or whep, and which

    async def negotiate(request: Request, session: str, caller: str, kind: str) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _SDP:
            raise Problem("unsupported-media", f"an offer is of type {_SDP}; send it as that")
        sdp = (await body_of(request, MOST_TEXT)).decode("utf-8", "replace")
        channel = sessions.of(session, caller)
        if not channel.chosen:
            raise InputError("the session has no portrait; name one with POST /v1/live, or send one on its socket")
        others = sum(of == session and name == kind for (of, _), (name, _) in peers.items())
        if others >= _MOST[kind]:
            raise LiveBusy(f"{others} are there by {kind} already, at most {_MOST[kind]} may be", retry_s=5)
        resource = secrets.token_urlsafe(9)
        peer = Peer(channel, ice_servers=sessions.ice_servers, join=kind == "whip")
        peers[session, resource] = kind, peer  # at once: others come while this one gathers
        peer.when_gone(lambda: peers.pop((session, resource), None))
        answer = await peer.answer(sdp, sends=kind == "whep", receives=kind == "whip")
        return Response(answer, 201, {"Location": f"/v1/live/{session}/{kind}/{resource}"}, media_type=_SDP)

    responses = answers(*_REFUSED, more=_ANSWER)

    @router.post("/{session}/whip", status_code=201, responses=responses, openapi_extra=_OFFER)
    async def whip(request: Request, session: str, caller: str = Depends(who)) -> Response:
        """Send what drives the portrait: an offer of WebRTC's; the answer comes back."""
        return await negotiate(request, session, caller, "whip")

    @router.post("/{session}/whep", status_code=201, responses=responses, openapi_extra=_OFFER)
    async def whep(request: Request, session: str, caller: str = Depends(who)) -> Response:
        """Watch: an offer of WebRTC's; the answer comes back."""
        return await negotiate(request, session, caller, "whep")

    @router.delete("/{session}/{kind}/{resource}", responses=answers("unauthorized", "not-found"))
    async def leave(session: str, kind: str, resource: str, caller: str = Depends(who)) -> Response:
        """End one of the two."""
        found = peers.get((session, resource))
        if found is None or found[0] != kind or found[1].caller != caller:
            raise LiveUnknown("nothing is sent or watched there; see the Location of the answer")
        await found[1].close()
        return Response(status_code=200)
