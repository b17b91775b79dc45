"""How the service ends: nothing new, clips go on for a while, the rest waits on the disk for the next process.

SIGTERM or Ctrl-C begins it; `/readyz` says so, and so does every answer to a new request. Clips may go on until a
little before the process has to be gone; then they stop before their next piece of work and are queued again. A second
signal ends it now: what runs then counts as killed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from uvicorn import Server

log = logging.getLogger("hp_trt.service")
_LOOKS_EVERY_S = 0.1
_MARGIN_S = 5.0  # of `drain_s`, for clips to stop and for sockets to close


class Drain:
    """The end of a service, as far as it has come.

    `told`: called once when it begins, with the seconds until clips stop; live sessions say `draining` then. `stopped`:
    called once when clips are to stop. `busy`: whether anything is still under way.
    """

    def __init__(
        self,
        drain_s: float,
        *,
        told: Callable[[float], None],
        stopped: Callable[[], None],
        busy: Callable[[], bool],
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._drain_s, self._told, self._stopped, self._busy, self._steady_s = drain_s, told, stopped, busy, steady_s
        self._begin_s: float | None = None

    @property
    def begun(self) -> bool:
        return self._begin_s is not None

    @property
    def clips_until_s(self) -> float:
        """How long clips go on, from the beginning."""
        return self._drain_s - min(_MARGIN_S, self._drain_s / 2)

    def begin(self) -> None:
        """Twice is once."""
        if self._begin_s is None:
            self._begin_s = self._steady_s()
            log.info("draining", extra={"drain_s": self._drain_s})
            self._told(self.clips_until_s)

    async def run(self) -> None:
        """Until nothing is under way, or the time is over but for what sockets need to close."""
        assert self._begin_s is not None, "begin() comes first"
        while self._busy() and self._steady_s() - self._begin_s < self.clips_until_s:
            await asyncio.sleep(_LOOKS_EVERY_S)
        self._stopped()
        last_s = self._drain_s - min(_MARGIN_S, self._drain_s / 2) / 2
        while self._busy() and self._steady_s() - self._begin_s < last_s:
            await asyncio.sleep(_LOOKS_EVERY_S)


class DrainingServer(Server):
    """uvicorn's server, whose first signal drains."""

    def __init__(self, config: Any, drain: Drain, ended: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain, self._ended = drain, ended
        self._asked = False
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: Any) -> None:
        """A signal came. It is not raised again at the end, so a service that was told to end exits with 0."""
        if self._asked:
            self.should_exit = self.force_exit = True
        self._asked = True

    async def on_tick(self, counter: int) -> bool:
        if self._asked and self._draining is None:
            self._drain.begin()
            self._draining = asyncio.get_running_loop().create_task(self._run())
        return await super().on_tick(counter)

    async def _run(self) -> None:
        try:
            await self._drain.run()
        finally:
            self._ended()
            self.should_exit = True
