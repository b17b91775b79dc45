"""What stands before Gradio: who may come in, which of its many addresses there are here, and what may be said to them.

Gradio serves uploads, files, proxies, recordings and editors of code. The page uses none of these: it loads, it calls
its functions and it hears their answers. Everything else has no address. A call has only texts, numbers and flags:
Gradio takes an object with a path for a file, and fetches it where it is an address on the net.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.fields import parse_json
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.ours import is_page_of
from hp_trt.apps.service.problems import MEDIA_TYPE, Problem
from hp_trt.apps.service.uploads import body_chunks
from hp_trt.apps.web.login import Visitors
from hp_trt.apps.web.routes import CLOSED

MOUNT = "/page"
JOIN, DATA = "/gradio_api/queue/join", "/gradio_api/queue/data"
_READ = re.compile(r"/|/config|/theme\.css|/(assets|static)/(?!.*\.\.)[\w./@-]+|/gradio_api/queue/data")
_SESSION = re.compile(r"[0-9a-zA-Z]{1,40}")
_MOST_CALL_BYTES = 1 << 16
_LIVES_S = 31_536_000  # of files whose names have a hash in them
_OWNER = "hp_trt.page_owner"  # in a request's scope
# Gradio's templates are compiled in the browser (unsafe-eval), and its style stands in elements.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; frame-src 'self'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = CLOSED | {
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
    "Cache-Control": "no-store",
}
_FOREIGN = re.compile(r'[ \t]*<meta\s+(property="og:|name="twitter:)[^>]*>\n?|[ \t]*<link rel="manifest"[^>]*>\n?')
_HEAD = (
    '<link rel="icon" href="data:,"><link rel="stylesheet" href="/page/own/page.css">'
    '<script src="/page/own/page.js"></script>'
)


def visitor_of(request: Request) -> str:
    """Whose request it is, of one that came through the door."""
    found: str = request.scope[_OWNER]
    return found


class Door:
    """Gradio's application behind a door. `begin`: called in the loop before the first request."""

    def __init__(self, app: ASGIApp, visitors: Visitors, limits: Limits, begin: Callable[[], Any]) -> None:
        self._app, self._visitors, self._limits, self._begin = app, visitors, limits, begin
        self._begun: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem for a socket, which the service's gate closes."""
        if scope["type"] != "http":
            raise Problem("not-found", "there is nothing at this address")
        path = scope["path"].removeprefix(MOUNT) or "/"
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            answer = await self._inside(dict(scope), path, headers, receive, send)
        except Problem as problem:
            document = problem.to_json()
            answer = JSONResponse(document, problem.kind.status, headers=problem.headers, media_type=MEDIA_TYPE)
        if answer is not None:
            answer.headers.update(CLOSED)
            await answer(scope, receive, send)

    async def _inside(
        self, scope: Scope, path: str, headers: dict[str, str], receive: Receive, send: Send
    ) -> Response | None:
        """An answer in place of Gradio's; None where Gradio has answered. Raises Problem."""
        reads = scope["method"] in ("GET", "HEAD")
        if not (_READ.fullmatch(path) if reads else path == JOIN and scope["method"] == "POST"):
            raise Problem("not-found", "there is nothing at this address")
        if (origin := headers.get("origin")) and not is_page_of(origin, headers.get("host", "")):
            raise Problem("foreign-origin", "a page of another host may not use this one")
        owner = self._visitors.owner(headers.get("cookie"))
        if owner is None:
            if path == "/" and reads:
                return RedirectResponse(f"{MOUNT}/login", 303)
            raise Problem("unauthorized", "you are signed out; load the page again and sign in")
        if self._begun is None:
            self._begun = asyncio.ensure_future(self._begin())
        await asyncio.shield(self._begun)
        scope[_OWNER] = owner
        if path == DATA:
            scope["query_string"] = _query_of(scope["query_string"], owner)
        if path == JOIN:
            raw = await _call_of(Request(scope, receive), self._limits, owner)
            scope["headers"] = _with_length(scope["headers"], len(raw))
            receive = _receiving(raw, receive)
        if path == "/":  # rewritten, so not packed
            scope["headers"] = [one for one in scope["headers"] if one[0] != b"accept-encoding"]
        await self._app(scope, receive, _rewriting(send) if path == "/" else _closing(send, path))
        return None


def _query_of(query: bytes, owner: str) -> bytes:
    """A session belongs to whoever began it: its name has the owner in it. Raises Problem."""
    found = parse_qs(query.decode("latin-1")).get("session_hash", [""])[0]
    return urlencode({"session_hash": _session(found, owner)}).encode()


def _session(found: Any, owner: str) -> str:
    if not (isinstance(found, str) and _SESSION.fullmatch(found)):
        raise Problem("bad-request", "the page's session has no name; load the page again")
    return owner + found


async def _call_of(request: Request, limits: Limits, owner: str) -> bytes:
    """The body of a call, rewritten with nothing in it but what the page needs. Raises Problem."""
    chunks = [chunk async for chunk in body_chunks(request, limits, most=_MOST_CALL_BYTES)]
    refusal = Problem("bad-request", "this is no call of the page; load it again")
    try:
        said = parse_json(b"".join(chunks)).mapping()
    except (ValueError, RecursionError):
        raise refusal from None
    data, number, trigger = said.get("data"), said.get("fn_index"), said.get("trigger_id")
    whole = isinstance(number, int) and not isinstance(number, bool) and isinstance(trigger, int | None)
    if not (whole and isinstance(data, list) and all(isinstance(one, str | int | float | None) for one in data)):
        raise refusal
    call = {"data": data, "fn_index": number, "trigger_id": trigger, "event_data": None}
    return json.dumps(call | {"session_hash": _session(said.get("session_hash"), owner)}).encode()


def _with_length(headers: Sequence[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    left = [(name, value) for name, value in headers if name not in (b"content-length", b"transfer-encoding")]
    return [*left, (b"content-length", str(length).encode())]


def _receiving(raw: bytes, receive: Receive) -> Receive:
    """The body that was read, and then whatever comes: that the client is gone."""
    left = [raw]

    async def received() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return received


def _closing(send: Send, path: str) -> Send:
    """Gradio's answer with our headers, and without its permission for other sites."""
    ours = _HEADERS | ({"Cache-Control": f"public, max-age={_LIVES_S}, immutable"} if path[:8] == "/assets/" else {})

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _closed(message["headers"], ours)}
        await send(message)

    return sent


def _closed(headers: Sequence[tuple[bytes, bytes]], ours: dict[str, str]) -> list[tuple[bytes, bytes]]:
    names = {name.lower().encode() for name in ours}
    left = [
        (name, value)
        for name, value in headers
        if name.lower() not in names and not name.lower().startswith(b"access-control-")
    ]
    return [*left, *((name.lower().encode(), value.encode()) for name, value in ours.items())]


def _rewriting(send: Send) -> Send:
    """The document itself: without what Gradio says of itself at other hosts, with our script and style."""
    start: list[Message] = []
    body = bytearray()

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.append(message)
            return
        body.extend(message.get("body", b""))
        if message.get("more_body"):
            return
        text = own_document(body.decode()) if body else ""
        raw = text.encode()
        headers = _closed(_with_length(start[0]["headers"], len(raw)), _HEADERS) if body else start[0]["headers"]
        await send({**start[0], "headers": headers})
        await send({"type": "http.response.body", "body": raw})

    return sent


def own_document(text: str) -> str:
    """Gradio's document as we serve it."""
    return _FOREIGN.sub("", text).replace("<head>", f"<head>{_HEAD}", 1)
