"""Processes that export graphs or build plans: what one leaves undone is told to whoever waits for it.

A builder of TensorRT can end its whole process. The next process then goes on behind the graph at which it died: a
crash costs the lines that need this graph, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.gpu.artefacts import Artefact
from tests.gpu.children import Child


class Builder:
    """`artefacts`: what it makes, in its order. `start` starts a process that makes those that are not done."""

    def __init__(self, artefacts: Sequence[Artefact], start: Callable[[], Child]) -> None:
        self._artefacts, self._start = artefacts, start
        self.child = start()

    def goes_on(self) -> bool:
        """Once its process has ended: True where another was begun for the rest, in `child`."""
        left = [artefact for artefact in self._artefacts if not artefact.done]
        crashed = self.child.crashed
        for artefact in left[:1] if crashed else left:
            artefact.announce(error=f"{self.child.end}, see the lines of the build")
        if crashed and left[1:]:
            self.child = self._start()
            return True
        return False
