"""A service with its page on a port of this machine, and a browser that looks at it with a camera that is none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
_WORDS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
)


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The application, as `hp-trt serve` serves it: without its lifespan. Its address."""
    import uvicorn

    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[test]'")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=list(_WORDS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seen:
    """A tab of the browser, what it complained of, and every address that it asked."""

    tab: Any
    complaints: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def text(self, place: str) -> str:
        return str(self.tab.inner_text(place))

    def until(self, place: str, words: str, timeout_s: float = 60) -> str:
        """Wait for words to be read at a place; all that is read there."""
        self.tab.locator(place).filter(has_text=words).first.wait_for(timeout=timeout_s * 1000)
        return self.text(place)


@contextmanager
def looking_at(browser: Any, address: str, *, ready: str = "[role=tab]", **how: Any) -> Iterator[Seen]:
    """The page at an address, once `ready` is there. In the end it has asked no other host, and no line is an error."""
    context = browser.new_context(**how)
    seen = Seen(context.new_page())
    seen.tab.on("console", lambda line: line.type in ("error", "warning") and seen.complaints.append(line.text))
    seen.tab.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.tab.on("request", lambda request: seen.asked.add(request.url))
    seen.tab.on("websocket", lambda socket: seen.asked.add(socket.url.replace("ws", "http", 1)))
    try:
        seen.tab.goto(f"{address}/")
        seen.tab.wait_for_selector(ready)
        yield seen
        foreign = {url for url in seen.asked if not url.removeprefix("blob:").startswith((f"{address}/", "data:"))}
        assert not foreign, foreign
        assert not seen.complaints, seen.complaints
    finally:
        context.close()
