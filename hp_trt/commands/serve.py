"""`hp-trt serve`: the service, over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from engines.errors import InputError
from hp_trt import shipped
from hp_trt.commands import options
from hp_trt.console import Reporter

_BUNDLE = f"Folder of a bundle, or {shipped.POCKET_BUNDLE} or {shipped.TALK_POCKET_BUNDLE}."
Bundle = Annotated[str | None, typer.Option(metavar="PATH", help=_BUNDLE)]
File = Annotated[Path | None, typer.Option("--config", help="Settings (TOML): docs/service.md.")]
Host = Annotated[str | None, typer.Option(help="Address to listen at [127.0.0.1].")]
Port = Annotated[int | None, typer.Option(min=0, max=65_535, help="Port; 0: any that is free [7860].")]
Tokens = Annotated[Path | None, typer.Option(help="File of tokens; without it only this machine is listened to.")]
NewToken = Annotated[str | None, typer.Option(metavar="NAME", help="Add a token to --tokens, print it, and end.")]
State = Annotated[Path | None, typer.Option(help="Folder for uploads, jobs and results [~/.local/state/hp-trt].")]
ClipLanes = Annotated[int | None, typer.Option(min=1, max=64, help="Clips that are made at a time [1].")]
LiveLanes = Annotated[int | None, typer.Option(min=0, max=64, help="Live sessions at a time [1].")]
Profiles = Annotated[list[str] | None, typer.Option("--profile", help="Of clips, once for each [exact].")]
Hosts = Annotated[list[str] | None, typer.Option("--allowed-host", help="A name that clients may call this by.")]
Origins = Annotated[list[str] | None, typer.Option("--origin", help="A page elsewhere that may call this (CORS).")]
DrainS = Annotated[
    float | None, typer.Option("--drain", min=0.1, max=1e6, help="Seconds from SIGTERM to the end [60].")
]
StallS = Annotated[
    float | None, typer.Option("--stall", min=0.1, max=1e6, help="A lane silent for so many seconds hangs [300].")
]
Traces = Annotated[Path | None, typer.Option(help="File for OpenTelemetry's spans, a line of JSON each.")]
Nvtx = Annotated[bool | None, typer.Option("--nvtx", help="Ranges for NVIDIA's profilers.")]
SignChain = Annotated[Path | None, typer.Option(help="Certificates to sign results with (PEM) [a local key's].")]
SignKey = Annotated[Path | None, typer.Option(help="The private key of the first of them (PEM).")]
Page = Annotated[bool | None, typer.Option("--page/--no-page", help="The page in a browser [--page].")]
Study = Annotated[Path | None, typer.Option(metavar="DIR", help="A study to serve at /study/: docs/study.md.")]
IceServers = Annotated[
    list[str] | None, typer.Option("--ice-server", metavar="URL", help="STUN server for WebRTC, stun:NAME [none].")
]
Enhancer = Annotated[
    str | None,
    typer.Option(metavar="PATH", help=f"Bundle that enlarges videos: {shipped.ENHANCER_POCKET_BUNDLE} [none]."),
]
MaxFrames = Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Of a driving video [10,000].")]
Family = Annotated[str | None, typer.Option(help="onnxruntime, openvino, tensorrt, tensorrt-rtx or auto.")]
Provider = Annotated[str | None, typer.Option(help="Of ONNX Runtime: cpu or cuda.")]
Device = Annotated[int | None, typer.Option(min=0, max=1023, help="Which GPU, from 0.")]
Locator = Annotated[str | None, typer.Option(help="Face finder: haar, yunet, yoloface or mesh.")]


def serve(
    bundle: Bundle = None,
    config: File = None,
    host: Host = None,
    port: Port = None,
    tokens: Tokens = None,
    new_token: NewToken = None,
    state: State = None,
    clip_lanes: ClipLanes = None,
    live_lanes: LiveLanes = None,
    profile: Profiles = None,
    allowed_host: Hosts = None,
    origin: Origins = None,
    drain: DrainS = None,
    stall: StallS = None,
    traces: Traces = None,
    nvtx: Nvtx = None,
    sign_chain: SignChain = None,
    sign_key: SignKey = None,
    page: Page = None,
    study: Study = None,
    ice_server: IceServers = None,
    enhancer: Enhancer = None,
    max_frames: MaxFrames = None,
    family: Family = None,
    provider: Provider = None,
    device: Device = None,
    threads: options.Threads = None,
    locator: Locator = None,
    locator_file: options.LocatorFile = None,
    arcface: options.Arcface = None,
    vocals: options.Vocals = None,
    debug: options.Debug = False,
) -> None:
    """Serve a bundle over HTTP: uploads, jobs with progress, results. SIGTERM or Ctrl-C ends it in order."""
    if new_token is not None:
        _add_token(tokens, new_token)
        return
    flags: dict[str, Any] = {"bundle": bundle, "host": host, "port": port, "tokens": tokens, "state": state}
    flags |= {"clip_lanes": clip_lanes, "live_lanes": live_lanes, "profiles": tuple(profile or ())}
    flags |= {"hosts": tuple(allowed_host or ()), "origins": tuple(origin or ()), "drain_s": drain, "stall_s": stall}
    flags |= {"traces": traces, "nvtx": nvtx, "page": page, "study": study, "limits.max_frames": max_frames}
    flags |= {"sign_chain": sign_chain, "sign_key": sign_key, "ice_servers": tuple(ice_server or ())}
    flags["enhancer"] = enhancer
    graphs: dict[str, Any] = {
        "family": family,
        "provider": provider,
        "device_id": device,
        "threads": threads,
        "locator": locator,
    }
    graphs |= {"locator_file": locator_file, "arcface": arcface, "vocals": vocals}
    serve_with(config, flags | {f"runtime.{name}": value for name, value in graphs.items()})


def serve_with(file: Path | None, flags: dict[str, Any]) -> None:
    """Read the settings, and serve. Raises InputError, BundleError, OutputError, EngineMismatch."""
    from hp_trt.apps.service.config import read_config
    from hp_trt.apps.service.serve import serve

    above = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    serve(read_config(file, os.environ, flags, state=Path(above).expanduser() / "hp-trt"))


def _add_token(tokens: Path | None, name: str) -> None:
    from hp_trt.apps.service.tokens import add_token

    if tokens is None:
        raise InputError("--new-token adds a token to a file, and none was named; add --tokens FILE")
    with Reporter() as report:
        report.note(f"the token of {name}, of which {tokens} keeps the hash alone; nobody can show it again:")
        report.result(add_token(tokens, name))
