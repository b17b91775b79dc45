"""Live sessions over streams without networks, mounted in an application of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI, Header
from starlette.testclient import TestClient

from hp_trt.apps.service.app import Gate, answer_problem
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.live.router import live_router
from hp_trt.apps.service.live.sessions import LiveSessions
from hp_trt.apps.service.meters import Meters
from hp_trt.apps.service.problems import Problem
from tests.hp_trt.apps.service.live.fake_engine import FakeEngine
from tests.hp_trt.apps.service.live.talking import Client, limits

HOST = "testserver"


def application(sessions: LiveSessions, *, hosts=(HOST,), origins=()) -> FastAPI:
    """Callers are who their header says; the service's own gate stands before it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI):
        yield
        await sessions.close()

    def who(x_caller: str = Header("me")) -> str:
        return x_caller

    app = FastAPI(lifespan=lifespan)
    app.state.service = SimpleNamespace(meters=Meters(list))
    app.include_router(live_router(sessions, who=who))
    app.add_exception_handler(Problem, answer_problem)
    config = ServiceConfig(bundle="none", state=Path("none"), hosts=tuple(hosts), origins=tuple(origins))
    app.add_middleware(Gate, config=config)
    return app


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """Opens a client on a service of its own: `engine` and `limits` as given, other keywords are `LiveSessions`'."""
    with ExitStack() as opened:

        def serve(engine: FakeEngine | None = None, *, origins=(), **options: Any) -> Client:
            given = {name: options.pop(name) for name in list(options) if name in vars(limits())}
            sessions = LiveSessions(engine or FakeEngine(), limits=limits(**given), **options)
            return Client(opened.enter_context(TestClient(application(sessions, origins=origins))), sessions)

        yield serve
