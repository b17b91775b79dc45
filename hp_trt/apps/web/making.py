"""What a visitor of the page asks for, asked of the service as its API asks: there is no other way to a lane.

A job goes through the route that makes jobs, so every check and limit of the API holds, and its answer is the API's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from hp_trt.apps.service.asking import on_disk
from hp_trt.apps.service.bodies import JobBody
from hp_trt.apps.service.job import Job, Kind
from hp_trt.apps.service.problems import Problem, problem_of
from hp_trt.apps.service.routes.jobs import make_job
from hp_trt.apps.service.service import Service
from hp_trt.apps.web.following import View, follow
from hp_trt.apps.web.sheets import Sheets

log = logging.getLogger("hp_trt.service")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How a job stands. `problem`: there is no job, and why."""

    job: str = ""
    view: View = field(default_factory=View)
    problem: str = ""
    sheet: bool = False
    sidecar: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the form says, as the browser sent it: anything may be in it."""

    kind: Kind
    portrait: Any
    motion: Any
    profile: Any
    seed: Any = ""
    mood: Any = ""
    crop: Any = False
    label: Any = False

    def body(self) -> dict[str, Any]:
        """A job as the API takes it. Raises Problem for what was left out, or is no seed."""
        what = "sound" if self.kind == "talk" else "driving video"
        if not self.portrait:
            raise Problem("bad-request", "there is no portrait yet; choose a picture, and wait until it is here")
        if not self.motion:
            raise Problem("bad-request", f"there is no {what} yet; choose a file, and wait until it is here")
        made = {"kind": self.kind, "portrait": self.portrait, "motion": self.motion, "profile": self.profile}
        made |= {"crop": self.crop, "seed": _seed(self.seed)}
        made |= {"mood": self.mood} if self.mood else {}
        return made | ({"label": self.label} if labels() else {})


@dataclass(frozen=True, kw_only=True)
class AskedLarger:
    """The same of a video that is to be enlarged: an upload, or what a job made. None is left to the service."""

    video: Any
    scale: Any
    fidelity: Any = None
    face_upsample: Any = None
    repeat: Any = None
    label: Any = None

    def body(self) -> dict[str, Any]:
        """A job as the API takes it. Raises Problem where there is no video."""
        if not self.video:
            raise Problem("bad-request", "there is no video yet; choose a file, and wait until it is here")
        return {"kind": "enhance"} | {name: value for name, value in vars(self).items() if value is not None}


def labels() -> bool:
    """Whether jobs know a visible sign (`label`)."""
    return "label" in JobBody.model_fields


def _seed(text: Any) -> int | None:
    said = str(text if text is not None else "").strip()
    if not said:
        return None
    if not (said.isascii() and said.isdigit() and len(said) < 20):
        raise Problem("bad-request", f"a seed is a whole number from 0, got {said[:40]!r}; leave it empty for any")
    return int(said)


class Making:
    """Jobs of the page's visitors."""

    def __init__(self, service: Service, sheets: Sheets) -> None:
        self._service, self._sheets = service, sheets

    async def make(self, owner: str, asked: Asked | AskedLarger) -> AsyncIterator[Shown]:
        """Ask for a job and follow it to its end. A problem is shown, never raised."""
        try:
            answer = await make_job(_posted(asked.body()), self._service, owner)
            job = self._service.jobs.get(owner, json.loads(bytes(answer.body))["id"])
        except Exception as error:
            yield Shown(problem=self._told(error))
            return
        async for view in follow(job):
            yield await self._shown(job, view)

    async def watch(self, owner: str, identity: Any) -> AsyncIterator[Shown]:
        """Follow a job that was asked for before, where it is still known."""
        try:
            job = self._service.jobs.get(owner, str(identity))
        except Problem:
            return
        async for view in follow(job):
            yield await self._shown(job, view)

    async def cancel(self, owner: str, identity: Any) -> str:
        """Call a job off; what to tell, "" where the job itself will tell it."""
        jobs = self._service.jobs
        try:
            if jobs.get(owner, str(identity)).state not in ("queued", "running"):
                return "it has ended already; there is nothing to call off"
            await on_disk(self._service, jobs.cancel, owner, str(identity))
        except Exception as error:
            if isinstance(error, Problem) and error.slug == "not-found":
                return "nothing is being made, so there is nothing to call off; make something first"
            return self._told(error)
        return ""

    async def _shown(self, job: Job, view: View) -> Shown:
        if view.state != "done" or view.result is None:
            return Shown(job=job.id, view=view)
        sheet, sidecar = await self._sheets.have(job), await on_disk(self._service, sidecar_of, job)
        return Shown(job=job.id, view=view, sheet=sheet, sidecar=sidecar)

    def _told(self, error: Exception) -> str:
        problem = problem_of(error)
        self._service.meters.errors.labels(problem.slug).inc()
        if problem.slug == "internal":
            log.error("the page failed", exc_info=error)
        return problem.detail


def sidecar_of(job: Job) -> str:
    """What stands beside the result of its origin; "" where nothing does."""
    place = job.result_file.with_name(f"{job.result_file.name}.json")
    try:
        return place.read_text("utf-8") if place.stat().st_size < 1 << 20 else ""
    except (OSError, ValueError):
        return ""


def _posted(body: dict[str, Any]) -> Request:
    """A request with a JSON body, as the API's routes read it."""
    raw = json.dumps(body).encode()
    said = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
    left = [{"type": "http.request", "body": raw, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return left.pop() if left else {"type": "http.disconnect"}

    return Request(
        {"type": "http", "method": "POST", "path": "/v1/jobs", "query_string": b"", "headers": said}, receive
    )
