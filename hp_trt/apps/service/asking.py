"""What routes need of a request: the service, whose request it is, and that there is something to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.service import Service

Answer = TypeVar("Answer")
_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="A token of the service's file of tokens.")


def service_of(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


def owner_of(request: Request, _declared: Annotated[Any, Depends(_bearer)]) -> str:
    """Whose request it is. Raises Problem. The header itself is read: the library takes other schemes for none."""
    return service_of(request).tokens.owner(request.headers.get("authorization"))


TheService = Annotated[Service, Depends(service_of)]
Owner = Annotated[str, Depends(owner_of)]


def check_not_draining(service: Service) -> None:
    """Raises Problem where nothing new begins."""
    if service.drain.begun:
        raise Problem("draining", "the service is ending; try again in a while", retry_after_s=15)


async def on_disk(service: Service, work: Callable[..., Answer], *given: Any, **named: Any) -> Answer:
    """Run what waits for a disk elsewhere than in the loop."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(service.disk, lambda: work(*given, **named))
