"""When a session ends by itself: nobody sends, nobody's face is seen, nobody is there, or its time is over.

Pure arithmetic on times that are handed in, in seconds on one clock that nobody sets.
"""

from __future__ import annotations

from dataclasses import dataclass

from hp_trt.apps.service.live.limits import LiveLimits
from hp_trt.live.session import LiveStats


@dataclass(frozen=True, kw_only=True)
class End:
    """Why a session ended, for the client's program, for people, and the socket's close code."""

    reason: str
    detail: str
    code: int = 1000


DRAINED = End(reason="draining", detail="the server ends; come back in a moment", code=1012)
LEFT = End(reason="left", detail="the client ended the session")


class Watch:
    """Looks at one session. `begun_s`: when it was asked for."""

    def __init__(self, limits: LiveLimits, *, begun_s: float, faces: bool) -> None:
        self._limits, self._begun_s, self._looks_for_faces = limits, begun_s, faces
        self._frame_s = begun_s
        self._face_s: float | None = None
        self._faces = 0
        self._alone_s: float | None = begun_s
        self.note = ""  # to tell, once it is not empty

    def frame(self, now_s: float) -> None:
        """A frame or a piece of sound was taken."""
        self._frame_s = now_s
        self._face_s = now_s if self._face_s is None else self._face_s

    def opening(self, now_s: float) -> None:
        """The engine is being opened for a portrait: no frame is taken meanwhile, so none is missed."""
        self._frame_s = now_s

    def connections(self, count: int, now_s: float) -> None:
        """So many are there now."""
        self._alone_s = None if count else now_s

    def look(self, now_s: float, stats: LiveStats | None) -> End | None:
        """Why it should end now. `stats` is None as long as the session is not open."""
        limits = self._limits
        if self._alone_s is not None and now_s - self._alone_s > limits.return_s:
            return End(reason="gone", detail=f"nobody came back within {limits.return_s:g} s", code=1001)
        if now_s - self._begun_s > limits.longest_s:
            return End(reason="over", detail=f"a session lasts {limits.longest_s:g} s at most; begin another one")
        if now_s - self._frame_s > limits.idle_s:
            return End(reason="idle", detail=f"no frame came for {limits.idle_s:g} s")
        return self._look_for_faces(now_s, stats) if stats and self._looks_for_faces else None

    def _look_for_faces(self, now_s: float, stats: LiveStats) -> End | None:
        # A frame on its way counts as one with a face until it was looked at: two more are needed.
        seen = stats.pushed - stats.dropped_in - stats.queued_in - stats.held - stats.faceless
        if seen > self._faces + 1:
            self._faces, self._face_s, self.note = seen, now_s, ""
        if self._face_s is None or now_s - self._frame_s > 1:  # nothing to see a face on
            return None
        without_s = now_s - self._face_s
        if without_s > self._limits.faceless_s:
            return End(reason="faceless", detail=f"no face was seen for {self._limits.faceless_s:g} s")
        if without_s > self._limits.faceless_s / 2:
            self.note = f"no face is seen; without one the session ends in {self._limits.faceless_s / 2:g} s"
        return None
