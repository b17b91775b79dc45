"""How many frames a second a client is asked for: fewer while the engine is late, more again when it is not.

An engine that is late for good drops frames, each of which has waited first: fewer frames are shown sooner. So the rate
falls at once to a little less than what comes out, and rises slowly. Each rise that makes it late again doubles the
patience until the next.

Pure arithmetic on times that are handed in, in seconds on one clock.
"""

from __future__ import annotations

_LATE_S = 2.0  # so long it is late before it is asked for less
_SETTLES_S = 4.0  # after a change: what was on its way comes out first
_CALM_S, _MOST_CALM_S = 8.0, 120.0
_LESS, _MORE = 0.85, 1.15
_SLACK = 0.25  # of a period: cameras are no metronomes


class Pace:
    """One session's rate, frames a second."""

    def __init__(self, *, most: float, least: float) -> None:
        self._most, self._least = most, min(least, most)
        self.rate = most
        self._late_since_s: float | None = None
        self._calm_since_s: float | None = None
        self._settled_s = 0.0
        self._calm_s = _CALM_S
        self._rose = False  # by the last change
        self._next_s: float | None = None

    def look(self, now_s: float, *, late: bool, animated_per_s: float) -> bool:
        """Call some times a second. `animated_per_s`: what comes out. Whether `rate` is another one now."""
        if not late:
            self._late_since_s = None
            self._calm_since_s = now_s if self._calm_since_s is None else self._calm_since_s
            return self._faster(now_s)
        self._calm_since_s = None
        self._late_since_s = now_s if self._late_since_s is None else self._late_since_s
        if now_s - self._late_since_s < _LATE_S or now_s < self._settled_s or self.rate <= self._least:
            return False
        if self._rose:
            self._calm_s = min(2 * self._calm_s, _MOST_CALM_S)
        self.rate = round(max(self._least, min(_LESS * animated_per_s, _LESS * self.rate)), 1)
        self._settled_s, self._rose, self._late_since_s = now_s + _SETTLES_S, False, None
        return True

    def admits(self, time_s: float) -> bool:
        """Whether a frame of that time, on the driver's clock, is in the rate. All are until less was asked for."""
        period_s = 1 / self.rate
        if self._next_s is None or abs(time_s - self._next_s) > 1 + period_s:  # the first, or the clock has jumped
            self._next_s = time_s
        if self.rate < self._most and time_s < self._next_s - _SLACK * period_s:
            return False
        self._next_s = max(self._next_s, time_s - period_s) + period_s
        return True

    def _faster(self, now_s: float) -> bool:
        assert self._calm_since_s is not None
        if self.rate >= self._most or now_s < self._settled_s or now_s - self._calm_since_s < self._calm_s:
            return False
        self.rate = round(min(self._most, _MORE * self.rate), 1)
        self._calm_since_s, self._settled_s, self._rose = now_s, now_s + _SETTLES_S, True
        return True
