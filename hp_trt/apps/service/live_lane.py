"""Live sessions as a part of the service: an engine of their own, whose portraits they may have, and what is counted.

Clips never use that engine, so a long clip does not delay a camera. It is opened with its first session, and sessions
share it, as many at a time as `live_lanes` says.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from engines.bundle import Bundle
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.engine import Engine, OpenEngine
from hp_trt.apps.service.live.engine import RuntimeEngine, Wishes
from hp_trt.apps.service.live.limits import LiveLimits
from hp_trt.apps.service.live.sessions import LiveSessions, LiveShared, LiveUnknown
from hp_trt.apps.service.meters import Meters
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.sampling import check_sampling
from hp_trt.apps.service.store import Items
from hp_trt.live.session import LiveSession
from hp_trt.media.portrait import Picture, Portrait
from hp_trt.model import Driver
from hp_trt.models import find_model
from hp_trt.profiles import require_live

LIVE_PROFILE = "live"


class LiveLane:
    """The engine of live sessions. For any thread."""

    def __init__(self, open_engine: OpenEngine, driver: Driver) -> None:
        self._open, self._driver = open_engine, driver
        self._engine: Engine | None = None
        self._guard = threading.Lock()

    @property
    def driver(self) -> Driver:
        return self._driver

    def open(self, portrait: Portrait | Picture, wishes: Wishes) -> LiveSession:
        """See `hp_trt.apps.service.live.engine.Engine`. Raises what opening a Runtime raises."""
        with self._guard:
            self._engine = self._engine or self._open(LIVE_PROFILE)
        return RuntimeEngine(self._engine).open(portrait, wishes)  # type: ignore[arg-type]

    def close(self) -> None:
        """Let go of it; not while a session is open."""
        with self._guard:
            if self._engine is not None:
                self._engine.close()
            self._engine = None


def live_sessions(
    lane: LiveLane,
    config: ServiceConfig,
    bundle: Bundle,
    key: bytes,
    portraits: Items,
    meters: Meters,
    *,
    shared: LiveShared | None = None,
) -> LiveSessions:
    """The sessions on it. `key` signs their tickets; `shared`: what other processes with that key know."""

    def check(wishes: Wishes) -> None:
        profile = require_live(find_model(bundle).profiles.find(wishes.profile or LIVE_PROFILE))
        check_sampling(bundle, profile, {"seed": wishes.seed, "mood": wishes.mood})

    def portrait(caller: str, identity: str) -> Path:
        try:
            portraits.get(caller, identity)
        except Problem as error:
            raise LiveUnknown(error.detail) from error
        return portraits.file(caller, identity)

    def meter(name: str, value: float, where: str) -> None:
        if name == "sessions":
            meters.live_sessions.set(value)
        elif name == "latency_s":
            meters.live_latency.observe(value)
            meters.frames.labels("live").inc()
        elif name == "ended":
            meters.live_ended.labels(where).inc(value)
        elif name == "dropped":
            meters.dropped.labels(where).inc(value)

    limits = LiveLimits(sessions=config.live_lanes, sessions_of_a_caller=config.limits.live_per_token)
    ice = [server.to_json() for server in config.ice_servers]
    return LiveSessions(
        lane,
        portraits=portrait,
        check=check,
        limits=limits,
        secret=key,
        ice_servers=ice,
        meter=meter,
        shared=shared,
    )


class DrainLive:
    """Called in the loop's thread when the end begins: tells whoever is connected, and ends all sessions in time."""

    def __init__(self, sessions: LiveSessions) -> None:
        self._sessions = sessions
        self._task: asyncio.Task[None] | None = None

    def __call__(self, seconds: float) -> None:
        self._task = asyncio.get_running_loop().create_task(self._sessions.drain(seconds))
