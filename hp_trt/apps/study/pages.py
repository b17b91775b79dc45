"""The page on which people grade, and what it asks: a router for any FastAPI application.

    app.include_router(study_router(Path("STUDY")), prefix="/study")        # the page is /study/

Nothing that a browser gets says whose a clip is: neither names nor headers nor the order of anything. Every answer has
the page's security headers, whatever application it stands in; whom an application lets in is its own. A rater's token
comes in the header `Study-Rater`, which no other page can send, and no clip needs it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from engines.errors import HpTrtError, InputError, OutputError
from engines.fields import Field, parse_json
from hp_trt.apps.service.ours import is_page_of
from hp_trt.measure.study.plan import CLIPS
from hp_trt.measure.study.raters import OutOfTurn, Raters, UnknownRater

STATIC = Path(__file__).parent / "static"
TOKEN = "study-rater"
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_FRESH, _KEPT = "no-store", "private, max-age=86400, immutable"  # a copy never changes, and its name is no other's
_MOST_BODY, _BODY_S = 4096, 10.0  # bytes of an answer, and seconds for it to come
_READ = ["GET", "HEAD"]
_PROBLEM = "application/problem+json"
_TYPES = {".png": "image/png", ".mp4": "video/mp4", ".m4a": "audio/mp4"}
_FILES = {"": "text/html", "study.js": "text/javascript", "study.css": "text/css", "icon.svg": "image/svg+xml"}
_OURS = "the study cannot keep answers just now; this one is not kept: tell who runs the study, and try again later"
_STATUS: tuple[tuple[type[HpTrtError], int, str], ...] = (  # the first that fits
    (UnknownRater, 404, "not-found"),
    (OutOfTurn, 409, "out-of-turn"),
    (OutputError, 507, "storage"),
    (InputError, 422, "impossible"),
    (HpTrtError, 500, "internal"),
)


class Refused(Exception):
    """A request that ends with a problem of RFC 9457."""

    def __init__(self, status: int, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.slug, self.detail = status, slug, detail


def study_router(study: Path | Raters) -> APIRouter:
    """The page of a study, and its interface.

    `study`: its folder, whose answers are taken until the application ends, or its raters, which are their caller's to
    close. Raises InputError where it is no study, is damaged, or is served already.
    """
    raters = study if isinstance(study, Raters) else Raters(study)

    @asynccontextmanager
    async def open_until_the_end(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if raters is not study:
                raters.close()

    router = APIRouter(route_class=_Guarded, include_in_schema=False, lifespan=open_until_the_end)
    _add_files(router, raters.study, frozenset(raters.plan.files()))
    _add_interface(router, raters)
    return router


def _add_files(router: APIRouter, study: Path, copies: frozenset[str]) -> None:
    """The page, and the copies that it shows."""
    for name in _FILES:
        router.add_api_route(f"/{name}", _static(name), methods=_READ, response_model=None)

    @router.api_route("/clips/{name}", methods=_READ, response_model=None)
    def clip(name: str) -> Response:
        if name not in copies:  # so a name leads to a copy, and nowhere else
            raise Refused(404, "not-found", "there is no such clip")
        path = study / CLIPS / name
        response = FileResponse(path, media_type=_TYPES[path.suffix])
        response.headers["cache-control"] = _KEPT
        return response


def _add_interface(router: APIRouter, raters: Raters) -> None:
    """What the page asks, and what it sends."""
    items = {trial: item for trial, item, _ in raters.plan.trials()}

    def place(done: int, trial: str | None) -> Response:
        """Where a rater is, and what they see next."""
        about: dict[str, Any] = {"done": done, "of": len(items), "trial": None}
        if trial is not None:
            item = items[trial]
            shown = {"result": trial, "source": item.source, "driving": item.driving, "speech": item.speech}
            about["trial"] = {"id": trial, **shown}
        return JSONResponse(about)

    @router.get("/api/study", response_model=None)
    def about() -> Response:
        return JSONResponse({"id": raters.plan.id, "trials": len(items)})

    @router.post("/api/raters", response_model=None)
    async def join(request: Request) -> Response:
        field = await _body(request)
        with _understood():
            if not field["consent"].flag():
                raise Refused(422, "impossible", "nobody grades without having agreed to it")
        token = await run_in_threadpool(raters.join)
        return JSONResponse({"token": token}, status_code=201)

    @router.get("/api/next", response_model=None)
    def next_trial(request: Request) -> Response:
        return place(*raters.next_trial(request.headers.get(TOKEN, "")))

    @router.post("/api/answers", response_model=None)
    async def answer(request: Request) -> Response:
        field = await _body(request)
        with _understood():
            trial, grades = field["trial"].text(most=40), field["grades"].mapping()
            seconds = field.mapping().get("seconds")
        token = request.headers.get(TOKEN, "")
        return place(*await run_in_threadpool(raters.answer, token, trial, grades, seconds))


def _static(name: str) -> Callable[[], Response]:
    def file() -> Response:
        response = FileResponse(STATIC / (name or "study.html"), media_type=_FILES[name])
        response.headers["cache-control"] = "no-cache"
        return response

    return file


@contextmanager
def _understood() -> Iterator[None]:
    """What a body says and should not is a problem of the request."""
    try:
        yield
    except ValueError as error:
        raise Refused(400, "bad-request", str(error)) from error


async def _body(request: Request) -> Field:
    """The JSON of a request, of at most `_MOST_BODY` bytes."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # which a form of another page cannot send
        raise Refused(415, "unsupported-media", "needed is application/json")
    origin = request.headers.get("origin")
    if origin is not None and not is_page_of(origin, request.headers.get("host", "")):
        raise Refused(403, "foreign-origin", "a page elsewhere may not answer here")
    data = b""
    try:
        async with asyncio.timeout(_BODY_S):
            async for part in request.stream():
                data += part
                if len(data) > _MOST_BODY:
                    raise Refused(413, "too-large", f"an answer has at most {_MOST_BODY} bytes")
    except ClientDisconnect:  # nobody hears the answer
        raise Refused(400, "bad-request", "the answer broke off") from None
    except TimeoutError:
        raise Refused(408, "too-slow", f"an answer comes within {_BODY_S:g} s") from None
    try:
        return parse_json(data)
    except ValueError as error:
        raise Refused(400, "bad-request", f"this is no JSON ({error})") from error


class _Guarded(APIRoute):
    """Routes whose answers have the page's headers, and whose errors are problems."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                response = await handle(request)
            except Refused as error:
                response = problem(error.status, error.slug, error.detail)
            except HpTrtError as error:
                status, slug = next((status, slug) for kind, status, slug in _STATUS if isinstance(error, kind))
                response = problem(status, slug, str(error) if status < 500 else _OURS)
            response.headers.update(HEADERS)
            response.headers.setdefault("cache-control", _FRESH)
            return response

        return guarded


def problem(status: int, slug: str, detail: str) -> Response:
    """An answer as RFC 9457 has it. `detail` must not name files of this machine."""
    document = {"type": f"urn:hp-trt:{slug}", "status": status, "detail": detail}
    return Response(json.dumps(document), status_code=status, media_type=_PROBLEM)
