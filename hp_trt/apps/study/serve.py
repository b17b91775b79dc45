"""A study alone on a port: for people on this machine, or, under names that are given, for those who reach it.

Plain HTTP, and no log of who came. Whoever serves a study to others puts a server with TLS in front.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from engines.errors import InputError
from engines.foreign import reason
from hp_trt.apps.study.pages import HEADERS, problem, study_router
from hp_trt.console import Reporter

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_MOST_CONNECTIONS = 200
_KEPT_OPEN_S, _LAST_S = 5, 3  # a connection without a request; requests under way when it ends

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class StudyServer:
    """Where a study is served. Checked when made; raises InputError."""

    study: Path
    host: str = "127.0.0.1"  # the address to listen at
    port: int = 8090  # 0: any that is free
    names: Sequence[str] = ()  # by which browsers may call this machine, beside the loopback's

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"a port is a number of 0 to 65535, got {self.port}")
        for name in self.names:
            if not (_NAME.fullmatch(name) or _is_address(name)):
                raise InputError(
                    f"{name!r} is no name of a machine; give one as browsers have it, without a port: study.example"
                )
        if not self.names and not _is_loopback(self.host):
            raise InputError(
                f"at {self.host} others reach the study, by a name that is not known here; say which: "
                "--allow-host study.example"
            )


def study_app(server: StudyServer) -> FastAPI:
    """The application. Raises InputError as `study_router` does."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(study_router(server.study))
    app.add_middleware(HostGuard, names=(*LOOPBACK, *server.names))
    return app


def serve(server: StudyServer, report: Reporter) -> None:
    """Serve until Ctrl-C or SIGTERM, from the main thread. Raises InputError where the study or the address cannot be
    had."""
    with _listening(server) as listening:
        address = _address(listening)
        config = uvicorn.Config(
            study_app(server),
            access_log=False,  # no addresses are kept
            log_level="error",  # and no word of each request that is none
            server_header=False,
            proxy_headers=False,
            ws="none",
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_KEPT_OPEN_S,
            timeout_graceful_shutdown=_LAST_S,
        )
        running = uvicorn.Server(config)
        with _ended_by_signals(running):
            report.result(f"{server.study} is served at {address} until Ctrl-C", url=address, study=server.study)
            if sys.stdout is not None:
                sys.stdout.flush()  # whoever reads a pipe waits for the address
            running.run(sockets=[listening])


@contextmanager
def _ended_by_signals(running: uvicorn.Server) -> Iterator[None]:
    """Ctrl-C and SIGTERM are how a server ends, and no error: uvicorn raises them again once it has ended."""

    def end(number: int, frame: object) -> None:
        running.should_exit = True

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class HostGuard:
    """Lets through only requests that name one of `names` as their host: a page elsewhere cannot call a local server
    under a name of its own. What the application itself answers gets the page's headers too."""

    def __init__(self, app: App, names: Iterable[str]) -> None:
        self._app, self._names = app, frozenset(name.lower().rstrip(".") for name in names)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                has = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in has]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and host_name(hosts[0]) in self._names:
            await self._app(scope, receive, guarded)
        else:
            answer = problem(400, "foreign-host", "this server does not go by that name; --allow-host names more")
            await answer(scope, receive, guarded)


def host_name(header: str) -> str:
    """The name in a `Host` header, without its port: in small letters, an address of IPv6 without its brackets."""
    if header.startswith("["):
        name, _, port = header[1:].partition("]")
    else:
        name, _, port = header.partition(":")
        port = f":{port}" if port else ""
    return name.lower().rstrip(".") if not port or (port[0] == ":" and port[1:].isdecimal()) else ""


def _listening(server: StudyServer) -> socket.socket:
    try:
        family, kind, number, _, place = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, number)
    except (OSError, UnicodeError) as error:
        raise InputError(f"{server.host} is no address of this machine ({reason(error)}); leave --host out") from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
        made.listen(128)
    except OSError as error:
        made.close()
        raise InputError(
            f"nothing can listen at {server.host}, port {server.port} ({reason(error)}); give another --port, or --host"
        ) from error
    return made


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
