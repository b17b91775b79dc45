"""What a file carries of its origin: it is looked at, and nothing of it is kept. Whoever asks needs no token."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from engines.errors import HpTrtError
from hp_trt.apps.service.asking import TheService, check_not_draining, on_disk
from hp_trt.apps.service.bodies import UPLOAD, VerifyReport, answers
from hp_trt.apps.service.problems import Problem, problem_of
from hp_trt.apps.service.routes.portraits import FORM
from hp_trt.apps.service.routes.uploading import receive
from hp_trt.apps.service.service import Service
from hp_trt.apps.service.verifier import look_at

router = APIRouter(prefix="/v1/verify", tags=["verify"])
_NOBODY = "verify"  # whose bytes these are while they come: together they have one owner's quota
_IDLES = 10  # of `body_idle_s`, and the upload ends, however evenly it comes
_REFUSED = ("too-slow", "too-large", "unsupported-media", "impossible", "quota", "busy", "draining", "storage")
_BODY = {"required": True, "content": {"video/*": UPLOAD, "image/*": UPLOAD, "multipart/form-data": FORM}}


@router.post(
    "", responses=answers(*_REFUSED, more={200: {"model": VerifyReport}}), openapi_extra={"requestBody": _BODY}
)
async def verify(request: Request, service: TheService) -> JSONResponse:
    """Say what a video or picture carries: Content Credentials, the invisible mark. It needs no token."""
    check_not_draining(service)
    limits = service.config.limits
    with service.verifies.one():
        folder = service.state.new_file()
        try:
            await on_disk(service, folder.mkdir, 0o700)
            await _receive(request, service, folder / "file")
            return JSONResponse(await look_at(folder / "file", limits))
        except (OSError, HpTrtError) as error:
            raise problem_of(error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


async def _receive(request: Request, service: Service, path: Path) -> None:
    """Raises Problem, OSError."""
    limits = service.config.limits
    longest_s = _IDLES * limits.body_idle_s
    coming = receive(request, service, path, _NOBODY, most=limits.verify_bytes)
    try:
        await asyncio.wait_for(coming, longest_s)
    except TimeoutError:
        raise Problem("too-slow", f"the file came for {longest_s:g} s; send it over a better line") from None
