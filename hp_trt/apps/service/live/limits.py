"""What a live session on a network may take, in one place; `/v1/info` can show it."""

from __future__ import annotations

from dataclasses import dataclass

from engines.errors import InputError


@dataclass(frozen=True, kw_only=True)
class LiveLimits:
    """Checked when made; raises InputError."""

    sessions: int = 1  # at once, on this engine
    sessions_of_a_caller: int = 1
    frame_bytes: int = 1_000_000  # of a picture or a piece of sound on the socket
    frame_pixels: int = 1920 * 1088
    portrait_bytes: int = 8_000_000
    portrait_px: int = 1280  # its longer side; larger ones are made smaller
    frames_per_s: float = 30.0  # that are taken at most
    slowest_per_s: float = 4.0  # that a client is asked for at least
    jpeg_quality: int = 85
    ticket_s: float = 30.0
    hello_s: float = 10.0  # for the first message
    return_s: float = 5.0  # for a client whose connection broke
    idle_s: float = 30.0  # without a frame
    faceless_s: float = 20.0  # without a face; half of it until a note says so
    longest_s: float = 3600.0
    sound_s: float = 10.0  # that waits for its pictures
    damaged: int = 30  # frames in a row that cannot be decoded
    uncredited: int = 60  # pictures without credit, all together

    def __post_init__(self) -> None:
        wrong = [name for name, value in vars(self).items() if not value > 0]
        if wrong:
            raise InputError(f"limits of a live session are above 0; {', '.join(wrong)} is not: leave it out")

    @property
    def message_bytes(self) -> int:
        """Of the largest message on the socket: for the server's own limit."""
        return max(self.frame_bytes, self.portrait_bytes) + 1024
