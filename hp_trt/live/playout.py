"""When to show a frame, so that a window's frames, which come at once, are seen at the driver's pace."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

_REMEMBERED = 100  # frames: some windows, so that a moment's delay does not stay for ever
_LONGEST_HOLD_S = 30  # no frames of a session are so far apart: the driver's clock has jumped ahead


class Playout:
    """Shows each frame as long after its driver's time as the latest frames needed at most.

    The first of a window's frames has waited longest and sets that delay; the others, which waited less, are held until
    their turn. A frame that comes later still is shown at once, and the delay is its own from then on.
    """

    def __init__(self) -> None:
        self._needed_s: deque[float] = deque(maxlen=_REMEMBERED)

    def due_s(self, pts_s: Fraction, ready_s: float) -> float:
        """When to show a frame of that time which was ready at `ready_s`, both on the clock of `ready_s`."""
        needed_s = ready_s - float(pts_s)
        if self._needed_s and max(self._needed_s) - needed_s > _LONGEST_HOLD_S:
            self._needed_s.clear()
        self._needed_s.append(needed_s)
        return float(pts_s) + max(self._needed_s)
