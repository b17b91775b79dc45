"""The service on Ray Serve: two applications of the same settings, for `serve run` and a file like `serve.yaml`.

    hp_trt.apps.scale.serve_app:clips    at /                  fronts, which answer; one encoder; clips, one a replica
    hp_trt.apps.scale.serve_app:live     at /v1/live/sockets   as many sessions a replica as `live_lanes`

Both take as `args` what `hp-trt serve` takes: `config`, the file of settings (TOML), or settings themselves, with
`bundle` and `state`, the folder that all nodes share. The only module that knows Ray Serve; its names are those of the
version that pyproject.toml pins.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.handle import DeploymentHandle

from engines.errors import Cancelled, HpTrtError, InputError
from hp_trt.apps.scale.clip_replica import ClipReplica
from hp_trt.apps.scale.cores import keep_to, own_cores
from hp_trt.apps.scale.drain_watch import DrainWatch
from hp_trt.apps.scale.encoding import EncodeReplica
from hp_trt.apps.scale.front import Front, LiveReplica
from hp_trt.apps.scale.live_shared import SOCKETS
from hp_trt.apps.scale.ray_version import check_ray
from hp_trt.apps.scale.same import Same
from hp_trt.apps.service.config import ServiceConfig, read_config
from hp_trt.apps.service.logs import log_as_json
from hp_trt.apps.service.service import NOT_IN_A_CLUSTER, open_runtime

HEALTH_S = 1.0  # between Ray's questions for health
_ENDING = ("STOPPING", "PENDING_MIGRATION")
_MOST_REQUESTS = 200  # of a front at a time: uploads, and whoever listens to events
_LOOKS_EVERY_S = 0.5
_MARGIN_S = 10.0  # of `drain_s`, for what was seen late and for a clip to stop
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def clips(args: Mapping[str, Any]) -> serve.Application:
    """The application of `/`. Raises InputError, BundleError."""
    config, same = _settings(args)
    grace = {"graceful_shutdown_timeout_s": config.drain_s}
    makers = Clips.options(**grace).bind(config, same)  # type: ignore[attr-defined]
    encoder = Encode.options(**grace).bind(config, same)  # type: ignore[attr-defined]
    return Fronts.options(**grace).bind(config, same, makers, encoder)  # type: ignore[attr-defined]


def live(args: Mapping[str, Any]) -> serve.Application:
    """The application of `/v1/live/sockets`. Raises InputError, BundleError."""
    config, same = _settings(args)
    if not config.live_lanes:
        raise InputError("live_lanes is 0, and this application has live sessions alone; leave it out, or set it")
    # Longer than our own drain: what Ray cuts, it cuts without a word.
    how = {"max_ongoing_requests": config.live_lanes, "graceful_shutdown_timeout_s": config.drain_s + 10}
    return Live.options(**how).bind(config, same)  # type: ignore[attr-defined]


class _Replica:
    """What all replicas do. `same`: what every node has to have."""

    def __init__(self, config: ServiceConfig, same: Same) -> None:
        log_as_json()
        same.check(config)
        self._made: Any = None
        self._watch = DrainWatch(_is_ending, self._drain, every_s=HEALTH_S)

    def check_health(self) -> None:
        """Ray asks: raises where a new process is needed."""
        self._watch.asked()
        if hasattr(self._made, "check"):
            self._made.check()

    def _drain(self) -> None:
        if self._made is not None:
            self._made.drain()

    def __del__(self) -> None:
        if hasattr(self, "_watch"):
            self._watch.close()
        if getattr(self, "_made", None) is not None:
            made, self._made = self._made, None
            made.close()


@serve.deployment(max_ongoing_requests=1, health_check_period_s=HEALTH_S, ray_actor_options={"num_cpus": 1})
class Clips(_Replica):
    """One clip at a time."""

    def __init__(self, config: ServiceConfig, same: Same) -> None:
        super().__init__(config, same)
        self._cores = own_cores(config.runtime.threads, serve.get_replica_context().rank.local_rank)
        keep_to(self._cores)
        self._made = ClipReplica(config, open_runtime(config))
        self._within_s = max(0.0, config.drain_s - _MARGIN_S)

    async def run(self, owner: str, identity: str) -> None:
        await asyncio.to_thread(self._run, owner, identity)

    def _run(self, owner: str, identity: str) -> None:
        keep_to(self._cores)  # a thread has its own
        self._made.run(owner, identity)

    def _drain(self) -> None:
        self._made.drain(self._within_s)


@serve.deployment(max_ongoing_requests=4, health_check_period_s=HEALTH_S, ray_actor_options={"num_cpus": 0.2})
class Encode(_Replica):
    """Portraits and motions of uploads."""

    def __init__(self, config: ServiceConfig, same: Same) -> None:
        super().__init__(config, same)
        self._made = EncodeReplica(config, open_runtime(config))

    async def answer(self, what: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return await asyncio.to_thread(self._made.answer, what, given)

    def _drain(self) -> None:
        """What it does is short."""


@serve.deployment(
    max_ongoing_requests=_MOST_REQUESTS, health_check_period_s=HEALTH_S, ray_actor_options={"num_cpus": 0.1}
)
@serve.ingress()
class Fronts(_Replica):
    """What answers over HTTP."""

    def __init__(self, config: ServiceConfig, same: Same, makers: DeploymentHandle, encoder: DeploymentHandle) -> None:
        super().__init__(config, same)
        _check_open(config)
        self._config, self._makers, self._encoder = config, makers, encoder

    async def __serve_build_asgi_app__(self) -> Any:
        self._made = Front(self._config, self._send, self._ask)
        return self._made.app

    async def _send(self, owner: str, identity: str) -> None:
        await self._makers.run.remote(owner, identity)

    def _ask(self, what: str, given: Mapping[str, Any], cancel: threading.Event | None) -> Any:
        asked = self._encoder.answer.remote(what, given)
        while True:
            try:
                return asked.result(timeout_s=_LOOKS_EVERY_S)
            except TimeoutError:
                if cancel is not None and cancel.is_set():
                    asked.cancel()
                    raise Cancelled("the service ends") from None
            except HpTrtError:
                raise
            except Exception as error:
                raise HpTrtError(f"what encodes uploads is not there: {str(error)[:200]}") from error


@serve.deployment(
    max_ongoing_requests=1, max_queued_requests=1, health_check_period_s=HEALTH_S, ray_actor_options={"num_cpus": 0.5}
)
@serve.ingress()
class Live(_Replica):
    """Live sessions."""

    def __init__(self, config: ServiceConfig, same: Same) -> None:
        super().__init__(config, same)
        _check_open(config)
        self._config = config

    async def __serve_build_asgi_app__(self) -> Any:
        self._made = LiveReplica(self._config)
        return _at_its_place(self._made.app)


def _settings(args: Mapping[str, Any]) -> tuple[ServiceConfig, Same]:
    """What `args` say, and what every node has to have."""
    check_ray("hp_trt.apps.scale.serve_app")
    given = dict(args)
    file = given.pop("config", None)
    if file is not None and not isinstance(file, str):
        raise InputError(f"config is the name of a file, got {file!r}")
    flags: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    for name in ("state", "tokens", "sign_chain", "sign_key", "traces"):
        if isinstance(flags.get(name), str):
            flags[name] = Path(flags[name])
    config = read_config(None if file is None else Path(file), os.environ, flags, state=Path())
    if config.enhancer is not None:
        raise InputError(NOT_IN_A_CLUSTER)
    if config.state == Path().absolute():
        raise InputError("no state folder was named; give one that every node has mounted: args: {state: /mnt/hp-trt}")
    return config, Same.of(config)


def _check_open(config: ServiceConfig) -> None:
    """Raises InputError where anybody could ask without a token."""
    host = _get_global_client().http_config.host
    if config.tokens is None and host not in _LOOPBACK:
        raise InputError(
            f"Ray Serve listens at {host}, and without a file of tokens this is for loopback alone; give tokens in "
            "args, or http_options: {host: 127.0.0.1}"
        )


def _is_ending() -> bool:
    """Whether the controller has this replica end."""
    own = serve.get_replica_context()
    details = _get_global_client().get_serve_details()
    deployment = details["applications"][own.app_name]["deployments"][own.deployment]
    states = [one["state"] for one in deployment["replicas"] if one["replica_id"] == own.replica_tag]
    return not states or str(getattr(states[0], "value", states[0])) in _ENDING


def _at_its_place(app: Any) -> Any:
    """`app`, which has the sockets of its sessions below `/v1/live`, for Ray's prefix."""

    async def placed(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            path = scope["path"].removeprefix(SOCKETS)
            scope = {**scope, "root_path": "", "path": f"/v1/live{path}", "raw_path": f"/v1/live{path}".encode()}
        await app(scope, receive, send)

    return placed
