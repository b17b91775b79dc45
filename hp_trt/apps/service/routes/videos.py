"""Videos that are to be enlarged: of any size, from anywhere. What moves a portrait is a motion."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from hp_trt.apps.service.asking import Owner, TheService, on_disk
from hp_trt.apps.service.bodies import UPLOAD, VIDEO_ID, Upload, UploadList, answers, leads_to
from hp_trt.apps.service.routes.portraits import FORM
from hp_trt.apps.service.routes.uploading import REFUSED, keep_upload
from hp_trt.apps.service.uploads import Received

router = APIRouter(prefix="/v1/videos", tags=["videos"])
Id = Annotated[str, Path(pattern=VIDEO_ID)]
KEPT = {
    201: {"model": Upload, "links": leads_to("get_video", "delete_video")},
    200: {"model": Upload, "description": "Here already"},
}
_TYPES = ("video/*", "image/gif", "image/apng", "application/octet-stream")
_BODY = {"required": True, "content": {**dict.fromkeys(_TYPES, UPLOAD), "multipart/form-data": FORM}}


@router.post(
    "",
    status_code=201,
    responses=answers(*REFUSED, more=KEPT),
    openapi_extra={"requestBody": _BODY},
    response_model=None,
)
async def upload_video(request: Request, service: TheService, owner: Owner) -> Response:
    """Upload a video for a job of kind enhance, as the body itself or as a form of one file.

    Pictures that move (GIF, APNG) are videos. The same bytes have the same id.
    """
    service.check_enhances()

    def look(received: Received) -> dict[str, Any]:
        return service.look("video", received.path)

    most = service.config.limits.video_bytes
    return await keep_upload(request, service, owner, service.videos, most=most, word="the video", look=look)


@router.get("", responses=answers("unauthorized"))
async def list_videos(service: TheService, owner: Owner) -> UploadList:
    """All videos of this token, the newest first."""
    found = await on_disk(service, service.videos.listed, owner)
    return UploadList(uploads=[Upload(**asdict(item)) for item in found])


@router.get("/{id}", responses=answers("unauthorized", "not-found"))
async def get_video(id: Id, service: TheService, owner: Owner) -> Upload:
    """What is known of a video."""
    return Upload(**asdict(await on_disk(service, service.videos.get, owner, id)))


@router.delete("/{id}", status_code=204, responses=answers("unauthorized", "not-found", "storage"))
async def delete_video(id: Id, service: TheService, owner: Owner) -> None:
    """Forget a video. Jobs that were made with it go on."""
    await on_disk(service, service.videos.delete, owner, id)
