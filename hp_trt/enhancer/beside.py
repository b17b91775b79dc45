"""Work that goes on beside other work: a generator that runs ahead of its reader, in a thread of its own.

    frames = ahead(read(), 4)          # up to four frames wait
    faces = ahead(find(frames), 4)     # `find` runs in another thread, and takes from the first

What fails in a thread is raised to its reader. Closing the last generator ends all threads, from behind: each is left
where it would hand on the next item, and closes the one that it reads.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from queue import Empty, Full, Queue
from typing import TypeVar

Item = TypeVar("Item")
_LOOK_S = 0.1  # a thread that may not hand on looks so often whether anybody wants it to


class _Ended:
    """The generator has ended, by itself or with an error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Generator[Item, None, None], most: int, name: str = "ahead") -> Generator[Item, None, None]:
    """The same items; up to `most` of them, and the one in the making, are there before they are asked for.

    The thread begins with the first item that is asked for. `items` is closed in any case, and has ended when this has.
    """
    if most < 1:
        raise ValueError(f"at least one item waits, got {most}")
    made: Queue[Item | _Ended] = Queue(maxsize=most)
    left = threading.Event()

    def hand_on(item: Item | _Ended) -> bool:
        while not left.is_set():
            try:
                made.put(item, timeout=_LOOK_S)
                return True
            except Full:
                continue
        return False

    def run() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not hand_on(item):
                    break
                del item  # else it is held while the next one is made
        except BaseException as raised:  # its reader's to see, whatever it is
            error = raised
        finally:
            items.close()
            hand_on(_Ended(error))

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        while True:
            item = _next(made)
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item
    finally:
        left.set()
        thread.join()


def _next(made: Queue[Item]) -> Item:
    """Waits in pieces, so that Ctrl-C is heard on every system."""
    while True:
        try:
            return made.get(timeout=1)
        except Empty:
            continue
