"""How the service is set up: a TOML file, then the environment, then flags, the later ones over the earlier ones.

    bundle = "shipped:pocket"
    port = 7860
    [limits]
    video_s = 120
    [runtime]
    threads = 4

Nothing below reads the environment: the command hands it in. `HP_TRT_SERVE_PORT`, `HP_TRT_SERVE_LIMITS_VIDEO_S` and
`HP_TRT_SERVE_RUNTIME_THREADS` are the names of the same three there; several words are parted by commas.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from engines.errors import InputError
from engines.fields import read_toml
from engines.foreign import reason
from hp_trt.apps.service.ice import IceServer, read_ice_servers
from hp_trt.config import RuntimeConfig
from hp_trt.interface import arguments

PREFIX = "HP_TRT_SERVE_"
_MOST_FILE_BYTES = 1 << 20
_MOST_LANES = 64
_MOST = 10**15  # of any limit: no arithmetic goes wrong below
_TABLES = ("limits", "runtime")
_WHERE_GRAPHS_RUN = ("family", "provider", "device_id", "threads", "locator", "locator_file", "arcface", "vocals")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one client, and all of them together, may ask for. Whole numbers from 1, seconds above 0.

    picture_bytes           of an uploaded picture; 64 megapixels are the reading gate's own limit
    video_bytes             of an uploaded video or sound
    video_s                 how long either may last
    max_frames              of an uploaded video
    body_idle_s             without a byte, and an upload ends
    body_least_rate         bytes a second that an upload has in every `body_idle_s` but the last
    look_s                  that an upload may be looked at, when it has come
    look_memory_bytes       that looking at it may take, in a process of its own
    header_s                for a request's header to come
    reader_s                for a client to take some of what is sent to it
    verify_bytes            of a file that is verified, for which nobody needs a token
    verify_s                how long it may be looked at
    verify_memory_bytes     that looking at it may take, in a process of its own
    verifies                at a time, of all clients
    uploads                 at a time, of all clients
    connections             at a time, of all clients
    running_per_token       jobs of one token at a time
    waiting_per_token       jobs of one token in the queue
    waiting                 jobs of all tokens in the queue
    live_per_token          live sessions of one token
    kept_bytes_per_token    on the disk: uploads and results
    kept_items_per_token    uploads of a kind, and jobs, whose oldest finished ones are forgotten
    free_bytes              that stay free on the disk
    result_s                how long a result lives
    record_s                how long a job is known after its end
    idempotency_s           how long an Idempotency-Key is remembered
    """

    picture_bytes: int = 20_000_000
    video_bytes: int = 500_000_000
    video_s: float = 600
    max_frames: int = 10_000
    body_idle_s: float = 30
    body_least_rate: int = 1000
    look_s: float = 60
    look_memory_bytes: int = 2_000_000_000
    header_s: float = 30
    reader_s: float = 60
    verify_bytes: int = 100_000_000
    verify_s: float = 30
    verify_memory_bytes: int = 2_000_000_000
    verifies: int = 2
    uploads: int = 8
    connections: int = 512
    running_per_token: int = 2
    waiting_per_token: int = 20
    waiting: int = 200
    live_per_token: int = 1
    kept_bytes_per_token: int = 5_000_000_000
    kept_items_per_token: int = 1000
    free_bytes: int = 500_000_000
    result_s: float = 86_400
    record_s: float = 7 * 86_400
    idempotency_s: float = 86_400

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(Limits).items():
            object.__setattr__(self, name, _number(f"limits.{name}", getattr(self, name), kind))


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """A service. Checked when made; raises InputError.

    profiles    of clips, the first is the one of a job that names none; every clip lane opens each of them
    hosts       names that a request's `Host` may have beside the service's own; with tokens and none given, any
    origins     pages elsewhere that a browser may let call the service (CORS); none by default
    tokens      the file of tokens (`hp_trt.apps.service.tokens`); None: no token is asked for, on loopback alone
    drain_s     from SIGTERM until the process has ended
    stall_s     without a sign of life, and a lane is taken to hang
    traces      a file for OpenTelemetry's spans, a line of JSON each; None: only where the process has a provider
    nvtx        ranges for NVIDIA's profilers
    sign_chain  certificates to sign results with, PEM; None: a local key of the user who runs it
    sign_key    the private key of the first of them
    page        the page (`hp_trt.apps.web`), where Gradio is installed
    study       a study (`hp-trt study`) whose page is served at /study/, to whoever may reach the service
    ice_servers STUN and TURN servers that both sides of WebRTC ask; none by default
    enhancer    a bundle of the enhancer, for jobs that enlarge a video; opened with the first of them; None: none
    """

    bundle: str
    state: Path
    host: str = "127.0.0.1"
    port: int = 7860
    profiles: tuple[str, ...] = ("exact",)
    clip_lanes: int = 1
    live_lanes: int = 1
    tokens: Path | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    drain_s: float = 60
    stall_s: float = 300
    traces: Path | None = None
    nvtx: bool = False
    sign_chain: Path | None = None
    sign_key: Path | None = None
    page: bool = True
    study: Path | None = None
    ice_servers: tuple[IceServer, ...] = ()
    enhancer: str | None = None
    limits: Limits = field(default_factory=Limits)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        arguments.words("bundle", self.bundle)
        object.__setattr__(self, "state", arguments.path("state", self.state).absolute())
        if self.enhancer is not None:
            arguments.words("enhancer", self.enhancer)
        object.__setattr__(self, "ice_servers", read_ice_servers("ice_servers", self.ice_servers))
        arguments.whole("port", self.port, least=0, most=65_535)
        arguments.whole("clip_lanes", self.clip_lanes, least=1, most=_MOST_LANES)
        arguments.whole("live_lanes", self.live_lanes, least=0, most=_MOST_LANES)
        for name in ("drain_s", "stall_s"):
            object.__setattr__(self, name, _number(name, getattr(self, name), float))
        if not self.profiles or len(set(self.profiles)) < len(self.profiles):
            raise InputError(f"profiles needs at least one name, each once, got {list(self.profiles)}")
        if self.tokens is None and not self.on_loopback:
            raise InputError(
                f"without a file of tokens the service listens on loopback alone, got the host {self.host}; give "
                "--tokens FILE, or leave --host out"
            )
        if (self.sign_chain is None) != (self.sign_key is None):
            given, needed = ("chain", "key") if self.sign_key is None else ("key", "chain")
            raise InputError(f"sign_{given} needs sign_{needed} too; give --sign-chain and --sign-key, or neither")
        if "*" in self.origins or "*" in self.hosts:
            raise InputError("hosts and origins are named one by one, got *; write each of them")
        taken = replace(self.runtime, profile=self.profiles[0], max_frames=self.limits.max_frames)
        object.__setattr__(self, "runtime", taken)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def read_config(
    file: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any], *, state: Path
) -> ServiceConfig:
    """The configuration that `file`, `environ` and `flags` make, each over the one before; None in `flags` is no value.

    Keys of `flags` are fields of ServiceConfig, "limits.NAME" and "runtime.NAME". `state`: the folder where none says
    another. Raises InputError.
    """
    found: dict[str, Any] = {"state": state} | _of_file(file) | _of_environment(environ)
    found |= {name: value for name, value in flags.items() if value not in (None, ())}
    if "bundle" not in found:
        raise InputError("no bundle was named; give --bundle shipped:pocket, which comes with hp-trt, or a folder")
    tables: dict[str, Any] = {name: {} for name in _TABLES}
    plain: dict[str, Any] = {}
    for name, value in found.items():
        table, _, key = name.partition(".")
        (tables[table] if key else plain)[key or name] = value
    return ServiceConfig(limits=Limits(**tables["limits"]), runtime=RuntimeConfig(**tables["runtime"]), **plain)


