"""A process that answers over HTTP and has no engine: uploads, jobs, results, pages. Any number share a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hp_trt.apps.scale.dispatch import Dispatcher, Send
from hp_trt.apps.scale.encoding import Ask, RemoteEncoder
from hp_trt.apps.scale.live_shared import LIVE, FolderShared
from hp_trt.apps.scale.presence import Presence
from hp_trt.apps.scale.shared_jobs import SharedJobs
from hp_trt.apps.service.app import create_app
from hp_trt.apps.service.clock import SteadyTime
from hp_trt.apps.service.cluster import Encoder, Told
from hp_trt.apps.service.config import Limits, ServiceConfig
from hp_trt.apps.service.engine import OpenEngine
from hp_trt.apps.service.live.sessions import LiveShared
from hp_trt.apps.service.service import Service
from hp_trt.apps.service.store import State


class Part:
    """What one process of a cluster is to a `Service`: a `hp_trt.apps.service.cluster.Cluster`.

    `kind`: "front" or "live". `encoder`: who encodes what is uploaded.
    """

    def __init__(self, kind: str, encoder: Encoder) -> None:
        self.encoder, self._kind = encoder, kind
        self.presence: Presence
        self.shared_jobs: SharedJobs
        self.live: LiveShared | None = None
        self._wake: Callable[[], None] = lambda: None

    def jobs(self, state: State, limits: Limits, now_s: SteadyTime, told: Told) -> SharedJobs:
        """The first that a service asks for, once it has the folder."""
        self.presence = Presence(state.path / "alive", self._kind)
        self.live = FolderShared(state, self.presence, here=self._kind == LIVE)
        self.shared_jobs = SharedJobs(state, limits, now_s, told, presence=self.presence, wake=lambda: self._wake())
        return self.shared_jobs

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Who hands jobs on."""
        self._wake = wake


class Front:
    """In a running event loop. Raises BundleError, InputError, OutputError.

    `send`, `ask`: how a job is handed on, and an upload encoded.
    """

    def __init__(self, config: ServiceConfig, send: Send, ask: Ask) -> None:
        self._part = Part("front", RemoteEncoder(ask, config.state))
        self.service = Service(config, _no_engine, cluster=self._part)
        self.service.start()
        dispatcher = Dispatcher(self._part.shared_jobs, config.limits, self._part.presence, send)
        self._part.on_wake(dispatcher.wake)
        self._loop = asyncio.get_running_loop()
        self._dispatching = self._loop.create_task(dispatcher.run())
        self.app = create_app(config, self.service)

    def drain(self) -> None:
        """Nothing new begins here, and whoever listens to events is let go. For any thread."""
        self._loop.call_soon_threadsafe(self.service.drain.begin)

    def check(self) -> None:
        """Raises RuntimeError where it hangs: a new process is needed."""
        if silent := self.service.silent_lanes(2):
            raise RuntimeError(f"{', '.join(silent)}: no sign of life")

    def close(self) -> None:
        with suppress(RuntimeError):  # the loop is over
            self._loop.call_soon_threadsafe(self._dispatching.cancel)
        self.service.close()
        self._part.presence.close()


class LiveReplica:
    """Live sessions, as many as `live_lanes`, and nothing else. In a running event loop.

    Raises what `Service` raises.
    """

    def __init__(self, config: ServiceConfig, open_engine: OpenEngine | None = None) -> None:
        self._part = Part(LIVE, RemoteEncoder(_nobody, config.state))
        self.service = Service(config, open_engine, cluster=self._part)
        self._loop = asyncio.get_running_loop()
        self.app = create_app(config, self.service)

    def drain(self) -> None:
        """Whoever is connected is told, and has `drain_s` to go elsewhere. For any thread."""
        self._loop.call_soon_threadsafe(self.service.drain.begin)

    def close(self) -> None:
        self.service.close()
        self._part.presence.close()


def _no_engine(_profile: str) -> Any:
    raise AssertionError("a front has no engine")


def _nobody(_what: str, _given: Any, _cancel: Any) -> Any:
    raise AssertionError("whoever has live sessions takes no uploads")
