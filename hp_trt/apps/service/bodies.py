"""What goes over the wire as JSON, as OpenAPI knows it, and which problems a route may answer with."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hp_trt.apps.service import problems
from hp_trt.apps.service.job import JobState, Kind
from hp_trt.provenance.options import LONGEST_CONSENT

PROBLEM_SCHEMA = {"$ref": "#/components/schemas/ProblemDocument"}
RETRY_AFTER = {"Retry-After": {"description": "Seconds until it is worth another try.", "schema": {"type": "string"}}}
PORTRAIT_ID = r"^p_[0-9a-f]{32}$"
MOTION_ID = r"^m_[0-9a-f]{32}$"
VIDEO_ID = r"^v_[0-9a-f]{32}$"
_VIDEO_OR_JOB = r"^[vj]_[0-9a-f]{32}$"
EVENT = {  # of a stream of them
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string", "enum": ["state", "progress", "note", "result", "error"]},
        "data": {"type": "string", "description": "JSON, an object.", "contentMediaType": "application/json"},
    },
    "required": ["id", "event", "data"],
}
UPLOAD = {"schema": {"type": "string", "format": "binary"}}


def _whole(value: object) -> object:
    """JSON has one kind of number: 3.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Closed(BaseModel):
    """Says all that it has."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ProblemDocument(Closed):
    """RFC 9457. `type` is urn:hp-trt: and a slug that stays."""

    type: str
    title: str
    status: int
    detail: str


Mark = Annotated[bool, Field(description="An invisible mark in every picture.")]
Credentials = Annotated[bool, Field(description="Content Credentials (C2PA) in the file.")]
Label = Annotated[bool, Field(description="A visible sign in the corner.")]
Consent = Annotated[
    str | None,
    Field(min_length=1, max_length=LONGEST_CONSENT, description="Of whoever is shown, as you state it: a line."),
]


class JobBody(Closed):
    """A clip. `motion` names an uploaded driving video (kind clip) or sound (kind talk)."""

    kind: Literal["clip", "talk"]
    portrait: Annotated[str, Field(pattern=PORTRAIT_ID)]
    motion: Annotated[str, Field(pattern=MOTION_ID)]
    profile: Annotated[str | None, Field(max_length=100, description="One of /v1/info's; the first by default.")] = None
    steps: Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1), BeforeValidator(_whole)] | None = None
    mood: Annotated[str | None, Field(max_length=60, description="Of speech: happy, or happy:0.5.")] = None
    crop: Annotated[bool, Field(description="The square around the face alone.")] = False
    mark: Mark = True
    credentials: Credentials = True
    label: Label = False
    consent: Consent = None


class EnhanceBody(Closed):
    """An enhancement: a video becomes larger, and where the enhancer can, its face is restored.

    `video` names an uploaded video, or a job of yours that is done.
    """

    kind: Literal["enhance"]
    video: Annotated[str, Field(pattern=_VIDEO_OR_JOB)]
    scale: Annotated[Literal[2, 4, 8], BeforeValidator(_whole), Field(description="How many times as large.")] = 2
    fidelity: Annotated[
        float | None, Field(ge=0, le=1, description="0: the restorer's own idea of the face, 1: nearer to the video.")
    ] = None
    face_upsample: Annotated[bool, Field(description="The upscaler enlarges the restored face too.")] = False
    repeat: Annotated[bool, Field(description="By 4 and 8: the upscaler does it all, in place of Lanczos.")] = False
    mark: Mark = True
    credentials: Credentials = True
    label: Label = False
    consent: Consent = None


JOB_SCHEMA = {
    "oneOf": [{"$ref": f"#/components/schemas/{body.__name__}"} for body in (JobBody, EnhanceBody)],
    "discriminator": {
        "propertyName": "kind",
        "mapping": {
            "clip": "#/components/schemas/JobBody",
            "talk": "#/components/schemas/JobBody",
            "enhance": "#/components/schemas/EnhanceBody",
        },
    },
}


class JobRequestSaid(Closed):
    """What was asked for; null is what this kind of job has not."""

    kind: Kind
    portrait: str | None
    motion: str | None
    profile: str | None
    steps: int | None
    seed: int | None
    mood: str | None
    crop: bool
    mark: bool
    credentials: bool
    label: bool
    consent: str | None
    video: str | None
    scale: int | None
    fidelity: float | None
    face_upsample: bool
    repeat: bool


class JobResult(Closed):
    """What was made. `seconds` is how long it took."""

    bytes: int
    sha256: str
    frames: int
    frames_per_s: float
    seconds: float
    notes: list[str]


class JobSaid(Closed):
    """A job. Times are seconds since 1970."""

    id: str
    state: JobState
    request: JobRequestSaid
    created_s: float
    started_s: float | None
    ended_s: float | None
    attempts: int
    result: JobResult | None
    error: ProblemDocument | None


class JobList(Closed):
    """The newest first; `before` names the next page, null on the last."""

    jobs: list[JobSaid]
    before: str | None


class Upload(Closed):
    """A file that is kept. `facts`: what was found in it."""

    id: str
    bytes: int
    sha256: str
    created_s: float
    facts: dict[str, Any]


class UploadList(Closed):
    uploads: list[Upload]


class VerifiedFile(Closed):
    name: str
    sha256: str
    bytes: int


class CredentialsFound(Closed):
    state: Literal["valid", "trusted", "invalid", "unreadable"]
    why: list[str]
    generator: str
    signer: str
    source_types: list[str]
    mark_ids: list[str]


class MarkFound(Closed):
    """`id` is null where none was found; at a `score` of 9 and above one is."""

    id: str | None
    score: float


class VerifyReport(Closed):
    """What `hp-trt verify --json` says of the file alone. `broken`: what does not fit, a line each."""

    format: Literal["hp-trt verify"]
    schema_: Annotated[Literal[1], Field(alias="schema")]
    file: VerifiedFile
    verdict: Literal["intact", "nothing", "broken"]
    broken: list[str]
    credentials: CredentialsFound | None
    credentials_not_looked_at: str | None
    mark: MarkFound | None
    mark_not_looked_for: str | None
    sidecar: Annotated[None, Field(description="Of files beside it; nothing is beside one that is sent.")]


class Health(Closed):
    status: Literal["ok"]


class PlanSaid(Closed):
    """What `hp-trt plan` says of a clip of `frames` frames, and how fast clips were that this process made.

    `memory_bytes` and `flops` are the graphs', an estimate and a count. `seconds` are by the data sheet of `device`;
    null on a CPU, whose speed is known when it was measured. `made_frames_per_s`: the median of the last clips with the
    bundle's own steps; null before the first.
    """

    profile: str
    mode: Literal["clip", "live"]
    frames: int
    memory_bytes: int | None
    flops: int | None
    seconds: float | None
    device: str | None
    made_frames_per_s: float | None


class EnhancerSaid(Closed):
    """What enlarges videos. `notes`: on which terms, and what it lacks; `restores`: whether it restores faces."""

    preset: str
    weights: str
    restores: bool
    scales: list[int]
    notes: list[str]


class Info(Closed):
    """What this service is, and what it allows. `kind` is that of its clips, `kinds` are all of its jobs.

    `enhancer` is null where the service enlarges no videos.
    """

    version: str
    preset: str
    model: str
    kind: Kind
    kinds: list[Kind]
    weights: str
    licence: str
    profiles: list[str]
    clip_lanes: int
    live_lanes: int
    limits: dict[str, int | float]
    jobs: dict[str, int]
    plan: list[PlanSaid]
    notes: list[str]
    enhancer: EnhancerSaid | None


def leads_to(*operations: str) -> dict[str, Any]:
    """OpenAPI's links from an answer with an id to what may be asked with it."""
    return {name: {"operationId": name, "parameters": {"id": "$response.body#/id"}} for name in operations}


def answers(*slugs: str, more: dict[int, dict[str, Any]] | None = None) -> dict[int | str, dict[str, Any]]:
    """What a route declares: these problems, those that any route may have, and `more` by status."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for slug in ("bad-request", "foreign-host", "foreign-origin", "internal", *slugs):
        kind = problems.KINDS[slug]
        one = by_status.setdefault(
            kind.status, {"description": kind.title, "content": {problems.MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}}
        )
        if one["description"] != kind.title and kind.title not in one["description"]:
            one["description"] += f"; {kind.title[0].lower()}{kind.title[1:]}"
        if kind.status in (429, 503) or slug == "key-under-way":
            one["headers"] = RETRY_AFTER
        if kind.status == 401:
            one["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return by_status | (more or {})
