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

_REMEMBERED_S = 600.0  # many times as long as a ticket lives
_SWEEPS_EVERY_S = 60.0


class FolderShared:
    """A `hp_trt.apps.service.live.sessions.LiveShared` over the folder that all replicas have."""

    def __init__(self, state: State, presence: Presence) -> None:
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

    def elsewhere(self, caller: str) -> int:
        counts = (about.get("live") for about in self._presence.others.values())
        return sum(int(found.get(caller, 0)) for found in counts if isinstance(found, dict))

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
