"""A thread beside that pushes frames into a live session, for a caller that takes what comes out."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np

from hp_trt.live.session import LiveSession


@contextmanager
def pushing(session: LiveSession, frames: Iterable[tuple[np.ndarray, Fraction]], *, thread: str) -> Iterator[None]:
    """Push `frames` with their times while the block lasts, and close the session's input after the last.

    Leaving the block aborts the session: whoever pushes is told that nothing is taken any more. A block that ended well
    then raises what `frames`, or pushing one, has raised. `frames` is walked in the other thread, called `thread`.
    """
    failed: list[BaseException] = []

    def push() -> None:
        try:
            for image, pts_s in frames:
                session.push(image, pts_s)
        except BaseException as error:  # for the thread that waits for frames
            failed.append(error)
        finally:
            session.close()

    pusher = threading.Thread(target=push, name=thread, daemon=True)
    pusher.start()
    try:
        yield
    finally:
        session.abort()
        pusher.join()
    if failed:
        raise failed[0]
