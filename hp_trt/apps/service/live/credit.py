"""How many pictures a socket's client may send: as many as the session's input queue has room for.

A client without credit drops pictures at its camera, so none wait in a socket, where they would only get old. Pure
counting.
"""

from __future__ import annotations

from hp_trt.apps.service.live.protocol import ProtocolError


class Credits:
    """Of one connection. `until`: pictures with a lower sequence number may be sent."""

    def __init__(self, *, most_ignored: int) -> None:
        self.until = 0
        self._came = 0
        self._most_ignored = most_ignored
        self.ignored = 0  # pictures that came without

    def grant(self, room: int) -> bool:
        """Whether `until` is higher now, with room for so many beside those that came."""
        until = self._came + max(room, 0)
        higher, self.until = until > self.until, max(self.until, until)
        return higher

    def admits(self, sequence: int) -> bool:
        """Whether a picture that came is taken. Raises ProtocolError for one out of order, and for too many without."""
        if sequence != self._came:
            raise ProtocolError(
                f"picture {sequence} came where {self._came} was due; number those that you send, from 0 on each "
                "connection"
            )
        self._came += 1
        if sequence < self.until:
            return True
        self.ignored += 1
        if self.ignored > self._most_ignored:
            raise ProtocolError(
                f"{self.ignored} pictures came without credit; wait for the message credit before you send"
            )
        return False
