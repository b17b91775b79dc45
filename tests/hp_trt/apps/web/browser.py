"""The live page in a real browser, with a camera and a microphone that are files, against a service in this process."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHROMIUM = Path("/usr/bin/chromium")


def need_browser() -> None:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[test]'")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed: apt-get install chromium")


def write_camera(path: Path, frames: list[np.ndarray], fps: int) -> Path:
    """Frames (H, W, 3) uint8 RGB as a y4m, which the browser plays round and round as its camera."""
    import av

    with av.open(str(path), "w", format="yuv4mpegpipe") as container:
        stream = container.add_stream("wrapped_avframe", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode())
    return path


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The application on a port of this machine; its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws_max_size=10_000_000))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@dataclass
class Seen:
    """What a test has of the page."""

    page: Any
    console: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    sent: list[Any] = field(default_factory=list)  # on sockets: texts as JSON, packets as bytes
    received: list[Any] = field(default_factory=list)

    def says(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.received if isinstance(message, dict) and message["type"] == kind]


@contextmanager
def page_of(address: str, *, camera: Path, microphone: Path | None = None, **options: Any) -> Iterator[Seen]:
    from playwright.sync_api import sync_playwright

    words = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
        "--autoplay-policy=no-user-gesture-required",
        "--disable-background-networking",
    ]
    words += [f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=words)
        try:
            page = browser.new_page(**options)
            seen = Seen(page)
            page.on("console", lambda line: line.type in ("error", "warning") and seen.console.append(line.text))
            page.on("pageerror", lambda error: seen.console.append(str(error)))
            page.on("request", lambda request: seen.hosts.add(request.url.split("/")[2]))
            page.on("websocket", lambda socket: _record(socket, seen))
            page.goto(f"{address}/live")
            yield seen
        finally:
            browser.close()


def _record(socket: Any, seen: Seen) -> None:
    seen.hosts.add(socket.url.split("/")[2])
    read = lambda data: json.loads(data) if isinstance(data, str) else data  # noqa: E731
    socket.on("framesent", lambda data: seen.sent.append(read(data)))
    socket.on("framereceived", lambda data: seen.received.append(read(data)))
