"""What pieces of work took, on a clock: how the host's stages are measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CLIP_FRAMES = 10  # of the drawn clip: the host's work differs from frame to frame


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one piece of work took."""

    seconds: float
    core_s: float  # of all threads of this process
    runs: int


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self._spent: dict[str, list[tuple[float, float, int]]] = {}

    @contextmanager
    def piece(self, stage: str, pieces: int = 1) -> Iterator[None]:
        """Times what is done within, of which so many pieces are made."""
        start_s, start_core_s = time.perf_counter(), time.process_time()
        yield
        spent = time.perf_counter() - start_s, time.process_time() - start_core_s, pieces
        self._spent.setdefault(stage, []).append(spent)

    def pieces(self) -> dict[str, Piece]:
        """A piece's mean."""
        means = {}
        for stage, spent in self._spent.items():
            count = sum(pieces for _, _, pieces in spent)
            means[stage] = Piece(
                seconds=sum(seconds for seconds, _, _ in spent) / count,
                core_s=sum(core_s for _, core_s, _ in spent) / count,
                runs=count,
            )
        return means
