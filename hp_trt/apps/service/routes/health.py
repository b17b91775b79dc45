"""What machines ask: does it live, is it ready, how much has it done. None of it needs a token or says whose it is."""

from __future__ import annotations

from fastapi import APIRouter, Response

from hp_trt.apps.service.asking import TheService, check_not_draining
from hp_trt.apps.service.bodies import Health, answers
from hp_trt.apps.service.meters import CONTENT_TYPE
from hp_trt.apps.service.problems import Problem

router = APIRouter(tags=["health"])
_METRICS = {200: {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.get("/livez", responses=answers("stalled"))
async def livez(service: TheService) -> Health:
    """503 when a lane hangs for good: the process is to be started again."""
    if silent := service.silent_lanes(2):
        raise Problem("stalled", f"{', '.join(silent)}: no sign of life; start the process again")
    return Health(status="ok")


@router.get("/readyz", responses=answers("stalled", "draining"))
async def readyz(service: TheService) -> Health:
    """503 while it ends, or a lane gives no sign of life: send it nothing new."""
    check_not_draining(service)
    if silent := service.silent_lanes():
        raise Problem("stalled", f"{', '.join(silent)}: no sign of life", retry_after_s=15)
    return Health(status="ok")


@router.get("/metrics", responses=answers(more=_METRICS), response_class=Response)
async def metrics(service: TheService) -> Response:
    """Prometheus' text."""
    return Response(service.meters.text(), media_type=CONTENT_TYPE)
