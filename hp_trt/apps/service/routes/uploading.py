"""What portraits and motions have in common: a body is received, looked at, and kept by its content."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from hp_trt.apps.service.asking import check_not_draining, on_disk
from hp_trt.apps.service.problems import problem_of
from hp_trt.apps.service.service import Service
from hp_trt.apps.service.store import Items
from hp_trt.apps.service.uploads import Received, receive_file

REFUSED = (
    "unauthorized", "too-slow", "too-large", "unsupported-media", "no-face", "impossible", "quota", "busy", "draining",
    "storage",
)  # fmt: skip


async def keep_upload(
    request: Request,
    service: Service,
    owner: str,
    items: Items,
    *,
    most: int,
    word: str,
    look: Callable[[Received], dict[str, Any]],
) -> JSONResponse:
    """Receive a body, `look` at it in a thread, and keep it: 201, or 200 where it is here already.

    `word`: what the client calls it. Raises Problem.
    """
    check_not_draining(service)
    loop = asyncio.get_running_loop()
    with service.uploads.one():
        path = service.state.new_file()
        try:
            received = await receive(request, service, path, owner, most=most)
            facts = await loop.run_in_executor(service.looking, look, received)
            item, is_new = await on_disk(service, items.add, owner, received.path, sha256=received.sha256, facts=facts)
        except Exception as error:
            raise problem_of(error, {path: word}, unopened="unsupported-media") from error
        finally:
            _remove(path)
    return JSONResponse(asdict(item), status_code=201 if is_new else 200)


async def receive(request: Request, service: Service, path: Path, owner: str, *, most: int) -> Received:
    """A body as a file, held to the service's limits and the owner's quota. Raises Problem, OSError."""
    return await receive_file(
        request,
        path,
        most=most,
        limits=service.config.limits,
        owner=owner,
        accounts=service.accounts,
        disk=service.disk,
    )


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
