"""Processes of a cluster as objects of one: they meet in the folder alone, as processes do."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from hp_trt.apps.scale import dispatch
from hp_trt.apps.scale.clip_replica import ClipReplica
from hp_trt.apps.scale.encoding import EncodeReplica
from hp_trt.apps.scale.front import Front
from hp_trt.apps.scale.presence import Presence
from hp_trt.apps.service.config import Limits, ServiceConfig
from hp_trt.apps.service.looker import Lookers
from tests.hp_trt.apps.service import conftest as of_the_service
from tests.hp_trt.apps.service.conftest import picture
from tests.hp_trt.apps.service.fake_engine import Hand


@pytest.fixture
def presences(tmp_path) -> Iterator[Callable[..., Presence]]:
    """Begins processes that live, quicker than real ones do."""
    begun: list[Presence] = []

    def begin(kind: str = "clips", folder: Path | None = None, **how) -> Presence:
        quick = {"lease_s": 0.6, "every_s": 0.05} | how
        begun.append(Presence(folder or tmp_path / "alive", kind, **quick))
        return begun[-1]

    yield begin
    for presence in begun:
        presence.close()


lookers, loop, video = of_the_service.lookers, of_the_service.loop, of_the_service.video


def killed(presence: Presence) -> None:
    """It gives no sign of life any more, and says nothing."""
    presence._end.set()
    presence._thread.join()


def until(holds: Callable[[], object], most_s: float = 10.0) -> None:
    """Waits until something holds."""
    for _ in itertools.repeat(None, int(most_s / 0.02)):
        if holds():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it never held")


@pytest.fixture
def quick(monkeypatch) -> None:
    """Processes are taken for dead sooner than real ones."""
    monkeypatch.setattr(Presence.__init__, "__kwdefaults__", {"lease_s": 0.8, "every_s": 0.05})
    monkeypatch.setattr(dispatch, "_AGAIN_S", 0.1)
    monkeypatch.setattr(dispatch, "_LOOKS_EVERY_S", 0.1)


@dataclass
class AFront:
    """A front that answers, and a client of it."""

    front: Front
    loop: asyncio.AbstractEventLoop
    headers: dict[str, str]

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        how["headers"] = self.headers | how.get("headers", {})
        return asyncio.run_coroutine_threadsafe(self._ask(method, path, how), self.loop).result(30)

    async def _ask(self, method: str, path: str, how: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.front.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
            return await client.request(method, path, **how)

    def job(self, portrait: str, motion: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        body = {"kind": "clip", "portrait": portrait, "motion": motion, **more}
        return self.ask("POST", "/v1/jobs", json=body, headers=headers or {})

    def made(self, portrait: str, motion: str, **more: Any) -> str:
        answer = self.job(portrait, motion, **more)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def of(self, job: str) -> dict[str, Any]:
        return self.ask("GET", f"/v1/jobs/{job}").json()

    def until(self, job: str, *states: str) -> dict[str, Any]:
        until(lambda: self.of(job)["state"] in states)
        return self.of(job)

    def kill(self) -> None:
        """Nothing of it goes on: what it handed on is lost, and its name gives no sign of life."""
        self.loop.call_soon_threadsafe(self.front._dispatching.cancel)
        until(self.front._dispatching.done)
        killed(self.front._part.presence)


class Machine:
    """Fronts and replicas with one folder. A job goes to the replica that does nothing, as Ray would have it."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, looking: Lookers, film: Path) -> None:
        self.folder, self.loop, self.lookers, self.video = folder, loop, looking, film
        self.fronts: list[AFront] = []
        self.replicas: list[tuple[ClipReplica, Hand]] = []
        self.encoders: list[EncodeReplica] = []
        self.dead: set[ClipReplica] = set()
        self.sent: list[tuple[str, int]] = []  # a job, and the replica that had it
        self._busy: dict[ClipReplica, bool] = {}

    def config(self, **more: Any) -> ServiceConfig:
        limits = Limits(**{"free_bytes": 1, **more.pop("limits", {})})
        return ServiceConfig(**{"bundle": "shipped:pocket", "state": self.folder, "limits": limits} | more)

    def front(self, *, token: str | None = None, **more: Any) -> AFront:
        async def begin() -> Front:
            return Front(self.config(**more), self._send, self._encode)

        if not self.encoders:
            self.encoders.append(EncodeReplica(self.config(), Hand().open))
        made = asyncio.run_coroutine_threadsafe(begin(), self.loop).result(20)
        made.service.lookers = self.lookers
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self.fronts.append(AFront(made, self.loop, headers))
        return self.fronts[-1]

    def replica(self, hand: Hand | None = None, **more: Any) -> tuple[ClipReplica, Hand]:
        hand = hand or Hand()
        made = ClipReplica(self.config(**more), hand.open)
        self.replicas.append((made, hand))
        self._busy[made] = False
        return made, hand

    def kill(self, replica: ClipReplica) -> None:
        """Its turn is never ended, and it writes nothing any more."""
        self.dead.add(replica)
        killed(replica.presence)

    def uploads(self, front: AFront, colour: int = 90) -> tuple[str, str]:
        portrait = front.ask("POST", "/v1/portraits", content=picture(colour))
        motion = front.ask("POST", "/v1/motions", content=self.video.read_bytes())
        assert portrait.status_code in (200, 201) and motion.status_code in (200, 201), (portrait.text, motion.text)
        return portrait.json()["id"], motion.json()["id"]

    async def _send(self, owner: str, identity: str) -> None:
        """The job's turn at the first replica that is free; where that dies, whoever sent it hears so."""
        while not (free := [one for one, _ in self.replicas if self._is_free(one)]):
            await asyncio.sleep(0.02)
        replica = free[0]
        self._busy[replica] = True
        self.sent.append((identity, [one for one, _ in self.replicas].index(replica)))
        work = asyncio.ensure_future(asyncio.to_thread(replica.run, owner, identity))
        try:
            while not work.done():
                if replica in self.dead:
                    raise ConnectionError("the replica died")
                await asyncio.sleep(0.02)
            await work
        finally:
            self._busy[replica] = False

    def _is_free(self, replica: ClipReplica) -> bool:
        return replica not in self.dead and not self._busy[replica] and not replica._draining

    def _encode(self, what: str, given: Mapping[str, Any], _cancel: threading.Event | None) -> Mapping[str, Any]:
        assert asyncio._get_running_loop() is None, "Ray waits for no answer in a loop's thread"
        return json.loads(json.dumps(self.encoders[0].answer(what, json.loads(json.dumps(given)))))

    def close(self) -> None:
        for _, hand in self.replicas:
            hand.go.set()
        for one in self.fronts:
            one.front.close()
        for replica, _ in self.replicas:
            replica.close()
        for encoder in self.encoders:
            encoder.close()


@pytest.fixture
def machine(tmp_path, request, quick) -> Iterator[Machine]:
    made = Machine(tmp_path / "state", *(request.getfixturevalue(name) for name in ("loop", "lookers", "video")))
    yield made
    made.close()
