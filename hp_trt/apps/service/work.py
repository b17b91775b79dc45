"""One job, from its inputs to its result, in the thread of a lane."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engines.errors import Cancelled, InputError, bounded
from hp_trt.apps.service.engine import Engine
from hp_trt.apps.service.job import MOTION, PORTRAIT, VIDEO, WHOLE, Job, JobState
from hp_trt.apps.service.problems import problem_of, without_paths
from hp_trt.provenance.options import Provenance
from hp_trt.resume.store import Mode
from runtime.stages import Event, Stages

log = logging.getLogger("hp_trt.service")
_EVERY_S = 0.25  # progress is told so often, and when a stage is over
_TOLD = ("read", "motion", "speech", "denoise", "decode", "restore", "upscale", "write")
Listener = Callable[[Event], None]
Encoded = Callable[[str, str, Path, Stages], Any]
Files = dict[Path, str]  # what a client calls each of a job's files
Work = Callable[[Stages, Files], Any]  # makes a job's result; what it gives has frames, rate and notes


@dataclass(frozen=True, kw_only=True)
class Observers:
    """Who hears of a job's stages beside its own client, and what to do when it has ended, in order."""

    listeners: Sequence[Listener] = ()
    closing: Sequence[Callable[[JobState], None]] = ()


class Progress:
    """A job's stages as its client is told of them."""

    def __init__(self, job: Job, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._job, self._steady_s = job, steady_s
        self._told_s: dict[str, float] = {}
        self._to_enlarge: int | None = None  # frames: of an enhancement that goes on, those that are left
        self._first_write_s: float | None = None

    def on_event(self, event: Event) -> None:
        if event.kind == "begin" and event.stage == "upscale":
            self._to_enlarge = event.total
        if event.stage not in _TOLD or event.kind == "begin":
            return
        now_s, total = self._steady_s(), event.total
        if event.stage in ("restore", "write") and total is None:
            total = self._job.frames if self._to_enlarge is None else self._to_enlarge
        last = event.kind == "end" or event.done == total
        if event.stage == "write" and self._first_write_s is None:
            self._first_write_s = now_s
        if not last and now_s - self._told_s.get(event.stage, -_EVERY_S) < _EVERY_S:
            return
        self._told_s[event.stage] = now_s
        eta_s = self._eta_s(event, total, now_s)
        self._job.events.add("progress", stage=event.stage, done=event.done, total=total, eta_s=eta_s)

    def _eta_s(self, event: Event, total: int | None, now_s: float) -> float | None:
        """Of the whole job, once frames are written: they come at an even pace."""
        if event.stage != "write" or event.done < 2 or not total or self._first_write_s is None:
            return None
        each_s = (now_s - self._first_write_s) / (event.done - 1)
        return round(max(0, total - event.done) * each_s, 2)


def run_job(job: Job, work: Work, observers: Observers, *, beat: Callable[[], None]) -> JobState:
    """Make the job's result; the state that it came to. Its `result` or `error` is set, and no file is half written.

    `beat`: hears of every sign of life.
    """
    progress, begin_s, files = Progress(job), time.monotonic(), _files(job)

    def on_event(event: Event) -> None:
        beat()
        progress.on_event(event)
        for listener in observers.listeners:
            listener(event)

    state: JobState = "failed"
    try:
        stages = Stages(on_event, most_spans=0, cancel=job.cancel)
        job.result = _result(job, work(stages, files), time.monotonic() - begin_s, files)
        for note in job.result["notes"]:
            job.events.add("note", text=note)
        state = "done"
    except Cancelled:
        state = "queued" if job.requeue else "cancelled"
    except Exception as error:
        problem = problem_of(error, files)
        if problem.slug in ("internal", "storage"):
            log.exception("a job failed", extra={"job": job.id, "slug": problem.slug})
        job.error = problem.to_json()
    finally:
        for close in observers.closing:
            close(state)
    return state


def animate(job: Job, engine: Engine, encoded: Encoded, provenance: Provenance, stages: Stages, files: Files) -> Any:
    """The clip of a job. `encoded`: gives an encoded portrait by profile, id, file and stages."""
    request = job.request
    assert request.profile is not None and request.portrait is not None, "what a clip is made of"
    portrait = encoded(request.profile, request.portrait, job.folder / PORTRAIT, stages)
    if portrait.path is not None:
        files[portrait.path] = "the portrait"
        portrait = _as_own(portrait, job.folder / PORTRAIT)
    motion = job.folder / MOTION
    how: dict[str, Any] = {"stages": stages, "provenance": provenance, "steps": request.steps, "seed": request.seed}
    if request.crop:
        how |= {"out": job.folder / WHOLE, "crop_out": job.result_file}
    else:
        how["out"] = job.result_file
    if request.kind == "talk":
        how |= {"audio": motion, "mood": request.mood}
    else:
        how["driving"] = motion
    if engine.profile.mode != "clip":
        return engine.animate(portrait, **how)
    return going_on(job, lambda resume: engine.animate(portrait, resume=resume, **how))


def going_on(job: Job, make: Callable[[Mode], Any]) -> Any:
    """What `make` gives, by "resume" or "restart": it goes on with what an earlier attempt left, or begins anew where
    that does not fit, as with another bundle."""
    left = any(job.folder.glob("*.resume"))
    try:
        return make("resume" if left else "restart")
    except InputError:
        if not left:
            raise
        log.info("what an earlier attempt left does not fit", extra={"job": job.id})
    return make("restart")


def _as_own(portrait: Any, path: Path) -> Any:
    """A portrait that was encoded from another file of the same bytes, which may be gone: the sidecar hashes it."""
    notes = tuple(note.replace(str(portrait.path), str(path)) for note in portrait.notes)
    return replace(portrait, path=path, notes=notes)


def _result(job: Job, made: Any, seconds: float, files: Files) -> dict[str, Any]:
    with job.result_file.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    return {
        "bytes": size,
        "sha256": sha256,
        "frames": made.frames,
        "frames_per_s": round(float(made.rate), 3),
        "seconds": round(seconds, 3),
        "notes": [bounded(without_paths(note, files)) for note in made.notes],
    }


def _files(job: Job) -> Files:
    """What a client calls the files of a job."""
    what = "the sound" if job.request.kind == "talk" else "the driving video"
    names = {PORTRAIT: "the portrait", MOTION: what, VIDEO: "the video"}
    return {**{job.folder / name: word for name, word in names.items()}, job.folder: "the job"}
