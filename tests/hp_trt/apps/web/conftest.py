"""A service over a fake engine with its page, and clients of it without a network."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hp_trt.apps.service.app import create_app
from hp_trt.apps.service.config import Limits, ServiceConfig
from hp_trt.apps.service.service import Service
from hp_trt.apps.web.making import Making
from hp_trt.apps.web.sheets import Sheets
from tests.hp_trt.apps.service.fake_engine import Hand

HERE = "http://127.0.0.1:7860"


class Visiting:
    """A service with a page. Each `ask` is one request in a loop of its own."""

    def __init__(self, service: Service, app: Any, hand: Hand) -> None:
        self.service, self.app, self.hand = service, app, hand
        self.owner = service.tokens.owner(None) if service.config.tokens is None else ""
        self.making = Making(service, Sheets(service))

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, how))

    async def _ask(self, method: str, path: str, how: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
            return await client.request(method, path, **how)


def visiting(folder, *, token: str | None = None, **limits: Any) -> Visiting:
    from hp_trt.apps.web.mount import add_page

    hand, tokens = Hand(), None
    if token is not None:
        tokens = folder / "tokens"
        tokens.write_text(f"me {hashlib.sha256(token.encode()).hexdigest()}\n")
        tokens.chmod(0o600)
    config = ServiceConfig(
        bundle="shipped:pocket",
        state=folder / "state",
        tokens=tokens,
        live_lanes=0,
        limits=Limits(**{"free_bytes": 1, **limits}),
    )
    service = Service(config, hand.open)
    app = create_app(config, service)
    add_page(app, service)
    service.start()
    return Visiting(service, app, hand)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Visiting]:
    """Without tokens."""
    made = visiting(tmp_path_factory.mktemp("page"))
    yield made
    made.service.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[Visiting]:
    """With one token, which is "open-sesame"."""
    made = visiting(tmp_path_factory.mktemp("guarded"), token="open-sesame")
    yield made
    made.service.close()
