"""What replicas of live sessions tell each other: which tickets are used, and whose sessions are where.

tickets/HASH    a ticket that somebody took
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from hp_trt.apps.scale.presence import Presence
from hp_trt.apps.service.store import State

SOCKETS = "/v1/live/sockets"  # where Ray serves the replicas of live sessions
LIVE = "live"  # what such a process is called among the others
_REMEMBERED_S = 600.0  # many times as long as a ticket lives
_SWEEPS_EVERY_S = 60.0


class FolderShared:
    """A `hp_trt.apps.service.live.sessions.LiveShared` over the folder that all replicas have.

    `here`: whether this is a replica of live sessions; a front gives tickets for them.
    """

    sockets = SOCKETS

    def __init__(self, state: State, presence: Presence, *, here: bool) -> None:
        self.here = here
        self._presence, self._used = presence, state.path / "tickets"
        self._used.mkdir(mode=0o700, exist_ok=True)
        self._swept_s = time.monotonic()
        presence.each(self._sweep)

    def first_use(self, once: str) -> bool:
        """Raises OSError where the folder is away: nobody knows then whether it was used."""
        place = self._used / hashlib.sha256(once.encode()).hexdigest()
        try:
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            return True
        except FileExistsError:
            return False

    def processes(self) -> int:
        return sum(about.get("kind") == LIVE for about in self._presence.others.values())

    def elsewhere(self, caller: str | None = None) -> int:
        found = [about.get("live") for about in self._presence.others.values()]
        counts = [counted for counted in found if isinstance(counted, dict)]
        return sum(sum(one.values()) if caller is None else int(one.get(caller, 0)) for one in counts)

    def tell(self, callers: Sequence[str]) -> None:
        self._presence.say(live=dict(Counter(callers)))

    def _sweep(self) -> None:
        if time.monotonic() - self._swept_s < _SWEEPS_EVERY_S:
            return
        self._swept_s = time.monotonic()
        newest_s = max((entry.stat().st_mtime for entry in os.scandir(self._used)), default=0.0)
        for entry in os.scandir(self._used):
            with suppress(FileNotFoundError):  # another one was quicker
                if newest_s - entry.stat().st_mtime > _REMEMBERED_S:
                    os.unlink(entry.path)
