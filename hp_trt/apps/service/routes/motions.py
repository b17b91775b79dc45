"""Motions: what moves a portrait, a driving video or, for a model that speaks, a sound, or a motion file of either."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from hp_trt.apps.service.asking import Owner, TheService, check_not_draining, on_disk
from hp_trt.apps.service.bodies import MOTION_ID, UPLOAD, Upload, UploadList, answers, leads_to
from hp_trt.apps.service.inputs import MOTION_FILE
from hp_trt.apps.service.motion_files import SUFFIX
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.result import Whole, result_response
from hp_trt.apps.service.routes.portraits import FORM
from hp_trt.apps.service.routes.uploading import REFUSED, keep_upload
from hp_trt.apps.service.uploads import Received

router = APIRouter(prefix="/v1/motions", tags=["motions"])
Id = Annotated[str, Path(pattern=MOTION_ID)]
KEPT = {
    201: {"model": Upload, "links": leads_to("get_motion", "motion_file", "delete_motion")},
    200: {"model": Upload, "description": "Here already"},
}
_BYTES = {"application/octet-stream": UPLOAD}
_ETAG = {"ETag": {"schema": {"type": "string"}}}
_FILE: dict[int, dict[str, Any]] = {
    200: {"description": "The motion file", "content": _BYTES, "headers": _ETAG},
    206: {"description": "A part of it", "content": _BYTES, "headers": _ETAG},
    304: {"description": "As it was", "headers": _ETAG},
}
_NO_FILE = (
    "unauthorized", "not-found", "no-result", "expired", "range", "no-face", "impossible", "quota", "busy", "draining",
    "storage",
)  # fmt: skip
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


@router.get("/{id}/file", responses=answers(*_NO_FILE, more=_FILE), response_class=Response)
async def motion_file(id: Id, request: Request, service: TheService, owner: Owner) -> Response:
    """What was encoded of it, as a motion file (safetensors); a part of it with a Range of bytes.

    Of a video or sound it is made when it is first asked for: 409 until it is there.
    """
    item = await on_disk(service, service.motions.get, owner, id)
    if item.facts.get("kind") != MOTION_FILE:
        check_not_draining(service)
    path = await service.motion_files.of(owner, item)
    try:
        tag = await on_disk(service, _tag, item.sha256, path)
    except OSError:
        raise Problem("not-found", "the motion was deleted meanwhile; upload it again") from None
    whole = Whole(path=path, name=f"{id}{SUFFIX}", media_type="application/octet-stream", sha256=tag)
    return result_response(request, whole, service)


router.head("/{id}/file", include_in_schema=False)(motion_file)


def _tag(sha256: str, path: FilePath) -> str:
    """Of a file that never changes in its place: whose it is, and when it was made."""
    about = path.stat()
    return hashlib.sha256(f"{sha256} {about.st_size} {about.st_mtime_ns}".encode()).hexdigest()


@router.delete("/{id}", status_code=204, responses=answers("unauthorized", "not-found", "storage"))
async def delete_motion(id: Id, service: TheService, owner: Owner) -> None:
    """Forget a motion. Jobs that were made with it go on."""
    await on_disk(service, service.motions.delete, owner, id)