def _kinds() -> dict[str, Any]:
    """Every name that may be set, and its type."""
    own = {name: kind for name, kind in get_type_hints(ServiceConfig).items() if name not in _TABLES}
    limits = {f"limits.{name}": kind for name, kind in get_type_hints(Limits).items()}
    runtime = {f"runtime.{one.name}": one.type for one in fields(RuntimeConfig) if one.name in _WHERE_GRAPHS_RUN}
    return own | limits | runtime


def _of_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        read = read_toml(file, most_bytes=_MOST_FILE_BYTES).mapping()
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is no configuration ({reason(error)}); see docs/service.md") from error
    flat: dict[str, Any] = {}
    for name, value in read.items():
        if name in _TABLES and isinstance(value, dict):
            flat |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            flat[name] = value
    return {name: _value(f"{file}: {name}", name, value) for name, value in flat.items()}


def _of_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        name = variable.removeprefix(PREFIX).lower()
        for table in _TABLES:
            if name.startswith(f"{table}_"):
                name = f"{table}.{name.removeprefix(table + '_')}"
        found[name] = _value(variable, name, environ[variable], text=True)
    return found


def _value(where: str, name: str, value: Any, *, text: bool = False) -> Any:
    """A value as its field has it. `text`: of the environment, where numbers are text too. Raises InputError."""
    kinds = _kinds()
    if name not in kinds:
        raise InputError(f"{where}: there is no such setting; there are: {', '.join(sorted(kinds))}")
    kind = str(kinds[name])
    if name == "ice_servers":
        return read_ice_servers(where, value)
    try:
        if "tuple" in kind:
            words = value.split(",") if isinstance(value, str) else value
            return tuple(arguments.words(where, word).strip() for word in words)
        if "Path" in kind:
            return arguments.path(where, value)
        if text and ("int" in kind or "float" in kind):
            return int(value) if "int" in kind else float(value)
        if text and "bool" in kind:
            return {"1": True, "true": True, "0": False, "false": False}[value.lower()]
        if "bool" in kind:
            return arguments.flag(where, value)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where} has a value that cannot be used: {arguments.shown(value)}") from error
    return value


def _number(name: str, value: Any, kind: type) -> int | float:
    """A limit. Raises InputError."""
    if kind is int:
        return arguments.whole(name, value, least=1, most=_MOST)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{name} must be a number above 0, got {arguments.shown(value)}")
    return float(min(value, _MOST))
