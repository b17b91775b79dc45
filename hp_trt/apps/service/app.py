"""The application: routes, errors and what stands before them. `create_app` is the only place that makes one."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hp_trt import __version__
from hp_trt.apps.service.bodies import EnhanceBody, JobBody, ProblemDocument
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.ours import is_page_of
from hp_trt.apps.service.problems import MEDIA_TYPE, Problem, problem_of
from hp_trt.apps.service.routes import health, info, jobs, motions, portraits, verify, videos
from hp_trt.apps.service.routes.live import live_routes
from hp_trt.apps.service.routes.study import study_routes
from hp_trt.apps.service.service import Service
from hp_trt.apps.web.live_page import live_page

log = logging.getLogger("hp_trt.service")
ROUTERS: Sequence[APIRouter] = (
    portraits.router,
    motions.router,
    videos.router,
    jobs.router,
    verify.router,
    info.router,
    health.router,
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_READS = ("GET", "HEAD", "OPTIONS")
_SLUGS = {404: "not-found", 405: "method"}


def create_app(config: ServiceConfig, service: Service | None = None, *, more: Sequence[APIRouter] = ()) -> FastAPI:
    """The service of `config`, which is opened here and closed with the application, or `service`, which is its
    caller's.

    `more`: routers beside our own: `app.state.service` is what they work with. Raises what `Service` raises.
    """
    own = service is None
    served = service or Service(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if own:
            served.start()
        yield
        if own:
            served.close()

    app = FastAPI(
        title="hp-trt",
        version=__version__,
        description="Portraits that move as a driving video moves, or as speech sounds.",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts of other hosts
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = served
    for router in (*ROUTERS, *more):
        app.include_router(router)
    if served.live is not None:
        app.include_router(live_routes(served.live))
        app.include_router(live_page())
    if served.study is not None:
        app.include_router(study_routes(served.study))
    app.add_exception_handler(Problem, answer_problem)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _answer_status)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _answer_invalid)  # type: ignore[arg-type]
    if config.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Range"],
            expose_headers=["ETag", "Location", "Retry-After", "Content-Range"],
        )
    app.add_middleware(Gate, config=config)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


class Gate:
    """What every request passes: whose host and whose page it is for, an id for the log, and errors nobody foresaw."""

    def __init__(self, app: ASGIApp, config: ServiceConfig) -> None:
        self._app, self._config = app, config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        begin_s, identity, status = time.monotonic(), secrets.token_hex(8), [0]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", identity.encode())]
            await send(message)

        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check(scope, headers)
            await self._app(scope, receive, noting)
        except Exception as error:
            problem = problem_of(error)
            if problem.slug == "internal":
                log.exception("a request failed", extra={"request": identity})
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008 if problem.kind.status < 500 else 1011})
            elif not status[0]:
                await _answer(scope["app"].state.service, problem)(scope, receive, noting)
            else:
                raise
        finally:
            facts = {"request": identity, "status": status[0], "seconds": round(time.monotonic() - begin_s, 4)}
            route = getattr(scope.get("route"), "path", "")
            log.info("request", extra=facts | {"method": scope.get("method", "socket"), "route": route})

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        """Raises Problem for a host that is not ours, and for a page elsewhere that would change something here."""
        host = headers.get("host", "")
        if not self._is_ours(_name_of(host)):
            raise Problem("foreign-host", "the request names a host that is not this one; --allowed-host names more")
        origin = headers.get("origin")
        reads = scope["type"] == "http" and scope["method"] in _READS
        if origin is None or reads or origin in self._config.origins:
            return
        if not is_page_of(origin, host):
            raise Problem("foreign-origin", "a page of another host may not do this; --origin names those that may")

    def _is_ours(self, name: str) -> bool:
        config = self._config
        if config.tokens is not None and not config.hosts and not config.on_loopback:
            return True
        own = {config.host.lower(), *map(str.lower, config.hosts)}
        return name in own or (config.on_loopback and name in _LOOPBACK)


def _name_of(host: str) -> str:
    """A host without its port."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def _answer(service: Service, problem: Problem) -> JSONResponse:
    service.meters.errors.labels(problem.slug).inc()
    return JSONResponse(problem.to_json(), problem.kind.status, headers=problem.headers, media_type=MEDIA_TYPE)


async def answer_problem(request: Request, error: Problem) -> JSONResponse:
    """The answer to a Problem that a route raises."""
    return _answer(request.app.state.service, error)


async def _answer_status(request: Request, error: HTTPException) -> JSONResponse:
    slug = _SLUGS.get(error.status_code, "bad-request")
    text = {"not-found": "there is nothing at this address", "method": "this address has no such method"}
    answer = _answer(request.app.state.service, Problem(slug, text.get(slug, "the request cannot be read")))
    answer.headers.update(error.headers or {})
    if slug == "method":
        answer.headers["allow"] = ", ".join(_methods(request))
    return answer


def _methods(request: Request) -> list[str]:
    """All that an address knows: the framework says those of its first route alone."""
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


async def _answer_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    problem = Problem("bad-request", f"{where[:100]}: {first['msg']}")
    if "path" in first["loc"][:1]:
        problem = Problem("not-found", "there is nothing with this id")
    return _answer(request.app.state.service, problem)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The document, with the bodies that routes read themselves, and without answers that they do not give."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path in made["paths"].values():
            for operation in path.values():
                if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                    del operation["responses"]["422"]
        schemas = made["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for body in (EnhanceBody, JobBody, ProblemDocument):
            schemas[body.__name__] = body.model_json_schema(ref_template="#/components/schemas/{model}")
        made["components"]["schemas"] = dict(sorted(schemas.items()))
        app.openapi_schema = made
    return app.openapi_schema
