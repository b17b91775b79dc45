"""A job, as it is on the disk and in memory.

    owners/OWNER/jobs/ID/  job.json  portrait  motion  video  result.mp4  result.mp4.json

The record is replaced as a whole, and is on the disk before anybody is told of a state. `portrait` and `motion`, or of
an enhancement `video`, are links to what was uploaded, or made by another job. Beside the result is its sidecar
(`hp_trt.provenance.sidecar`).
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from engines.fields import Field, read_json
from engines.part_file import write_whole
from hp_trt.apps.service.events import Events, JobEvents
from hp_trt.apps.service.store import MOST_RECORD_BYTES
from hp_trt.provenance.options import LONGEST_CONSENT, MOST_ID
from hp_trt.provenance.sidecar import beside

Kind = Literal["clip", "talk", "enhance"]
JobState = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NEEDED: Mapping[Kind, tuple[str, ...]] = {  # fields of a request
    "clip": ("portrait", "motion", "profile"),
    "talk": ("portrait", "motion", "profile"),
    "enhance": ("video",),
}
STATES: tuple[JobState, ...] = get_args(JobState)
ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled", "expired")
RECORD, PORTRAIT, MOTION, VIDEO = "job.json", "portrait", "motion", "video"
RESULT, WHOLE = "result.mp4", "whole.mp4"
_SCHEMA = 1
_KEPT = (
    "number", "created_s", "frames", "state", "started_s", "ended_s", "attempts", "result", "error", "key", "body",
    "mark_id",
)  # fmt: skip
_MOST = 10**15


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What is asked for. Who adds to it adds a field with a default, so that records of before can be read.

    kind        "clip": a driving video moves the portrait; "talk": speech does; "enhance": a video becomes larger
    portrait    id of an uploaded portrait; this and the next five of clips alone, None of an enhancement
    motion      id of an uploaded driving video or sound
    profile     one of the service's
    steps       of denoising; None: the bundle's
    seed        of the initial noise; None: the bundle's
    mood        of speech; None: none
    crop        the square around the face alone, in place of the whole portrait
    mark        the invisible mark in every picture
    credentials Content Credentials in the file
    label       a visible sign in the corner
    consent     what the sidecar says of the consent of whoever is shown; None: nothing
    video       id of an uploaded video, or of the job whose result it is; this and the rest of enhancements alone
    scale       how many times as wide and high
    fidelity    0: the restorer's idea of the face, 1: nearer to the video; None: the enhancer's own
    face_upsample   the upscaler enlarges the restored face too
    repeat      by 4 and 8 the upscaler does it all, in place of Lanczos
    """

    kind: Kind
    portrait: str | None = None
    motion: str | None = None
    profile: str | None = None
    steps: int | None = None
    seed: int | None = None
    mood: str | None = None
    crop: bool = False
    mark: bool = True
    credentials: bool = True
    label: bool = False
    consent: str | None = None
    video: str | None = None
    scale: int | None = None
    fidelity: float | None = None
    face_upsample: bool = False
    repeat: bool = False


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Who asks for what. `key`, `body`: hashes of the Idempotency-Key, "" without one, and of the request.

    `link`: gives a job's new folder its inputs; it raises Problem where one is gone, OSError. `mark_id`: of the mark
    that the job's video carries already, where that is known.
    """

    owner: str
    request: JobRequest
    frames: int | None
    link: Callable[[Path], None]
    mark_id: int | None = None
    key: str = ""
    body: str = ""


@dataclass(kw_only=True, eq=False)
class Job:
    """A job. Its fields are changed under the lock of `hp_trt.apps.service.jobs.Jobs` alone.

    number      orders jobs as they came, whatever the clock says
    attempts    runs that began and were not ended in order; two are the most
    result      bytes, sha256, frames, frames_per_s, seconds it took, notes; None until it is done
    error       a problem's document; None unless it failed
    key, body   hashes of the Idempotency-Key and of the request that came with it; "" without one
    mark_id     of the invisible mark: a job that runs again has the same
    cancel      set when the work is to end; `requeue`: to be gone on with by another process
    """

    id: str
    owner: str
    folder: Path
    request: JobRequest
    number: int
    created_s: float
    frames: int | None = None  # of the video, as its header says; of sound 25 a second
    state: JobState = "queued"
    started_s: float | None = None
    ended_s: float | None = None
    attempts: int = 0
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    key: str = ""
    body: str = ""
    mark_id: int = field(default_factory=lambda: secrets.randbits(32))
    events: Events
    cancel: threading.Event = field(default_factory=threading.Event)
    requeue: bool = False
    queued_s: float = 0.0  # steady, since when it waits

    @property
    def result_file(self) -> Path:
        return self.folder / RESULT

    @property
    def sidecar_file(self) -> Path:
        return beside(self.result_file)

    def save(self) -> None:
        """Raises OSError, OutputError; then the record of before is there."""
        write_whole(self.folder / RECORD, self.to_record())

    def to_record(self) -> bytes:
        record = {"schema": _SCHEMA, "request": asdict(self.request)} | {name: getattr(self, name) for name in _KEPT}
        return json.dumps(record).encode()

    @classmethod
    def read(cls, folder: Path, owner: str, life: str) -> Job:
        """The job of a folder. Raises OSError, ValueError for a record that is none of ours."""
        record = read_json(folder / RECORD, most_bytes=MOST_RECORD_BYTES)
        record["schema"].whole(_SCHEMA, _SCHEMA)
        marked = "mark_id" in record.mapping()  # records of before have none
        return cls(
            id=folder.name,
            owner=owner,
            folder=folder,
            request=_request(record["request"]),
            number=record["number"].whole(0, _MOST),
            created_s=record["created_s"].number(),
            frames=_or_none(record, "frames"),
            state=record["state"].choice(STATES),
            started_s=_or_none(record, "started_s"),
            ended_s=_or_none(record, "ended_s"),
            attempts=record["attempts"].whole(0, 100),
            result=None if record.mapping().get("result") is None else dict(record["result"].mapping()),
            error=None if record.mapping().get("error") is None else dict(record["error"].mapping()),
            key=record["key"].text(),
            body=record["body"].text(),
            mark_id=record["mark_id"].whole(0, MOST_ID) if marked else secrets.randbits(32),
            events=JobEvents(life),
        )

    def to_json(self) -> dict[str, Any]:
        """As a client sees it."""
        return {
            "id": self.id,
            "state": self.state,
            "request": asdict(self.request),
            "created_s": round(self.created_s, 3),
            "started_s": None if self.started_s is None else round(self.started_s, 3),
            "ended_s": None if self.ended_s is None else round(self.ended_s, 3),
            "attempts": self.attempts,
            "result": self.result,
            "error": self.error,
        }


def _or_none(record: Field, key: str) -> Any:
    return None if record.mapping().get(key) is None else record[key].number(-_MOST, _MOST)


def _request(found: Field) -> JobRequest:
    mapping = found.mapping()
    kind = found["kind"].choice(KINDS)
    needed = {name: found[name].text() for name in NEEDED[kind]}
    return JobRequest(
        kind=kind,
        **needed,
        steps=None if mapping.get("steps") is None else found["steps"].whole(1, _MOST),
        seed=None if mapping.get("seed") is None else found["seed"].whole(0, 2**63 - 1),
        mood=None if mapping.get("mood") is None else found["mood"].text(),
        crop=found["crop"].flag(),
        mark=_flag(found, "mark", True),
        credentials=_flag(found, "credentials", True),
        label=_flag(found, "label", False),
        consent=None if mapping.get("consent") is None else found["consent"].text(most=LONGEST_CONSENT),
        scale=None if mapping.get("scale") is None else found["scale"].whole(1, _MOST),
        fidelity=None if mapping.get("fidelity") is None else found["fidelity"].number(0, 1),
        face_upsample=_flag(found, "face_upsample", False),
        repeat=_flag(found, "repeat", False),
    )


def _flag(found: Field, key: str, without: bool) -> bool:
    """Of a record, which may be of before there was such a field."""
    return found[key].flag() if key in found.mapping() else without
