"""Work beside the event loop, in a thread of its own.

Not in the loop's pool: opening a session may take seconds, and what it shares its few threads with would wait.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Made = TypeVar("Made")


async def beside(work: Callable[[], Made], *, thread: str) -> Made:
    """What `work` gives, or raises. Cancelled, it is not waited for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Made] = loop.create_future()

    def settle(made: Made | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(made)  # type: ignore[arg-type]  # None where Made is
        else:
            future.set_exception(error)

    def run() -> None:
        made, caught = None, None
        try:
            made = work()
        except BaseException as error:  # for whoever waits
            caught = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, made, caught)

    threading.Thread(target=run, name=thread, daemon=True).start()
    return await future
