"""Portraits: pictures with one face, which is looked for when they come."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from hp_trt.apps.service.asking import Owner, TheService, on_disk
from hp_trt.apps.service.bodies import PORTRAIT_ID, UPLOAD, Upload, UploadList, answers, leads_to
from hp_trt.apps.service.cluster import Encoder
from hp_trt.apps.service.inputs import impossible
from hp_trt.apps.service.routes.uploading import REFUSED, keep_upload
from hp_trt.apps.service.uploads import Received
from hp_trt.encoded.encoded_file import is_encoded

router = APIRouter(prefix="/v1/portraits", tags=["portraits"])
Id = Annotated[str, Path(pattern=PORTRAIT_ID)]
KEPT = {
    201: {"model": Upload, "links": leads_to("get_portrait", "delete_portrait")},
    200: {"model": Upload, "description": "Here already"},
}
FORM: dict[str, Any] = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
        "additionalProperties": False,
    }
}

_BODY = {
    "required": True,
    "content": {"image/*": UPLOAD, "application/octet-stream": UPLOAD, "multipart/form-data": FORM},
}


@router.post(
    "",
    status_code=201,
    responses=answers(*REFUSED, more=KEPT),
    openapi_extra={"requestBody": _BODY},
    response_model=None,
)
async def upload_portrait(request: Request, service: TheService, owner: Owner) -> Response:
    """Upload a picture or a portrait file, as the body itself or as a form of one file.

    The same bytes have the same id.
    """
    profile = service.config.profiles[0]

    def look(received: Received) -> dict[str, Any]:
        facts, path = service.look("picture", received.path), received.path
        with impossible(path, "the portrait file") if is_encoded(path) else nullcontext():
            service.encoder.portrait(profile, service.portraits.id_of(received.sha256), path)
        return facts

    most = service.config.limits.picture_bytes
    return await keep_upload(request, service, owner, service.portraits, most=most, word="the picture", look=look)


@router.get("", responses=answers("unauthorized"))
async def list_portraits(service: TheService, owner: Owner) -> UploadList:
    """All portraits of this token, the newest first."""
    found = await on_disk(service, service.portraits.listed, owner)
    return UploadList(uploads=[Upload(**asdict(item)) for item in found])


@router.get("/{id}", responses=answers("unauthorized", "not-found"))
async def get_portrait(id: Id, service: TheService, owner: Owner) -> Upload:
    """What is known of a portrait."""
    return Upload(**asdict(await on_disk(service, service.portraits.get, owner, id)))


@router.delete("/{id}", status_code=204, responses=answers("unauthorized", "not-found", "storage"))
async def delete_portrait(id: Id, service: TheService, owner: Owner) -> None:
    """Forget a portrait. Jobs that were made with it go on."""
    await on_disk(service, service.portraits.delete, owner, id)
    makers: list[Encoder] = [lane.maker for lane in service.clip_lanes]
    for encoder in makers or [service.encoder]:
        await on_disk(service, encoder.forget, id)
