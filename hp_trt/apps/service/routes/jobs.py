"""Jobs: made, listed, watched, called off, and their results."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field, TypeAdapter, ValidationError

from engines.errors import HpTrtError
from engines.fields import parse_json
from engines.file_record import hash_file
from engines.foreign import reason
from hp_trt.apps.service.asking import Owner, TheService, check_not_draining, on_disk
from hp_trt.apps.service.bodies import EVENT, JOB_SCHEMA, EnhanceBody, JobBody, JobList, JobSaid, answers, leads_to
from hp_trt.apps.service.events import Events
from hp_trt.apps.service.job import KINDS, Job, JobState
from hp_trt.apps.service.problems import Problem, problem_of
from hp_trt.apps.service.result import Whole, result_response
from hp_trt.apps.service.uploads import receive_json
from hp_trt.apps.service.wishes import GONE, check_finished, wish_of
from hp_trt.provenance.sidecar import beside

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
Id = Annotated[str, PathParameter(pattern=r"^j_[0-9a-f]{32}$")]
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[!-~]+$", description="Yours.")
]
_BODY: TypeAdapter[JobBody | EnhanceBody] = TypeAdapter(Annotated[JobBody | EnhanceBody, Field(discriminator="kind")])
_STILL_HERE_S = 15.0  # between lines that say so to whoever waits for events
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_OBJECT = {"type": "object"}
_ETAG = {"ETag": {"schema": {"type": "string"}}}
_RESULT: dict[int, dict[str, Any]] = {
    200: {"description": "The video", "content": {"video/mp4": _BYTES}, "headers": _ETAG},
    206: {"description": "A part of it", "content": {"video/mp4": _BYTES}, "headers": _ETAG},
    304: {"description": "As it was", "headers": _ETAG},
}
_SIDECAR: dict[int, dict[str, Any]] = {
    200: {
        "description": "The sidecar",
        "content": {"application/json": {"schema": {"type": "object"}}},
        "headers": _ETAG,
    },
    206: {"description": "A part of it", "content": {"application/json": _BYTES}, "headers": _ETAG},
    304: {"description": "As it was", "headers": _ETAG},
}
_MADE: dict[int, dict[str, Any]] = {
    202: {"model": JobSaid, "links": leads_to("get_job", "cancel_job", "job_events", "job_result", "job_sidecar")}
}
_REFUSED = (
    "unauthorized", "not-found", "no-result", "too-slow", "key-under-way", "expired", "too-large", "unsupported-media",
    "impossible", "key-reused", "quota", "busy", "draining", "storage",
)  # fmt: skip


@router.post(
    "",
    status_code=202,
    responses=answers(*_REFUSED, more=_MADE),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": JOB_SCHEMA}},
        }
    },
    response_model=None,
)
async def make_job(request: Request, service: TheService, owner: Owner, idempotency_key: Key = None) -> Response:
    """Ask for a clip, or for a video to be enlarged.

    With an Idempotency-Key the same request again is answered with the same job, for a day.
    """
    check_not_draining(service)
    body = _body(await receive_json(request, service.config.limits))
    key = "" if idempotency_key is None else _sha256(idempotency_key)
    asked = _sha256(body.model_dump_json()) if key else ""
    if (
        known := await on_disk(service, service.jobs.known, owner, key, asked)
    ) is not None:  # whatever became of what it names
        return _made(known)
    try:
        wish = replace(await on_disk(service, wish_of, service, owner, body), key=key, body=asked)
        job, _ = await on_disk(service, service.jobs.create, wish, service.accounts)
    except (OSError, HpTrtError) as error:
        raise problem_of(error) from error
    return _made(job)


@router.get("", responses=answers("unauthorized"))
async def list_jobs(
    service: TheService,
    owner: Owner,
    state: JobState | None = None,
    most: Annotated[int, Query(ge=1, le=100)] = 20,
    before: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$", description="Of the page before.")] = None,
) -> JobList:
    """The jobs of this token, the newest first."""
    number = None if before is None else int(before)
    found = await on_disk(service, service.jobs.listed, owner, state=state, most=most + 1, before=number)
    more = str(found[most - 1].number) if len(found) > most else None
    return JobList(jobs=[JobSaid.model_validate(job.to_json()) for job in found[:most]], before=more)


@router.get("/{id}", responses=answers("unauthorized", "not-found"))
async def get_job(id: Id, service: TheService, owner: Owner) -> JobSaid:
    """How a job stands."""
    return JobSaid.model_validate((await on_disk(service, service.jobs.get, owner, id)).to_json())


@router.delete("/{id}", status_code=202, responses=answers("unauthorized", "not-found"))
async def cancel_job(id: Id, service: TheService, owner: Owner) -> JobSaid:
    """Call a job off; of one that has ended nothing changes."""
    job = await on_disk(service, service.jobs.cancel, owner, id)
    return JobSaid.model_validate(job.to_json())


@router.get(
    "/{id}/events",
    responses=answers(
        "unauthorized",
        "not-found",
        more={200: {"description": "Events", "content": {"text/event-stream": {"schema": EVENT}}}},
    ),
    response_class=StreamingResponse,
)
async def job_events(
    id: Id,
    service: TheService,
    owner: Owner,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=100, pattern=r"^[!-~]*$")] = None,
) -> StreamingResponse:
    """What happens to a job, as server-sent events: state, progress, note, result, error. It ends with the job."""
    events = (await on_disk(service, service.jobs.get, owner, id)).events
    sent = _sent(events, events.number_of(last_event_id))
    return StreamingResponse(sent, media_type="text/event-stream", headers={"cache-control": "no-store"})


@router.get(
    "/{id}/result",
    responses=answers("unauthorized", "not-found", "no-result", "expired", "range", more=_RESULT),
    response_class=Response,
)
async def job_result(
    id: Id,
    request: Request,
    service: TheService,
    owner: Owner,
) -> Response:
    """The video that was made; a part of it with a Range of bytes."""
    job = await on_disk(service, service.jobs.get, owner, id)
    check_finished(job, job.result_file)
    sha256 = str((job.result or {}).get("sha256", ""))
    whole = Whole(path=job.result_file, name=f"{job.id}.mp4", media_type="video/mp4", sha256=sha256)
    return result_response(request, whole, service)


@router.get(
    "/{id}/sidecar",
    responses=answers("unauthorized", "not-found", "no-result", "expired", "range", more=_SIDECAR),
    response_class=Response,
)
async def job_sidecar(
    id: Id,
    request: Request,
    service: TheService,
    owner: Owner,
) -> Response:
    """Where the video comes from, and what it carries: the file that belongs beside it, as its name and .json."""
    job = await on_disk(service, service.jobs.get, owner, id)
    check_finished(job, job.sidecar_file)
    try:
        sha256 = (await on_disk(service, hash_file, job.sidecar_file)).sha256
    except OSError:
        raise Problem("expired", GONE) from None
    name = beside(Path(f"{job.id}.mp4")).name
    return result_response(
        request, Whole(path=job.sidecar_file, name=name, media_type="application/json", sha256=sha256), service
    )


router.head("/{id}/result", include_in_schema=False)(job_result)
router.head("/{id}/sidecar", include_in_schema=False)(job_sidecar)


async def _sent(events: Events, number: int) -> AsyncIterator[bytes]:
    while True:
        found, ended = events.after(number)
        for event in found:
            number = event.number
            yield event.to_sse()
        if ended and not events.after(number)[0]:
            return
        if not await events.wait(number, _STILL_HERE_S):
            yield b": still here\n\n"


def _body(raw: bytes) -> JobBody | EnhanceBody:
    """Raises Problem for what is no job."""
    try:
        return _BODY.validate_python(parse_json(raw).found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part not in KINDS) or "kind"
        raise Problem("bad-request", f"the job cannot be read: {where[:100]}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise Problem("bad-request", f"the job is no JSON ({reason(error)})") from None


def _made(job: Job) -> JSONResponse:
    return JSONResponse(job.to_json(), status_code=202, headers={"location": f"/v1/jobs/{job.id}"})


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
