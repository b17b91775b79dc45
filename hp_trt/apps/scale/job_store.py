"""The jobs of a folder that several processes share: the folder alone knows how they stand.

    open/JOB                          whose a job is that has not ended
    owners/OWNER/jobs/JOB/            as in `hp_trt.apps.service.job`, and whose turn it is (`hp_trt.apps.scale.claims`)
    owners/OWNER/keys/HASH            the job that a request with this Idempotency-Key made

A record is written by whoever has the turn of its job; before its first turn, by whoever made it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hp_trt.apps.scale.file_events import FileEvents
from hp_trt.apps.service.job import ENDED, Job, JobState
from hp_trt.apps.service.jobs import MOST_ATTEMPTS, remove_work, tell
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.store import State, is_id

EVENTS = "events.jsonl"
_MOST_OWNER = 100


class JobStore:
    """For any thread. `now_s`: seconds since 1970. `released`: set when whoever listens to events is let go."""

    def __init__(self, state: State, now_s: Callable[[], float], *, released: threading.Event | None = None) -> None:
        self.state, self._now_s = state, now_s
        self._released = released or threading.Event()
        self._open = state.path / "open"
        self._open.mkdir(mode=0o700, exist_ok=True)

    def folder(self, owner: str, identity: str) -> Path:
        return self.state.owners / owner / "jobs" / identity

    def read(self, owner: str, identity: str) -> Job:
        """A job as it stands now. Raises OSError where there is none, ValueError for a record that is none of ours."""
        folder = self.folder(owner, identity)
        job = Job.read(folder, owner, identity[2:10])
        job.events = FileEvents(folder / EVENTS, identity[2:10], released=self._released)
        return job

    def of_owner(self, owner: str) -> Iterator[Job]:
        """All that an owner has, in any order."""
        place = self.state.owners / owner / "jobs"
        for name in os.listdir(place) if place.is_dir() else ():
            if is_id(name, "j"):
                with suppress(OSError, ValueError):  # forgotten meanwhile
                    yield self.read(owner, name)

    def owners(self) -> list[str]:
        return sorted(os.listdir(self.state.owners))

    def open_jobs(self) -> Iterator[Job]:
        """Those that have not ended, in any order."""
        for name in os.listdir(self._open):
            if not is_id(name, "j"):
                continue
            with suppress(OSError, ValueError):
                owner = (self._open / name).read_text()
                if len(owner) < _MOST_OWNER and "/" not in owner:
                    yield self.read(owner, name)

    def opened(self, owner: str, identity: str) -> None:
        """A job is about to be. Raises OSError."""
        (self._open / identity).write_text(owner)

    def closed(self, identity: str) -> None:
        """A job has ended, or never was."""
        (self._open / identity).unlink(missing_ok=True)

    def to(self, job: Job, state: JobState) -> None:
        """Write that a job has come to a state, and tell it; what an ended one needs no more goes. Raises OSError,
        OutputError: then the record is as it was."""
        job.state = state
        if state == "queued":
            job.started_s = None
        elif state in ENDED and job.ended_s is None:
            job.ended_s = self._now_s()
        job.save()
        if state in ENDED:
            remove_work(job.folder, with_result=state != "done")
        tell(job)
        if state in ENDED:
            self.closed(job.id)

    def left(self, job: Job) -> None:
        """A job whose process died waits for its second and last attempt, or has failed. Its caller has its turn.

        Raises as `to` does.
        """
        if job.attempts < MOST_ATTEMPTS:
            self.to(job, "queued")
            return
        text = f"the process that worked on this died {job.attempts} times, and nobody tries again"
        job.error = Problem("interrupted", text).to_json()
        self.to(job, "failed")
