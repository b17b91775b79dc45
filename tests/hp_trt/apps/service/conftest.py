"""A service over fake engines, and clients of it without a network."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from hp_trt.apps.service.app import create_app
from hp_trt.apps.service.config import Limits, ServiceConfig
from hp_trt.apps.service.looker import Lookers
from hp_trt.apps.service.service import Service
from tests.hp_trt.apps.service.fake_engine import Hand


def picture(colour: int = 90, size: int = 32) -> bytes:
    """A PNG; the fake finds no face in a black one."""
    made = io.BytesIO()
    Image.new("RGB", (size, size), (colour, colour // 2, colour)).save(made, "PNG")
    return made.getvalue()


@dataclass
class Running:
    """A service that runs, and a client of it. `ask` waits for the whole answer."""

    service: Service
    app: Any
    hand: Hand
    loop: asyncio.AbstractEventLoop
    headers: dict[str, str]

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        how["headers"] = self.headers | how.get("headers", {})
        return self.run(self._ask(method, path, how))

    async def _ask(self, method: str, path: str, how: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
            return await client.request(method, path, **how)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def portrait(self, colour: int = 90) -> str:
        return self.ask("POST", "/v1/portraits", content=picture(colour)).json()["id"]

    def motion(self, file: Path) -> str:
        return self.ask("POST", "/v1/motions", content=file.read_bytes()).json()["id"]

    def job(self, portrait: str, motion: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        body = {"kind": "clip", "portrait": portrait, "motion": motion, **more}
        return self.ask("POST", "/v1/jobs", json=body, headers=headers or {})

    def ended(self, identity: str) -> dict[str, Any]:
        """The job, once nothing more will happen to it."""
        self.run(_until_ended(self.service.jobs.get(self.owner, identity).events))
        return self.ask("GET", f"/v1/jobs/{identity}").json()

    @property
    def owner(self) -> str:
        return self.service.tokens.owner(self.headers.get("authorization"))


async def _until_ended(events) -> None:
    number = 0
    while True:
        found, ended = events.after(number)
        number = found[-1].number if found else number
        if ended:
            return
        await events.wait(number, 20)


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread of its own, for all services of a session."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(5)
    made.close()


@pytest.fixture(scope="session")
def lookers() -> Iterator[Lookers]:
    """Processes that look at uploads, for all services of a session: to begin one takes a second."""
    made = Lookers()
    yield made
    made.close()


@pytest.fixture
def serving(tmp_path, loop, lookers) -> Iterator[Callable[..., Running]]:
    """Starts services; of one state folder, so that another one finds what the one before left."""
    begun: list[Service] = []

    def start(
        *, hand: Hand | None = None, token: str | None = None, limits: dict | None = None, opening: Any = None, **more
    ) -> Running:
        own = hand or Hand()
        limits = {"free_bytes": 1, **(limits or {})}
        given = {"bundle": "shipped:pocket", "state": tmp_path / "state"} | more
        service = Service(ServiceConfig(limits=Limits(**limits), **given), own.open, enhancer=opening, lookers=lookers)
        begun.append(service)
        service.start()
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return Running(service, create_app(service.config, service), own, loop, headers)

    yield start
    for service in begun:
        service.close()


@pytest.fixture
def running(serving) -> Running:
    """One service, without tokens."""
    return serving()


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    """A video of 12 small frames at 25 frames/s."""
    return write_video(tmp_path_factory.mktemp("video") / "v.mp4", 12)


def write_video(path: Path, frames: int, *, rate: int = 25) -> Path:
    """A grey square that changes."""
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number * 9 % 256, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
