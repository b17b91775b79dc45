"""What a client asks for, held against all that can be known before there is a job."""

from __future__ import annotations

from pathlib import Path

from hp_trt.apps.service.bodies import EnhanceBody, JobBody
from hp_trt.apps.service.enhance_lane import EnhancerBundle, mark_of_result
from hp_trt.apps.service.job import MOTION, PORTRAIT, VIDEO, Job, JobRequest, Wish
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.sampling import check_sampling
from hp_trt.apps.service.service import Service
from hp_trt.apps.service.store import is_id
from hp_trt.media.video import probe
from hp_trt.models import find_model

GONE = "the result was kept for its time and is gone; ask for the job again"
_FRAMES_OF_SPEECH = 25


def wish_of(service: Service, owner: str, body: JobBody | EnhanceBody) -> Wish:
    """What is asked for. Raises Problem and InputError for what is known to be impossible."""
    return _enhancement(service, owner, body) if isinstance(body, EnhanceBody) else _clip(service, owner, body)


def check_finished(job: Job, file: Path) -> None:
    """Raises Problem unless the job is done, and what it made is there."""
    if job.state == "expired" or (job.state == "done" and not file.is_file()):
        raise Problem("expired", GONE)
    if job.state != "done":
        detail = "" if job.error is None else f": {job.error['detail']}"
        raise Problem("no-result", f"the job is {job.state}, needed is one that is done{detail}")


def _clip(service: Service, owner: str, body: JobBody) -> Wish:
    needed = "clip" if service.driver == "video" else "talk"
    if body.kind != needed:
        raise Problem("impossible", f"this service makes jobs of kind {needed}, got {body.kind}; see /v1/info")
    profiles = service.config.profiles
    if body.profile is not None and body.profile not in profiles:
        raise Problem("impossible", f"there is no such profile here; there are: {', '.join(profiles)}")
    service.portraits.get(owner, body.portrait)
    facts = service.motions.get(owner, body.motion).facts
    frames = facts.get("frames")
    if needed == "talk" and isinstance(facts.get("seconds"), int | float):
        frames = max(1, round(facts["seconds"] * _FRAMES_OF_SPEECH))
    named = body.profile or profiles[0]
    request = JobRequest(**body.model_dump() | {"profile": named})
    profile = find_model(service.bundle).profiles.find(named)
    check_sampling(service.bundle, profile, {"steps": request.steps, "seed": request.seed, "mood": request.mood})
    service.sealing.of(request)

    def link(folder: Path) -> None:
        service.portraits.link(owner, body.portrait, folder / PORTRAIT)
        service.motions.link(owner, body.motion, folder / MOTION)

    return Wish(owner=owner, request=request, frames=frames if isinstance(frames, int) else None, link=link)


def _enhancement(service: Service, owner: str, body: EnhanceBody) -> Wish:
    enhancer = service.check_enhances()
    request = JobRequest(**body.model_dump())
    enhancer.chosen(request)
    service.sealing.of(request)
    if is_id(body.video, "j"):
        return _of_result(enhancer, owner, request, service.jobs.get(owner, body.video))
    facts = service.videos.get(owner, body.video).facts
    enhancer.check_fits(request, facts["width"], facts["height"])
    frames = facts.get("frames")

    def link(folder: Path) -> None:
        service.videos.link(owner, body.video, folder / VIDEO)

    return Wish(owner=owner, request=request, frames=frames if isinstance(frames, int) else None, link=link)


def _of_result(enhancer: EnhancerBundle, owner: str, request: JobRequest, source: Job) -> Wish:
    """An enhancement of what another job made."""
    check_finished(source, source.result_file)
    info = probe(source.result_file)
    enhancer.check_fits(request, info.width, info.height)

    def link(folder: Path) -> None:
        try:
            (folder / VIDEO).hardlink_to(source.result_file)
        except FileNotFoundError:
            raise Problem("expired", GONE) from None

    frames = int((source.result or {})["frames"])
    return Wish(owner=owner, request=request, frames=frames, link=link, mark_id=mark_of_result(source))
