"""Processes that export graphs or build plans: what one leaves undone is told to whoever waits for it.

A builder can end its whole process. The next one then goes on behind the graph at which it died: a crash costs the
lines that need this graph, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.gpu.children import Child
from tests.gpu.kitchen import Dish


class Cook:
    """`dishes`: what it makes, in its order. `start` starts a process that makes those that are not done."""

    def __init__(self, dishes: Sequence[Dish], start: Callable[[], Child]) -> None:
        self._dishes, self._start = dishes, start
        self.child = start()

    def goes_on(self) -> bool:
        """Once its process has ended: True where another was begun for the rest, in `child`."""
        left = [dish for dish in self._dishes if not dish.done]
        crashed = self.child.crashed
        for dish in left[:1] if crashed else left:
            dish.announce(error=f"{self.child.end}, see the lines of the build")
        if crashed and left[1:]:
            self.child = self._start()
            return True
        return False
