"""How many of a kind may be under way at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hp_trt.apps.service.problems import Problem

_RETRY_S = 2


class Places:
    """`most` places; `full`: what is told where none is free. For the event loop's thread alone."""

    def __init__(self, most: int, full: str) -> None:
        self._most, self._full, self.taken = most, full, 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """A place, around a block. Raises Problem."""
        if self.taken >= self._most:
            raise Problem("busy", f"{self._full}; try again in a moment", retry_after_s=_RETRY_S)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
