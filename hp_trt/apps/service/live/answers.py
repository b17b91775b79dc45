"""What the routes of live sessions answer where something is wrong: the service's problems, by our error's kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from engines.errors import HpTrtError
from hp_trt.apps.service.live.sessions import LiveBusy, LiveDraining, LiveUnknown
from hp_trt.apps.service.problems import Problem, problem_of

_BODY_S = 10.0  # for a body, which is small, to come
_DRAINED_S = 15.0  # until a service that ends is there again


def live_problem(error: HpTrtError) -> Problem:
    """What a caller hears of one of our errors."""
    match error:
        case LiveUnknown():
            return Problem("not-found", str(error))
        case LiveBusy():
            return Problem("busy", str(error), retry_after_s=error.retry_s)
        case LiveDraining():
            return Problem("draining", str(error), retry_after_s=_DRAINED_S)
    return problem_of(error)


class LiveRoute(APIRoute):
    """A route that turns our errors into problems, which whoever mounts it answers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except HpTrtError as error:
                raise live_problem(error) from error

        return told


async def body_of(request: Request, most_bytes: int) -> bytes:
    """All of it. Raises Problem while it comes, where it is too large or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for piece in request.stream():
                body += piece
                if len(body) > most_bytes:
                    raise Problem("too-large", f"the body has more than {most_bytes} bytes; send less")
    except TimeoutError:
        raise Problem("too-slow", f"the body came for {_BODY_S:g} s; send it over a better line") from None
    except ClientDisconnect:
        raise Problem("bad-request", "the client went away before its body had come") from None
    return bytes(body)
