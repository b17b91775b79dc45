"""Motions: what moves a portrait, a driving video or, for a model that speaks, a sound, or a motion file of either."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from hp_trt.apps.service.asking import Owner, TheService, on_disk
from hp_trt.apps.service.bodies import MOTION_ID, UPLOAD, Upload, UploadList, answers, leads_to
from hp_trt.apps.service.routes.portraits import FORM
from hp_trt.apps.service.routes.uploading import REFUSED, keep_upload
from hp_trt.apps.service.uploads import Received

router = APIRouter(prefix="/v1/motions", tags=["motions"])
Id = Annotated[str, Path(pattern=MOTION_ID)]
KEPT = {
    201: {"model": Upload, "links": leads_to("get_motion", "delete_motion")},
    200: {"model": Upload, "description": "Here already"},
}
_TYPES = ("video/*", "audio/*", "image/gif", "image/apng", "application/octet-stream")
_BODY = {"required": True, "content": {**dict.fromkeys(_TYPES, UPLOAD), "multipart/form-data": FORM}}


@router.post(
    "",
    status_code=201,
    responses=answers(*REFUSED, more=KEPT),
    openapi_extra={"requestBody": _BODY},
    response_model=None,
)
async def upload_motion(request: Request, service: TheService, owner: Owner) -> Response:
    """Upload a driving video, a sound where the bundle's portraits speak, or a motion file of either.

    Pictures that move (GIF, APNG) are videos, and one frame is enough. The same bytes have the same id.
    """
    limits, driver = service.config.limits, service.driver
    word = "the video" if driver == "video" else "the sound"

    def look(received: Received) -> dict[str, Any]:
        return service.look("motion", received.path)

    return await keep_upload(request, service, owner, service.motions, most=limits.video_bytes, word=word, look=look)


@router.get("", responses=answers("unauthorized"))
async def list_motions(service: TheService, owner: Owner) -> UploadList:
    """All motions of this token, the newest first."""
    found = await on_disk(service, service.motions.listed, owner)
    return UploadList(uploads=[Upload(**asdict(item)) for item in found])


@router.get("/{id}", responses=answers("unauthorized", "not-found"))
async def get_motion(id: Id, service: TheService, owner: Owner) -> Upload:
    """What is known of a motion."""
    return Upload(**asdict(await on_disk(service, service.motions.get, owner, id)))


@router.delete("/{id}", status_code=204, responses=answers("unauthorized", "not-found", "storage"))
async def delete_motion(id: Id, service: TheService, owner: Owner) -> None:
    """Forget a motion. Jobs that were made with it go on."""
    await on_disk(service, service.motions.delete, owner, id)
