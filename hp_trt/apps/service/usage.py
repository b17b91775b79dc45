"""Who has used the lanes how much lately: lane-seconds that fade by half every ten minutes."""

from __future__ import annotations

from collections.abc import Callable

_HALF_S = 600.0
_FORGOTTEN = 1e-3


class Usage:
    """Lane-seconds of each owner, those of running jobs among them. Its caller holds a lock."""

    def __init__(self, steady_s: Callable[[], float]) -> None:
        self._steady_s = steady_s
        self._used: dict[str, float] = {}
        self._running: dict[str, list[float]] = {}
        self._since_s = steady_s()

    def begin(self, owner: str) -> None:
        self._running.setdefault(owner, []).append(self._steady_s())

    def end(self, owner: str) -> None:
        """The oldest of the owner's jobs that run has ended, or any: the sum is the same."""
        self._fade()
        begun = self._running.get(owner, [])
        if begun:
            self._used[owner] = self._used.get(owner, 0.0) + self._steady_s() - begun.pop(0)
        if not begun:
            self._running.pop(owner, None)

    def of(self, owner: str) -> float:
        self._fade()
        now_s = self._steady_s()
        return self._used.get(owner, 0.0) + sum(now_s - begun_s for begun_s in self._running.get(owner, ()))

    def _fade(self) -> None:
        now_s = self._steady_s()
        share = 0.5 ** ((now_s - self._since_s) / _HALF_S)
        self._since_s = now_s
        self._used = {owner: used * share for owner, used in self._used.items() if used * share > _FORGOTTEN}
